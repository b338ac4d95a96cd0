"""Each target by atheris, which goes after code that no input has reached yet; where there is no atheris, by chance alone."""

import importlib.util
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from fuzz.mutate import CORPUS

#: Bytes of an input at most.
MAX_LENGTH = 8192
#: Seconds without a result that make an input a finding, and MiB of memory: those of the fuzzer itself are many.
HANG_SECONDS, MEMORY_MIB = 5, 1024
#: A target that is there to be found broken, with the corpus of another.
BROKEN, _CORPUS_OF_BROKEN = "broken", "time"
GUIDED = importlib.util.find_spec("atheris") is not None


def names() -> list[str]:
    """Every target."""
    from fuzz.targets import TARGETS

    return sorted(TARGETS)


def corpus(name: str) -> list[bytes]:
    """The inputs of a target that are kept."""
    return [path.read_bytes() for path in sorted((CORPUS.parent / name).iterdir())]


def by_chance(name: str, count: int, seed: int) -> None:
    """Try a target on `count` inputs near its corpus. What it raises is raised."""
    from fuzz.targets import TARGETS

    rng = random.Random(seed)
    kept = corpus(name)
    for number in range(count):
        data = changed(rng, kept)
        try:
            TARGETS[name](data)
        except Exception as error:
            error.add_note(f"target {name}, seed {seed}, input {number}: {data!r}")
            raise


def changed(rng: random.Random, kept: list[bytes]) -> bytes:
    """One of them with bytes changed, removed, doubled, or taken from another."""
    data = bytearray(rng.choice(kept))
    for _ in range(rng.randint(1, 6)):
        place, size = rng.randint(0, len(data)), rng.choice((1, 1, 2, 4, 16))
        match rng.randrange(6):
            case 0:
                data[place : place + size] = rng.randbytes(size)
            case 1:
                del data[place : place + size]
            case 2:
                data[place:place] = data[place : place + size] * rng.choice((1, 2, 40))
            case 3:
                other = rng.choice(kept)
                begin = rng.randint(0, len(other))
                data[place : place + rng.choice((0, size))] = other[begin : begin + size]
            case 4:
                data[place : place + 1] = rng.choice(b"\0\xff\x80\x7f0123456789,.:-=&%;\"'\n +e\xc3\xed").to_bytes(
                    1, "big"
                )
            case _:
                if data:
                    data[min(place, len(data) - 1)] ^= 1 << rng.randrange(8)
    return bytes(data[:MAX_LENGTH])


def guided(name: str, *, seconds: int = 0, runs: int = -1, seed: int = 1) -> tuple[int, str]:
    """Have atheris try a target for so long, or so often; the number of inputs, and what was found, empty for nothing."""
    with tempfile.TemporaryDirectory(prefix="slicer-fuzz-") as work:
        found = pathlib.Path(work, "new")
        found.mkdir()
        words = [
            f"-max_total_time={seconds}",
            f"-runs={runs}",
            f"-seed={seed}",
            f"-max_len={MAX_LENGTH}",
            "-verbosity=1",
        ]
        words += [
            f"-timeout={HANG_SECONDS}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-artifact_prefix={work}/",
            "-print_final_stats=1",
        ]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "fuzz.parsers",
                name,
                *words,
                str(found),
                str(CORPUS.parent / (_CORPUS_OF_BROKEN if name == BROKEN else name)),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        count = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        executed = int(count.group(1)) if count else 0
        if done.returncode == 0 and executed:
            return executed, ""
        inputs = [repr(path.read_bytes()) for path in pathlib.Path(work).iterdir() if path.is_file()]
        return executed, "\n".join([*inputs, done.stdout[-6000:], done.stderr[-3000:]])


def _main() -> None:
    """What `guided` starts: the target's name, and libFuzzer's own options."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with atheris.instrument_imports(include=["mp3_slicer"]):
        from fuzz.targets import TARGETS
    chosen = _broken if sys.argv[1] == BROKEN else TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], atheris.instrument_func(chosen))
    atheris.Fuzz()


def _broken(data: bytes) -> None:
    """A target with a defect: that it is found tells that others would be."""
    if data[:1] == b"1" and data[1:2] == b"," and data[2:3] == b"~":
        raise ValueError("a defect that only who looks for it finds")


if __name__ == "__main__":
    _main()
