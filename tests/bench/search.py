"""`make bench-search`: how long searches take in a large archive, what its catalogue costs, and what searches cost clips.

The text is made of words as frequent as those of a language: a share of real English function words at their real frequencies, and a
long tail by the law of Zipf and Mandelbrot. `--quick` is a fiftieth of it.
"""

import argparse
import itertools
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from threading import Event, Thread
from urllib.parse import quote

from report import Report
from serving import Load

from mp3_slicer.catalogue import build, generations
from mp3_slicer.catalogue.build import Seen
from mp3_slicer.catalogue.documents import Document, Part
from mp3_slicer.catalogue.parts import pack, split, words
from mp3_slicer.tags import Names
from mp3_slicer.transcripts import Cue
from support.material import long_file
from support.server import Server, folder, serving

FILES, QUICK_FILES = 100_000, 2_000
#: Cues of a file, and words of a cue: as transcripts of half an hour have them.
CUES, WORDS = 100, 9
VOCABULARY = 400_000
QUERIES, CHANGES = 300, 5
BATCH = 64
SEARCHES_A_SECOND = 20
LOAD_SECONDS = 8
#: The most frequent words of English, with how many of a million words each is.
FREQUENT = {
    "the": 61847, "of": 29391, "and": 26817, "a": 21626, "in": 18214, "to": 16284, "it": 10875, "is": 9982, "was": 9236,
    "i": 8875, "for": 8412, "that": 7308, "you": 6954, "he": 6810, "be": 6644, "with": 6575, "on": 6475, "by": 5096,
    "at": 4790, "have": 4735, "are": 4707, "not": 4626, "this": 4623, "but": 4577, "had": 4452, "they": 4332,
    "his": 4285, "from": 4134, "she": 3801, "which": 3719, "or": 3707, "we": 3578, "an": 3430, "there": 2801,
    "her": 2694, "were": 2681, "one": 2532, "do": 2441, "been": 2381, "all": 2255, "their": 2608, "has": 2593,
}  # fmt: skip
_SYLLABLES = [a + b + c for a in ("", *"bcdfghjklmnprstvw") for b in "aeiou" for c in ("", "n", "r", "s", "t", "l")]


@cache
def vocabulary() -> tuple[list[str], list[float]]:
    """Words, and the sums of their frequencies."""
    rng = random.Random(0)
    tail: dict[str, None] = {}
    while len(tail) < VOCABULARY:
        tail[f"{''.join(rng.choices(_SYLLABLES, k=rng.choice((1, 2, 2, 3, 3, 4))))}"] = None
    left = 1_000_000 - sum(FREQUENT.values())
    shares = [1 / (rank + 2.7) for rank in range(len(FREQUENT), len(FREQUENT) + VOCABULARY)]
    whole = sum(shares)
    frequencies = [*map(float, FREQUENT.values()), *(left * share / whole for share in shares)]
    return [*FREQUENT, *tail], list(itertools.accumulate(frequencies))


def cues_of(number: int) -> list[Cue]:
    """What is said in a file."""
    rng = random.Random(number)
    population, sums = vocabulary()
    said = rng.choices(population, cum_weights=sums, k=CUES * WORDS)
    return [
        Cue(
            start * 18_000,
            start * 18_000 + 17_000,
            " ".join(said[start * WORDS : (start + 1) * WORDS]),
            f"S{start % 2}",
        )
        for start in range(CUES)
    ]


def documents(batch: list[Seen]) -> tuple[list[Document], float]:
    """The documents of some files, and the seconds that making up their text took."""
    made, seconds = [], 0.0
    for each in batch:
        began = time.perf_counter()
        cues = cues_of(each.mtime_ns)
        seconds += time.perf_counter() - began
        parts = tuple(Part(pack(part), words(part)) for part in split(cues))
        names = Names(title=f"Title {each.mtime_ns}", artist="Somebody")
        made.append(
            Document(
                each.path, each.path, b"", each.stamp, 1000, each.mtime_ns, 1_800_000, names, b"", len(cues), parts
            )
        )
    return made, seconds


def ready(_: int) -> int:
    """Have a process make its words up."""
    return len(vocabulary()[0])


class Archive:
    """The catalogue of a media folder whose files need not be there."""

    def __init__(self, media: str, index: str, files: int, processes: int) -> None:
        self.media, self.index, self.files, self._processes = media, index, files, processes
        self.made_up = 0.0  #: seconds of CPU in which text was made up

    def update(self, changed: int = 0) -> float:
        """Build it, or bring it up to date with the first files changed; returns seconds without those of making up text."""
        seen = [
            Seen(b"%03d/file %06d.mp3" % (number % 1000, number), f"{changed if number < changed else 0}", number)
            for number in range(self.files)
        ]
        self.made_up = 0.0
        with ProcessPoolExecutor(self._processes, mp_context=get_context("spawn")) as pool:
            # Words are made up before the clock runs.
            list(pool.map(ready, range(self._processes)))

            def read(wanted: list[Seen]) -> Iterator[Document]:
                batches = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
                for group in range(0, len(batches), 64):
                    for found, seconds in pool.map(documents, batches[group : group + 64]):
                        self.made_up += seconds
                        yield from found

            began = time.perf_counter()
            build.update(self.index, self.media, seen, read)
            seconds = time.perf_counter() - began - self.made_up / self._processes
        # The server runs as somebody else where root runs this.
        for path, _, names in os.walk(self.index):
            os.chmod(path, 0o777)
            for name in names:
                os.chmod(os.path.join(path, name), 0o644)
        return seconds

    @property
    def path(self) -> str:
        """The generation that counts."""
        return generations.current(generations.folder_of(self.index, self.media)) or ""


def queries() -> list[str]:
    """Of one to three words, common ones included, phrases, beginnings and parts of words."""
    rng = random.Random(1)
    population, sums = vocabulary()
    made = []
    for number in range(QUERIES):
        found = rng.choices(population, cum_weights=sums, k=rng.choice((1, 2, 2, 3)))
        match number % 10:
            case 7:
                cue = cues_of(number)[number % CUES].text.split()
                found = [f'"{" ".join(cue[:2])}"']
            case 8:
                found[-1] = f"{found[-1]}*"
            case 9:
                found = [f"*{next(word for word in rng.sample(population, 50) if len(word) > 5)[1:5]}*"]
            case _:
                pass
        made.append(" ".join(found))
    return made


def timed(server: Server, query: str) -> float:
    """Milliseconds of a search through Apache."""
    began = time.perf_counter()
    status, _, body = server.get(f"/search?q={quote(query)}")
    if status not in {200, 400}:
        sys.exit(f"{query!r}: {status} {body[:200]!r}")
    return 1000 * (time.perf_counter() - began)


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def forget(path: str) -> None:
    """Have the kernel forget what it holds of a file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def private(server: Server) -> float:
    """MiB of private memory of a process of clips, the largest of them."""
    sizes = []
    for pid in server.daemons("clips"):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes.append(sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")))
    return max(sizes) / 1024


def beside(server: Server, work: str, wanted: list[str], report: Report) -> None:
    """Clips a second without searches and with some, in turns."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    for searching in (False, True, True, False, False, True):
        end = Event()

        def search(end: Event = end) -> None:
            for query in itertools.cycle(wanted):
                if end.wait(1 / SEARCHES_A_SECOND):
                    return
                timed(server, query)

        thread = Thread(target=search)
        if searching:
            thread.start()
        rates[searching].append(Load(server.url, work, connections=16, seconds=LOAD_SECONDS, seed=1).rate)
        end.set()
        if searching:
            thread.join()
    report.row("clips a second without searches", rates[False], "/s")
    report.row(f"clips a second beside {SEARCHES_A_SECOND} searches a second", rates[True], "/s")
    ratios = [a / b for a, b in zip(rates[True], rates[False], strict=True)]
    report.row("clips a second beside searches ÷ without", ratios, "", "≥ 0.9")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    files = QUICK_FILES if parser.parse_args().quick else FILES
    report = Report("search")
    media, index, work = folder(), folder(), tempfile.mkdtemp(prefix="slicer-bench-")
    try:
        shutil.copy(long_file(work, minutes=60), os.path.join(media, "show.mp3"))
        os.chmod(os.path.join(media, "show.mp3"), 0o644)
        archive = Archive(os.path.realpath(media), index, files, os.cpu_count() or 1)
        report.row(f"building, {files:,} files and {files * CUES:,} cues", [archive.update()], "s", "≤ 90")
        report.row("size", [os.path.getsize(archive.path) / 1e6], "MB", "≤ 800")
        wanted = queries()
        with serving(media, environ={"SLICER_INDEX_DIR": index}) as server:
            for _ in range(20):
                server.get("/clips/show.mp3?t=1,2")
            before = private(server)
            for _ in range(20):
                timed(server, "archive")
            opened = private(server) - before
            report.row("private memory of a process of clips with the catalogue open", [opened], "MiB", "≤ 8")
            cold = []
            for query in wanted[:: max(1, QUERIES // 30)]:
                forget(archive.path)
                cold.append(timed(server, query))
            report.row("a search, cold: p95", [percentile(cold, 0.95)], "ms", "≤ 250")
            for query in wanted:
                timed(server, query)
            warm = [[timed(server, query) for query in wanted] for _ in range(3)]
            report.row("a search: p50", [percentile(each, 0.5) for each in warm], "ms", "≤ 15")
            report.row("a search: p95", [percentile(each, 0.95) for each in warm], "ms", "≤ 60")
            report.row("a search: slowest", [max(each) for each in warm], "ms")
            report.row("the same after all searches, in all its threads", [private(server) - before], "MiB")
            beside(server, work, wanted, report)
            report.row(f"bringing up to date, {CHANGES} of {files:,} files changed", [archive.update(CHANGES)], "s")
            began = time.perf_counter()
            timed(server, "the")
            report.row("found after that", [time.perf_counter() - began], "s", "≤ 2")
    finally:
        shutil.rmtree(media, ignore_errors=True)
        shutil.rmtree(index, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
    report.write()


if __name__ == "__main__":
    main()
