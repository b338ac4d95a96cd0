"""`make bench-render`: effects and other formats, against the ways people do it from Python today. CPU time, children included."""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import get_context

import overload
from report import Report

from mp3_slicer.mp3 import FileReader, Index, build_whole_index
from mp3_slicer.render import FORMATS, Limits, PeaksRequest, RenderRequest
from mp3_slicer.render.audio.encode import QUALITY
from mp3_slicer.render.audio.render import render
from mp3_slicer.render.peaks import peaks
from support.material import long_file

ROUNDS = 5
START, LENGTH = 3000, 10
MANY = 1000
LIMITS = Limits(work_seconds=Fraction(300))
#: The same encoder at the same care and bitrate for all.
ENCODER = ["-c:a", "libmp3lame", "-b:a", "128k", "-compression_level", str(QUALITY)]
FADE = (("fade", "0.5,1"), ("bitrate", "128"))


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU that the work takes, in this process and in children that have ended."""

    def used() -> float:
        times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in times)

    began = used()
    work()
    return used() - began


class Warm:
    """A file, open and indexed."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.index = build_whole_index(FileReader(self.fd))

    def render(self, form: str, start: int, *options: tuple[str, str], length: float = LENGTH) -> bytes:
        request = RenderRequest.parse(form, [("t", f"{start},{start + length}"), *options])
        with render(request, FileReader(self.fd), self.index, LIMITS) as made:
            return made.read()


def ffmpeg_encode(path: str, out: str) -> None:
    fades = f"afade=t=in:d=0.5,afade=t=out:st={LENGTH - 1}:d=1"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-ss", str(START), "-t", str(LENGTH), "-i", path]
    subprocess.run([*command, "-af", fades, *ENCODER, out], check=True)


def seeking_pydub(path: str, out: str) -> None:
    from pydub import AudioSegment

    span = AudioSegment.from_file(path, start_second=START, duration=LENGTH)
    span.fade_in(500).fade_out(1000).export(out, format="mp3", bitrate="128k", parameters=ENCODER[4:])


def naive_pydub(path: str, out: str) -> None:
    from pydub import AudioSegment

    span = AudioSegment.from_file(path)[START * 1000 : (START + LENGTH) * 1000]
    span.fade_in(500).fade_out(1000).export(out, format="mp3", bitrate="128k", parameters=ENCODER[4:])


def decode(path: str) -> float:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", path, "-f", "null", "-"]
    return cpu(lambda: subprocess.run(command, check=True))


def waveform(path: str) -> tuple[float, float]:
    """Seconds of CPU and mebibytes that a process of its own needs for the peaks of a file, Python and index included."""
    code = (
        "import os, resource, sys\n"
        "from mp3_slicer.mp3 import FileReader, build_whole_index\n"
        "from mp3_slicer.render import Limits, PeaksRequest\nfrom mp3_slicer.render.peaks import peaks\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "request = PeaksRequest.parse('json', [('zoom', '256')])\n"
        "peaks(request, FileReader(fd), build_whole_index(FileReader(fd)), Limits(work_seconds=300)).encode('json', 8)\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
    )
    said: list[str] = []
    run = [sys.executable, "-W", "ignore", "-c", code, path]
    taken = cpu(lambda: said.append(subprocess.run(run, check=True, capture_output=True, text=True).stdout))
    return taken, int(said[0]) / 1024


MIXED = [
    ("mp3", (("fade", "0.2,0.2"),)),
    ("wav", (("normalize", "peak"),)),
    ("mp3", (("gain", "-3"), ("channels", "1"))),
    ("flac", ()),
    ("wav", (("trim", "-50"),)),
    ("ogg", (("speed", "1.25"),)),
    ("wav", (("gain", "2"),)),
    ("opus", ()),
    ("mp3", (("rate", "22050"),)),
    ("m4a", ()),
]


def digest(fd: int, index: Index, number: int) -> str:
    form, options = MIXED[number % len(MIXED)]
    request = RenderRequest.parse(form, [("t", f"{7 * (number % 50)},{7 * (number % 50) + 1}"), *options])
    with render(request, FileReader(fd), index, LIMITS) as made:
        return hashlib.sha256(made.read()).hexdigest()


def digests(path: str, numbers: list[int]) -> list[str]:
    warm = Warm(path)
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda number: digest(warm.fd, warm.index, number), numbers))


def corrupt(path: str) -> int:
    """How many of many renders, in several processes of several threads, differ from the same ones made alone."""
    warm = Warm(path)
    alone = [digest(warm.fd, warm.index, number) for number in range(50)]
    numbers = list(range(MANY))
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        parts = [pool.submit(digests, path, numbers[at::4]) for at in range(4)]
        made = [(at + 4 * place, text) for at in range(4) for place, text in enumerate(parts[at].result())]
    assert len(made) == MANY
    return sum(text != alone[number % 50] for number, text in made)


def main() -> None:
    report = Report("render")
    with tempfile.TemporaryDirectory(prefix="slicer-bench-") as folder:
        minute, hour, ten = (long_file(folder, minutes) for minutes in (1, 60, 600))
        warm, big, small = Warm(hour), Warm(ten), Warm(minute)
        out = os.path.join(folder, "out.mp3")
        others = {
            "ffmpeg -ss, re-encoding": (ffmpeg_encode, ROUNDS, "≥ 2"),
            "pydub start_second": (seeking_pydub, 3, "≥ 20"),
            "naive pydub": (naive_pydub, 2, "≥ 70"),
        }
        ours: list[float] = []
        ratios: dict[str, list[float]] = {name: [] for name in others}
        for name, (work, rounds, _) in others.items():
            for _ in range(rounds):
                mine = cpu(lambda: warm.render("mp3", START, *FADE))
                ours.append(mine)
                ratios[name].append(cpu(lambda work=work: work(hour, out)) / mine)
        report.row("10 s of 1 h, faded, mp3 of 128 kbit/s: CPU", [1e3 * value for value in ours], "ms")
        for name, values in ratios.items():
            report.row(f"times less CPU than {name}", values, "×", others[name][2])
        pairs = []
        for _ in range(4 * ROUNDS):
            far = cpu(lambda: big.render("mp3", 9 * 3600 + 50 * 60, *FADE))
            pairs.append(far / cpu(lambda: small.render("mp3", 10, *FADE)))
        report.row("the same at 9:50:00 of 10 h against 0:10 of 1 min", pairs, "×", "≤ 1.2")
        for form in FORMATS:
            taken = [cpu(lambda form=form: warm.render(form, START)) for _ in range(ROUNDS)]
            report.row(f"10 s as {form}, children included: CPU", [1e3 * value for value in taken], "ms")
        taken = [cpu(lambda: warm.render("wav", START, ("normalize", "ebu"))) for _ in range(ROUNDS)]
        report.row("10 s as wav at a loudness: CPU", [1e3 * value for value in taken], "ms")
        waves = [(waveform(hour), decode(hour)) for _ in range(3)]
        report.row("peaks of 1 h, whole process: CPU", [taken for (taken, _), _ in waves], "s", "< 3")
        report.row(
            "the same against ffmpeg decoding it", [taken / theirs for (taken, _), theirs in waves], "×", "< 1.2"
        )
        report.row("memory for the peaks of 1 h, whole process", [memory for (_, memory), _ in waves], "MiB", "< 100")
        scan = cpu(lambda: peaks(PeaksRequest.parse("dat", [("t", "0,60")]), FileReader(small.fd), small.index, LIMITS))
        report.row("peaks of 1 min: CPU", [1e3 * scan], "ms")
        report.row(f"corrupt of {MANY:,} renders in 4 processes of 4 threads", [corrupt(hour)], "", "0")
    overload.measure(report)
    report.write()


if __name__ == "__main__":
    main()
