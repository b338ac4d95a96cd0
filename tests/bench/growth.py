"""`make bench-growth`: clips a second, and how long they take, as files, offsets, clips, libraries, processes and connections grow.

Each growth is a few points that are measured in turns, in another order each round. Beside what wrk says there is the CPU time that the
server's own processes took, which does not count wrk's. `--quick` is one short round over a smaller library.
"""

import contextlib
import glob
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from report import Report
from serving import Load

from support import streams
from support.edge import Edge, edge_of, site
from support.material import long_file
from support.server import Server, children_of, folder, raw, serving, until

CONNECTIONS = 16
TICK = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1_000_000
#: Seconds of load that do not count. wrk knows whole seconds only.
WARM_UP = 1
#: Files of one library are names of a few: one file can have some ten thousand names only.
COPIES = 10
#: Names of one empty file.
LINKS = 20_000
#: Clips that the edge has at hand, of each length.
KEPT = 50
#: Clips whose bytes are read from the disk, one after another.
COLD = 40


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    seconds: int
    library: tuple[int, ...]
    names: int  #: in one folder, for the list


FULL = Scale(3, 2, (1, 100, 1_000, 10_000, 100_000), 1_000_000)
QUICK = Scale(1, 1, (1, 100, 1_000, 5_000), 50_000)


@dataclass(frozen=True)
class Run:
    """One short load: clips a second, the slowest twentieth's milliseconds, the server's CPU milliseconds for each, and errors."""

    rate: float
    p95: float
    cpu: float
    errors: int


def used(pids: list[int]) -> float:
    """Seconds of CPU that these processes have taken so far."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def measured(url: str, work: str, pids: Callable[[], list[int]], **load: Any) -> Run:
    before = used(pids())
    done = Load(url, work, **{"connections": CONNECTIONS, **load})
    return Run(done.rate, done.p95, 1000 * (used(pids()) - before) / max(1, done.requests), done.errors)


class Growth:
    """What was measured, by point."""

    def __init__(self, report: Report, scale: Scale) -> None:
        self._report = report
        self._scale = scale
        self.errors = 0

    def sweep(self, points: Mapping[str, Callable[[int, int], Run]], whose: str = "the server") -> dict[str, list[Run]]:
        """Measure each point (seconds and a seed go in) in each round, and report them in order."""
        found: dict[str, list[Run]] = {name: [] for name in points}
        # For nothing: the first requests of a server are slower.
        next(iter(points.values()))(WARM_UP, 0)
        for number in range(self._scale.rounds):
            order = list(points)
            random.Random(number).shuffle(order)
            for name in order:
                found[name].append(points[name](self._scale.seconds, 1000 * (number + 1)))
        for name, runs in found.items():
            self.errors += sum(run.errors for run in runs)
            self._report.row(name, [run.rate for run in runs], "/s")
            self._report.row(f"{name}: p95", [run.p95 for run in runs], "ms")
            self._report.row(f"{name}: CPU of {whose}", [run.cpu for run in runs], "ms")
        return found


def line(small: list[Run], large: list[Run], small_bytes: int, large_bytes: int) -> tuple[list[float], list[float]]:
    """What an answer costs beside its bytes, and each megabyte of it, in milliseconds of CPU for each round."""
    slopes = [
        max(0.0, (b.cpu - a.cpu) / (large_bytes - small_bytes) * MEGABYTE) for a, b in zip(small, large, strict=True)
    ]
    return [a.cpu - slope * small_bytes / MEGABYTE for a, slope in zip(small, slopes, strict=True)], slopes


def milliseconds(server: Server, target: str) -> float:
    began = time.perf_counter()
    status, _, body = server.get(target)
    assert status == 200, body[:300]
    return 1000 * (time.perf_counter() - began)


def length_of(server: Server, target: str) -> int:
    return int(server.get(target, "HEAD")[1]["content-length"])


# ------------------------------------------------------------------------------------ files, offsets, clips, connections

FILES = {1: "1 min", 10: "10 min", 60: "1 h", 600: "10 h"}
OFFSETS = {0: "0:00:00", 18_000: "5:00:00", 35_900: "9:58:20"}
LENGTHS = {0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "60 s", 600: "10 min", 7200: "2 h"}
CLIENTS = (1, 4, 16, 64, 200)


def one_server(growth: Growth, report: Report, scale: Scale, work: str, media: str) -> None:
    for minutes in FILES:
        os.link(long_file(work, minutes), os.path.join(media, f"{minutes}.mp3"))
    with serving(media) as server:
        load = partial(measured, server.url, work, server.everything)
        points: dict[str, Callable[[int, int], Run]] = {}
        for minutes, name in FILES.items():
            milliseconds(server, f"/clips/{minutes}.mp3?t=5,15")
            points[f"10 s of a file of {name}"] = partial(
                _at, load, path=f"/clips/{minutes}.mp3", first=0, last=60 * minutes - 11
            )
        for start, name in OFFSETS.items():
            points[f"10 s from about {name} of 10 h"] = partial(
                _at, load, path="/clips/600.mp3", first=start, last=start + 60
            )
        lengths = {}
        for length, name in LENGTHS.items():
            lengths[length] = f"clips of {name} of 10 h"
            # A clip that takes a second and more: fewer at a time, and time for some of them to be finished.
            long = length > 1000
            points[lengths[length]] = partial(
                _at,
                load,
                path="/clips/600.mp3",
                last=35_900 - int(length),
                length=length,
                connections=4 if long else CONNECTIONS,
                times=3 if long else 1,
            )
        clients = {
            f"10 s of 1 h, {number} connection{'s' * (number > 1)}": partial(
                _at, load, path="/clips/60.mp3", connections=number
            )
            for number in CLIENTS
        }
        found = growth.sweep(points | clients)
        bodies = {length: length_of(server, f"/clips/600.mp3?t=3000,{3000 + length:g}") for length in (0.1, 60)}
        beside, each = line(found[lengths[0.1]], found[lengths[60]], bodies[0.1], bodies[60])
        report.row("a clip beside its bytes: CPU of the server", beside, "ms")
        report.row("each MB of clips: CPU of the server", each, "ms")
        answer = raw(server.port, b"GET /clips/600.mp3?t=3000,3010 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        header = sum(len(name) + len(text) + 4 for name, text in answer[1].items())
        report.row("a clip of 10 s beside its audio, with its header", [header + len(answer[2]) - 160_000], "bytes")
        _first(report, scale, server, work, media)
        _disk(report, server, media)
        _memory(report, server)


def _at(load: Callable[..., Run], seconds: int, seed: int, times: int = 1, **given: Any) -> Run:
    return load(seconds=times * seconds, seed=seed, **given)


def _first(report: Report, scale: Scale, server: Server, work: str, media: str) -> None:
    """The first clip of a file that nobody has indexed: another name for a file is another file."""
    for minutes, name in FILES.items():
        taken = []
        for number in range(2 * scale.rounds + 1):
            new = f"new-{minutes}-{number}.mp3"
            os.link(long_file(work, minutes), os.path.join(media, new))
            taken.append(milliseconds(server, f"/clips/{new}?t=5,15"))
        report.row(f"the first clip of a file of {name}, its index made", taken, "ms")
    before = set(_indexes(server))
    os.link(long_file(work, 60), os.path.join(media, "size.mp3"))
    milliseconds(server, "/clips/size.mp3?t=5,15")
    (made,) = set(_indexes(server)) - before
    report.row("the index of an hour", [os.path.getsize(made) / 1000], "KB")


def _indexes(server: Server) -> list[str]:
    return [path for path in glob.glob(f"{server.folders['SLICER_INDEX_DIR']}/*") if os.path.isfile(path)]


def _disk(report: Report, server: Server, media: str) -> None:
    """Clips whose bytes the kernel has forgotten, and the same ones again."""
    fd = os.open(os.path.join(media, "600.mp3"), os.O_RDONLY)
    try:
        os.fsync(fd)
        cold, warm = [], []
        for number in range(COLD):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            target = f"/clips/600.mp3?t={800 * number + 77},{800 * number + 87}"
            cold.append(milliseconds(server, target))
            warm.append(milliseconds(server, target))
    finally:
        os.close(fd)
    report.row("one clip of 10 s, its bytes not in memory", cold, "ms")
    report.row("one clip of 10 s, its bytes in memory", warm, "ms")


def proportional(pids: list[int]) -> float:
    """Mebibytes of memory for each of the processes, what they share divided among them."""
    total = 0
    for pid in pids:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(text.split()[1]) for text in lines if text.startswith("Pss:"))
    return total / 1024 / len(pids)


def _memory(report: Report, server: Server) -> None:
    report.row("memory of a clips process after that", [proportional(server.daemons("clips"))], "MiB")
    report.row("memory of a renders process at rest", [proportional(server.daemons("renders"))], "MiB")
    report.row("memory of an Apache process", [proportional(server.children())], "MiB")


# ------------------------------------------------------------------------------------------------------------- library


def library(growth: Growth, report: Report, scale: Scale, work: str, media: str) -> None:
    most = scale.library[-1]
    source = streams.make("mpeg1-32-mono-cbr64", work, seconds=12)
    copies = [shutil.copy(source, os.path.join(work, f"copy-{number}.mp3")) for number in range(COPIES)]
    for number in range(most):
        os.link(copies[number % COPIES], os.path.join(media, f"{number:06d}.mp3"))
    with serving(media) as server:
        command = [sys.executable, "-m", "mp3_slicer", "index", media]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run(
            command, env={**os.environ, **server.folders}, check=True, stdin=subprocess.DEVNULL, capture_output=True
        )
        taken = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        report.row(f"slicer index of {most:,} short files", [most / taken], "/s")
        report.row("a short file that is indexed: CPU", [1000 * cpu / most], "ms")
        load = partial(measured, server.url, work, server.everything)
        points = {
            f"1 s of any of {number:,} file{'s' * (number > 1)}": partial(
                _at, load, path="/clips/%06d.mp3", files=number, last=10, length=1
            )
            for number in scale.library
        }
        growth.sweep(points)
        taken_list = [milliseconds(server, f"/library?after={most // 2:06d}.mp3&limit=100") for _ in range(5)]
        report.row(f"a hundred names from the midst of {most:,}", taken_list, "ms")


def names(report: Report, scale: Scale, media: str) -> None:
    """Pages of the list of one folder, the first of which waits until its names are sorted."""
    for number in range(scale.names):
        name = os.path.join(media, f"{number:07d}.mp3")
        if number % LINKS == 0:
            pathlib.Path(name).touch()
            first = name
        else:
            os.link(first, name)
    with serving(media) as server:
        began = time.perf_counter()
        until(lambda: server.get("/library?limit=1")[0] == 200, 600, "the names are sorted")
        report.row(f"the first page of {scale.names:,} names, sorted", [time.perf_counter() - began], "s")
        for limit in (1, 100):
            taken = [
                milliseconds(server, f"/library?limit={limit}&after={part * scale.names // 20:07d}.mp3")
                for part in range(20)
            ]
            report.row(f"{limit} of {scale.names:,} names", taken, "ms")
        report.row("memory of a clips process after a long list", [proportional(server.daemons("clips"))], "MiB")


# ----------------------------------------------------------------------------------------------------------- processes

PROCESSES = (1, 2, 4)


def processes(growth: Growth, work: str, media: str) -> None:
    os.link(long_file(work, 60), os.path.join(media, "000.mp3"))
    with contextlib.ExitStack() as stack:
        points: dict[str, Callable[[int, int], Run]] = {}
        for number in PROCESSES:
            server = stack.enter_context(serving(media, "--cpus", str(number)))
            load = partial(measured, server.url, work, server.everything)
            points[f"10 s of 1 h, {number} clips process{'es' * (number > 1)}"] = partial(_at, load)
        growth.sweep(points)


# ---------------------------------------------------------------------------------------------------------------- edge

SMALL, LARGE, LARGEST = 1, 10, 60


def edge(growth: Growth, report: Report, work: str, media: str) -> None:
    """What Nginx takes for an answer that it has, and for one that it asks a slicer for and keeps."""
    os.link(long_file(work, 60), os.path.join(media, "000.mp3"))
    with serving(media) as server, edge_of([site(server.port, clips_connections=2 * CONNECTIONS)]) as front:
        load = partial(measured, front.url, work, lambda: [front.process.pid, *children_of(front.process.pid)])
        points: dict[str, Callable[[int, int], Run]] = {}
        for length in (SMALL, LARGEST):
            _keep(front, length)
            points[_hit(length)] = partial(_at, load, last=KEPT - 1, length=length)
        for length in (SMALL, LARGE):
            points[_miss(length)] = partial(_at, load, length=length, fresh=True)
        found = growth.sweep(points)
        bodies = {length: length_of(server, f"/clips/000.mp3?t=30,{30 + length}") for length in (SMALL, LARGE, LARGEST)}
    beside, each = line(found[_hit(SMALL)], found[_hit(LARGEST)], bodies[SMALL], bodies[LARGEST])
    report.row("a cached clip beside its bytes: CPU of Nginx", beside, "ms")
    report.row("each MB of cached clips: CPU of Nginx", each, "ms")
    beside, each = line(found[_miss(SMALL)], found[_miss(LARGE)], bodies[SMALL], bodies[LARGE])
    report.row("a fetched clip beside its bytes: CPU of Nginx", beside, "ms")
    report.row("each MB of fetched clips: CPU of Nginx", each, "ms")


def _keep(front: Edge, length: int) -> None:
    for start in range(KEPT):
        front.get(f"/clips/000.mp3?t={start},{start + length}")
    assert front.get(f"/clips/000.mp3?t=0,{length}").cache == "HIT"


def _hit(length: int) -> str:
    return f"clips of {length} s that the edge has"


def _miss(length: int) -> str:
    return f"clips of {length} s that the edge fetches and keeps"


# ---------------------------------------------------------------------------------------------------------------- all


@contextlib.contextmanager
def media_folder() -> Iterator[str]:
    media = folder()
    try:
        yield media
    finally:
        shutil.rmtree(media, ignore_errors=True)


def main() -> None:
    for program in ("wrk", "nginx"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            sys.exit(f"{program} is missing: apt-get install {program}")
    scale = QUICK if "--quick" in sys.argv[1:] else FULL
    report = Report("growth")
    growth = Growth(report, scale)
    began = time.monotonic()
    # Links need one file system.
    with tempfile.TemporaryDirectory(prefix="slicer-bench-") as work:
        with media_folder() as media:
            one_server(growth, report, scale, work, media)
        with media_folder() as media:
            processes(growth, work, media)
        with media_folder() as media:
            edge(growth, report, work, media)
        with media_folder() as media:
            library(growth, report, scale, work, media)
        with media_folder() as media:
            names(report, scale, media)
    report.row("errors in all of it", [growth.errors], "", "0")
    report.write()
    print(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
