"""Runs the contest: `python -m contest [--quick] [--rounds N] [--only NAME …]`. Results go to build/bench/contest.json."""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from contest import corruption, phases
from contest.contestants import CONTESTANTS, CPUS, GONE, Contestant, Place
from contest.front import front
from contest.load import Want, digest
from mp3_slicer.mp3 import SECOND, FileReader, build_whole_index, cut
from mp3_slicer.render import RenderRequest
from mp3_slicer.render.audio.render import render
from mp3_slicer.render.limits import Limits
from mp3_slicer.server.machine import cpus, memory_bytes
from mp3_slicer.server.sizes import compute
from support.material import long_file
from support.server import folder

FILE = os.path.join("build", "bench", "contest.json")
ROUNDS = 3
#: Different clips and renders that are asked for; and renders for a quick look, which are made beforehand one after another.
CLIPS, RENDERS, QUICK_RENDERS = 400, 60, 30


class Material:
    """An hour, and what its clips and renders must consist of."""

    def __init__(self, work: str, renders: int) -> None:
        self.media = folder()
        path = os.path.join(self.media, "show.mp3")
        os.link(long_file(work, 60), path)
        os.chmod(path, 0o644)
        self._draw = random.Random(1)
        fd = os.open(path, os.O_RDONLY)
        try:
            index = build_whole_index(FileReader(fd))
            self.clips, self.long = [], []
            for wants, number, seconds in ((self.clips, CLIPS, 10), (self.long, 20, 600)):
                for _ in range(number):
                    start = self._draw.randrange(0, 3590 - seconds)
                    span = index.locate(start * SECOND, (start + seconds) * SECOND)
                    body = cut(FileReader(fd), span).read(FileReader(fd))
                    wants.append(Want(f"/clips/show.mp3?t={start},{start + seconds}", digest(body)))
            self.renders = []
            for _ in range(renders):
                start = self._draw.randrange(0, 3580)
                pairs = [("t", f"{start},{start + 10}"), ("fade", "0.5,1"), ("gain", "-3")]
                query = "&".join(f"{name}={text}" for name, text in pairs)
                with render(RenderRequest.parse("mp3", pairs), FileReader(fd), index, Limits(), scratch=work) as done:
                    self.renders.append(Want(f"/renders/show.mp3?{query}", digest(done.read())))
        finally:
            os.close(fd)


@contextlib.contextmanager
def room(material: Material) -> Iterator[Place]:
    """A folder for one server, and all it makes."""
    work = folder()
    os.chmod(work, 0o777)
    try:
        yield Place(material.media, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measure(contestant: Contestant, material: Material, lengths: phases.Lengths) -> dict[str, float]:
    """One server, once: started twice, the second time to be hurt."""
    found: dict[str, float] = {}
    counts = {"answers_checked": 0.0, "wrong": 0.0}

    def add(phase: dict[str, float]) -> None:
        for name in counts:
            counts[name] += phase.pop(name, 0)
        found.update(phase)

    limit = compute(cpus(), memory_bytes()).edge_renders_connections if contestant.limited else 0
    with (
        room(material) as place,
        contestant.start(place) as backend,
        front(place.work, backend.ports, contestant.protocol, limit) as nginx,
    ):
        phases.ready(nginx.port, material.clips)
        if lengths.warm:
            phases.clips(nginx.port, material.clips, lengths.warm, place.work)
        found["idle_processes"], found["idle_memory_mib"] = len(backend.processes()), backend.memory()
        add(phases.clips(nginx.port, material.clips, lengths.clips, place.work))
        add(phases.checked(nginx.port, material.clips, lengths))
        if contestant.protocol == "http":
            add(phases.slow_clients(backend, nginx.port, material.long, material.clips, lengths))
            phases.calm_after(nginx.port, material.clips, lengths)
        add(phases.capacity(nginx.port, material.renders, lengths))
        able = found["renders_per_second"]
        add(phases.overload(nginx.port, backend, able, material.renders, material.clips, lengths))
    # Anew: some are busy for minutes with what nobody waits for any more, and what a kill does to that would say nothing.
    with (
        room(material) as place,
        contestant.start(place) as backend,
        front(place.work, backend.ports, contestant.protocol, limit) as nginx,
    ):
        phases.ready(nginx.port, material.clips)
        add(phases.killed_worker(nginx.port, backend, material.clips, lengths))
    return found | counts


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    from importlib.metadata import PackageNotFoundError, version

    names = ("gunicorn", "gevent", "pyuwsgi", "flup", "cheroot", "bjoern", "tornado", "waitress", "granian", "eventlet")
    found = {"python": platform.python_version()}
    for name in (*names, "mod_wsgi", "werkzeug"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    for name, command in (("nginx", ["nginx", "-v"]), ("apache", ["apache2", "-v"])):
        path = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin")
        said = subprocess.run([path or name, *command[1:]], check=True, capture_output=True, text=True)
        found[name] = (said.stdout + said.stderr).split("/")[1].split()[0]
    return found


def busyness(seconds: float = 2) -> float:
    """The part of all CPU time that others use, while this program waits."""

    def times() -> tuple[int, int]:
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(word) for word in file.readline().split()[1:]]
        return sum(fields), fields[3] + fields[4]

    (before, idle), _, (after, still) = times(), time.sleep(seconds), times()
    return 1 - (still - idle) / max(1, after - before)


def reason(error: Exception) -> str:
    """The last line that a server or this program said, without the files of this machine."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {re.sub(r'[^ ]*/[^ ]*', '…', lines[-1] if lines else '')}"[:200]


class Run:
    """What was found so far, and with what."""

    def __init__(self, chosen: Sequence[Contestant], lengths: phases.Lengths, quick: bool, path: str) -> None:
        self.began = time.monotonic()
        self.corruption: list[dict[str, object]] = []
        self.left_out: dict[str, str] = {}
        self._chosen = chosen
        self._lengths = lengths
        self._quick = quick
        self._path = path
        self._rounds: dict[str, list[dict[str, float]]] = {each.name: [] for each in chosen}
        self._busy = busyness()

    def measure(self, each: Contestant, material: Material) -> None:
        """One server, once; one that cannot run is left out from then on, with the reason."""
        if missing := [name for name in each.needs if not importlib.util.find_spec(name)]:
            self.left_out[each.name] = f"{', '.join(missing)} cannot be installed here"
            return
        started = time.monotonic()
        try:
            found = measure(each, material, self._lengths)
        except Exception as error:
            traceback.print_exc()
            self.left_out[each.name] = reason(error)
            return
        self._rounds[each.name].append(found)
        print(
            f"{each.name:36} clips {found['clips_per_second']:6.0f}/s p95 {found['clips_p95_ms']:6.0f} ms | renders "
            f"{found['renders_per_second']:5.1f}/s | at 10x: {100 * found['goodput_of_capacity']:4.0f} %, clips p95 "
            f"{found['clips_beside_p95_ms']:6.0f} ms, {found['processes']:3} processes, wrong {found['wrong']:.0f} "
            f"({time.monotonic() - started:.0f} s)",
            flush=True,
        )

    def _server(self, each: Contestant) -> dict[str, object]:
        rounds = self._rounds[each.name]
        keys = dict.fromkeys(key for found in rounds for key in found)
        median = {key: statistics.median(found[key] for found in rounds if key in found) for key in keys}
        own = {"slicer": each.slicer, "ours": each is CONTESTANTS[0]}
        return {"name": each.name, **own, "why": each.why, "rounds": rounds, "median": median}

    def keep(self) -> None:
        """Write all of it as JSON."""
        results = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "busy": self._busy,
            "quick": self._quick,
            "seconds": round(time.monotonic() - self.began),
            "machine": {"cpus": CPUS, "memory_gib": round(memory_bytes() / 2**30), "machine": platform.machine()},
            "lengths": dataclasses.asdict(self._lengths),
            "versions": versions(),
            "servers": [self._server(each) for each in self._chosen if self._rounds[each.name]],
            "left_out": self.left_out | GONE,
            "corruption": self.corruption,
        }
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        with open(self._path, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


def main() -> None:
    # So that servers are stopped, and folders removed, however this is stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    parser = argparse.ArgumentParser(prog="contest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: numbers to look at, not to quote")
    parser.add_argument(
        "--rounds", type=int, default=0, help=f"how often each is measured: {ROUNDS}, or 1 with --quick"
    )
    parser.add_argument("--only", nargs="*", default=[], help="names of servers, or beginnings of them")
    parser.add_argument("--output", default=FILE, help="where the results go")
    options = parser.parse_args()
    lengths = phases.QUICK if options.quick else phases.WHOLE
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    chosen = [each for each in CONTESTANTS if not options.only or each.name.startswith(tuple(options.only))]
    if not chosen:
        parser.error(f"no server's name begins with that; there are: {'; '.join(each.name for each in CONTESTANTS)}")
    run = Run(chosen, lengths, options.quick, options.output)
    if options.quick and not options.only:
        run.left_out |= {
            each.name: "a quick look leaves it out, for another of its family is there"
            for each in chosen
            if each.variant
        }
    with tempfile.TemporaryDirectory(prefix="slicer-contest-") as work:
        material = Material(work, QUICK_RENDERS if options.quick else RENDERS)
        run.corruption += corruption.show(
            os.path.join(material.media, "show.mp3"),
            work,
            *((1, 4_000, 10_000) if options.quick or options.only else (10, 20_000, 1_000_000)),
        )
        for number in range(rounds):
            order = [each for each in chosen if each.name not in run.left_out]
            random.Random(number).shuffle(order)
            for each in order:
                run.measure(each, material)
                # Each time, so that a run that is interrupted leaves what it found.
                run.keep()
    print(f"kept in {options.output}, after {time.monotonic() - run.began:.0f} s")


if __name__ == "__main__":
    main()
