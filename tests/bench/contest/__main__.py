"""Runs the contest: `python -m contest [--quick] [--only NAME …]`. Results go to build/bench/contest.json."""

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from liveserver import folder
from material import long_file

from contest import corruption, document, phases
from contest.contestants import CONTESTANTS, CPUS, Contestant, Place
from contest.front import front
from contest.load import Want
from slicer.mp3 import SECOND, build_whole_index, cut
from slicer.render import RenderRequest, render
from slicer.render.limits import Limits

FILE = os.path.join("build", "bench", "contest.json")
ROUNDS = 3
#: Different clips and renders that are asked for.
CLIPS, RENDERS = 400, 60
#: Nginx lets so many renders through at a time where it limits them: those that are worked on, and as many that wait.
WAITING = 2


def digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


class Material:
    """An hour, and what its clips and renders must consist of."""

    def __init__(self, work: str) -> None:
        self.media = folder()
        path = os.path.join(self.media, "show.mp3")
        os.link(long_file(work, 60), path)
        os.chmod(path, 0o644)
        self._draw = random.Random(1)
        fd = os.open(path, os.O_RDONLY)
        try:
            index = build_whole_index(fd)
            self.clips, self.long = [], []
            for wants, number, seconds in ((self.clips, CLIPS, 10), (self.long, 20, 600)):
                for _ in range(number):
                    start = self._draw.randrange(0, 3590 - seconds)
                    span = index.locate(start * SECOND, (start + seconds) * SECOND)
                    body = cut(fd, span).read(fd)
                    wants.append(Want(f"/clips/show.mp3?t={start},{start + seconds}", digest(body)))
            self.renders = []
            for _ in range(RENDERS):
                start = self._draw.randrange(0, 3580)
                pairs = [("t", f"{start},{start + 10}"), ("fade", "0.5,1"), ("gain", "-3")]
                query = "&".join(f"{name}={text}" for name, text in pairs)
                with render(RenderRequest.parse("mp3", pairs), fd, index, Limits(), scratch=work) as done:
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
    """One server, once, from its start to its end."""
    found: dict[str, float] = {}
    with room(material) as place, contestant.start(place) as backend:
        limit = WAITING * CPUS if contestant.limited else 0
        with front(place.work, backend.ports, contestant.protocol, limit) as nginx:
            phases.clips(nginx.port, material.clips, lengths.warm, place.work)
            found["idle_processes"], found["idle_memory_mib"] = len(backend.processes()), backend.memory()
            found |= phases.clips(nginx.port, material.clips, lengths.clips, place.work)
            found |= phases.capacity(nginx.port, material.renders, lengths.capacity)
            able = found["renders_per_second"]
            found |= phases.overload(nginx.port, backend, able, material.renders, material.clips, lengths.overload)
            found["wrong"] += found.pop("render_wrong")
            if lengths.others:
                if contestant.protocol == "http":
                    cheap = material.clips
                    found |= phases.slow_clients(backend, nginx.port, material.long, cheap, lengths.others)
                phases.calm_after(nginx.port, material.clips)
                found |= phases.killed_worker(nginx.port, backend, material.clips, lengths.others)
    return found


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="contest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: numbers to look at, not to quote")
    parser.add_argument("--only", nargs="*", default=[], help="names of servers, or beginnings of them")
    parser.add_argument("--output", default=FILE, help="where the results go")
    options = parser.parse_args()
    lengths, rounds = (phases.QUICK, 1) if options.quick else (phases.WHOLE, ROUNDS)
    chosen = [each for each in CONTESTANTS if not options.only or each.name.startswith(tuple(options.only))]
    work, began = tempfile.mkdtemp(prefix="slicer-contest-"), time.monotonic()
    results: dict[str, list[dict[str, float]]] = {each.name: [] for each in chosen}
    left_out: dict[str, str] = {}
    material = Material(work)
    wrong: list[dict[str, object]] = []
    try:
        wrong += corruption.show(
            os.path.join(material.media, "show.mp3"), work, 20_000, 50_000 if options.quick else 1_000_000
        )
        for number in range(rounds):
            order = [each for each in chosen if each.name not in left_out]
            random.Random(number).shuffle(order)
            for each in order:
                missing = [name for name in each.needs if not importlib.util.find_spec(name)]
                if missing:
                    left_out[each.name] = f"{', '.join(missing)} cannot be installed here"
                    continue
                try:
                    found = measure(each, material, lengths)
                except Exception as error:
                    left_out[each.name] = f"{type(error).__name__}: {error}"[-600:]
                    print(f"{each.name}: {left_out[each.name]}", file=sys.stderr, flush=True)
                    continue
                results[each.name].append(found)
                print(
                    f"{each.name:44} clips {found['clips_per_second']:6.0f}/s p95 {found['clips_p95_ms']:6.0f} ms | renders "
                    f"{found['renders_per_second']:5.1f}/s | at 10x: {100 * found['goodput_of_capacity']:4.0f} %, clips p95 "
                    f"{found['clips_beside_p95_ms']:6.0f} ms, {found['processes']:3} processes, wrong {found['wrong']}",
                    flush=True,
                )
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(material.media, ignore_errors=True)
    os.makedirs(os.path.dirname(options.output) or ".", exist_ok=True)
    results_of_all = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "seconds": round(time.monotonic() - began),
        "machine": {"cpus": CPUS, "machine": platform.machine(), "system": platform.release()},
        "versions": versions(),
        "servers": [
            {
                "name": each.name,
                "why": each.why,
                "rounds": results[each.name],
                "median": {
                    key: statistics.median(found[key] for found in results[each.name] if key in found)
                    for key in dict.fromkeys(key for found in results[each.name] for key in found)
                },
            }
            for each in chosen
            if results[each.name]
        ],
        "left_out": left_out,
        "corruption": wrong,
    }
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(results_of_all, file, indent=1)
    page = document.write(options.output)
    print(f"kept in {options.output} and {page}, after {results_of_all['seconds']} s")


if __name__ == "__main__":
    main()
