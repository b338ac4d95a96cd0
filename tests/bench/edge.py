"""`make bench-edge`: what Nginx in front costs and saves. Ratios of one run."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from report import Report

from mp3_slicer.server.machine import cpus, memory_bytes
from mp3_slicer.server.sizes import compute
from support.edge import Edge, site
from support.material import long_file
from support.server import Server, folder, free_port, serving, until

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 16
#: Clips that are cached, and files of their length.
KEPT = 50
#: Clips whose time is taken one by one, in each round, over each way.
SINGLE = 200
#: Where a cached answer's body begins in its file, about: no multiple of anything.
OFFSET = 540

# Each thread asks for clips of ten seconds. The seed is fixed. A start with a last digit of 1 is written as Slicer writes it.
LOAD = """
local kind, kept, offset = "{kind}", {kept}, {offset}
local host = "{kind}.test"
function setup(thread) thread:set("seed", {seed}) end
function init(arguments) math.randomseed(seed) end
function request()
  if kind == "static" then
    return wrk.format("GET", string.format("/%d", math.random(0, kept - 1)), {{ Range = "bytes=" .. offset .. "-" }})
  end
  if kind == "kept" then
    local start = 10 * math.random(0, kept - 1)
    return wrk.format("GET", string.format("/clips/show.mp3?t=%d,%d", start, start + 10), {{ Host = host }})
  end
  local start = string.format("%d.%06d1", math.random(0, 3580), math.random(0, 999999))
  return wrk.format("GET", string.format("/clips/show.mp3?t=%s,%.7f", start, start + 10), {{ Host = host }})
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %f %d\\n", summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Bench(Edge):
    """The edge with a server of plain files beside its sites."""

    static = 0

    def render(self, sites: list[dict[str, object]], **variables: object) -> None:  # type: ignore[override]
        super().render(sites, **variables)
        self.static = self.static or free_port()
        with open(self.conf, encoding="utf-8") as file:
            text = file.read().rstrip().removesuffix("}")
        log = f"{self.work}/static.access.log slicer buffer=64k flush=1s"
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(
                f"{text}server {{ listen 127.0.0.1:{self.static}; root {self.work}/static; access_log {log}; }}\n}}\n"
            )


def load(kind: str, port: int, work: str, seed: int, seconds: float = SECONDS) -> float:
    """Requests a second of one kind, of which none failed."""
    script = os.path.join(work, "load.lua")
    with open(script, "w", encoding="ascii") as file:
        file.write(LOAD.format(kind=kind, kept=KEPT, offset=OFFSET, seed=seed))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--timeout", "10s", "-s", script]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\S+) (\S+) (\S+)", out)
    assert found, out
    assert found[3] == "0", f"{kind}: {found[3]} of {found[1]} failed"
    return int(found[1]) / float(found[2])


def seconds_of(port: int, host: str, target: str) -> float:
    """From before the connection to the last byte of the answer."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 200"), head
        while connection.recv(1 << 20):
            pass
    return time.perf_counter() - began


@contextlib.contextmanager
def granian(media: str, work: str) -> Iterator[int]:
    """The same application under granian: a worker for each CPU, as Slicer has clips processes. Yields the port."""
    with open(os.path.join(work, "entry.py"), "w", encoding="ascii") as file:
        file.write(
            "import os\nfrom mp3_slicer.settings import Settings\nfrom mp3_slicer.web.app import create_app\n"
            "application = create_app(Settings.from_environ(os.environ))\n"
        )
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", str(os.cpu_count())]
    command += ["--blocking-threads", "3", "--no-ws", "--host", "127.0.0.1", "--port", str(port), "entry:application"]
    environ = {**os.environ, "SLICER_MEDIA": media, "SLICER_INDEX_DIR": os.path.join(work, "granian-index")}
    with open(os.path.join(work, "granian.log"), "wb") as log:
        process = subprocess.Popen(command, cwd=work, env=environ, stdout=log, stderr=log)

    def answers() -> bool:
        assert process.poll() is None, pathlib.Path(work, "granian.log").read_text()
        with contextlib.suppress(OSError):
            return bool(seconds_of(port, "granian.test", "/healthz"))
        return False

    try:
        until(answers, 30, "granian answers")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    for program, package in (("wrk", "wrk"), ("nginx", "nginx")):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            sys.exit(f"{program} is missing: apt-get install {package}")
    report = Report("edge")
    media, work = folder(), tempfile.mkdtemp(prefix="slicer-bench-")
    try:
        os.link(long_file(work, 60), os.path.join(media, "show.mp3"))
        with serving(media) as server, granian(media, work) as other:
            run(report, server, other, work)
    finally:
        shutil.rmtree(media, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
    report.write()


def run(report: Report, server: Server, other: int, work: str) -> None:
    ports = {
        "kept": (server.port, 256),
        "missed": (server.port, 64),
        "apache": (server.port, 0),
        "held": (server.port, 0),
        "granian": (other, 0),
    }
    kept = compute(cpus(), memory_bytes()).edge_kept_connections
    sites = [
        site(
            port,
            name,
            server_names=[f"{name}.test"],
            cache_mib=mib,
            clips_connections=2 * CONNECTIONS,
            kept_connections=kept if name == "held" else 0,
        )
        for name, (port, mib) in ports.items()
    ]
    edge = Bench(sites, nginx_client_connections=64)
    try:
        files = os.path.join(edge.work, "static")
        os.mkdir(files, 0o755)
        for number in range(KEPT):
            clip = edge.get(f"/clips/show.mp3?t={10 * number},{10 * number + 10}", Host="kept.test").body
            with open(os.path.join(files, str(number)), "wb") as file:
                file.write(bytes(OFFSET) + clip)
        cached(report, edge, work)
        alone(report, edge, server)
        uncached(report, edge, work)
        with in_memory() as place:
            other_edge = Bench(sites, nginx_client_connections=64, nginx_cache_path=place)
            try:
                filling(report, {"on disk": edge, "in memory": other_edge}, work)
            finally:
                other_edge.stop()
    finally:
        edge.stop()


@contextlib.contextmanager
def in_memory() -> Iterator[str]:
    """A folder in memory that all may read; removed at the end."""
    place = tempfile.mkdtemp(prefix="slicer-bench-", dir="/dev/shm")
    try:
        os.chmod(place, 0o755)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def turns(report: Report, rows: dict[str, str], rate: Callable[[str, int], float]) -> tuple[list[float], list[float]]:
    """Measure two kinds in turns, after one of each that does not count; their rates."""
    for kind in rows:
        rate(kind, 0)
    found: dict[str, list[float]] = {kind: [] for kind in rows}
    for number in range(ROUNDS):
        for kind in rows:
            found[kind].append(rate(kind, number + 1))
    for kind, name in rows.items():
        report.row(name, found[kind], "/s")
    one, two = found.values()
    return one, two


def cached(report: Report, edge: Edge, work: str) -> None:
    assert isinstance(edge, Bench)
    rows = {"kept": "cached clips", "static": "files of their length, from an odd offset"}
    port = {"kept": edge.port, "static": edge.static}
    clips, files = turns(report, rows, lambda kind, seed: load(kind, port[kind], work, seed))
    report.row("cached clips against files", [a / b for a, b in zip(clips, files, strict=True)], "×", "≥ 0.95")


def alone(report: Report, edge: Edge, server: Server) -> None:
    ways = {"through the edge": (edge.port, "missed.test"), "from Apache": (server.port, "x")}
    medians: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        times: dict[str, list[float]] = {name: [] for name in ways}
        for each in range(SINGLE):
            start = f"{100 + each}.{number + 1:03d}1"
            for name, (port, host) in ways.items():
                times[name].append(1000 * seconds_of(port, host, f"/clips/show.mp3?t={start},{float(start) + 10:.4f}"))
        for name, all_times in times.items():
            medians[name].append(statistics.median(all_times))
    for name, values in medians.items():
        report.row(f"one clip that is not cached, {name}", values, "ms")
    report.row(
        "added by the edge", [a - b for a, b in zip(*(medians[name] for name in ways), strict=True)], "ms", "< 1"
    )


def uncached(report: Report, edge: Edge, work: str) -> None:
    rows = {"apache": "clips, never cached, by Apache and mod_wsgi", "granian": "the same by granian"}
    ours, theirs = turns(report, rows, lambda kind, seed: load(kind, edge.port, work, seed))
    report.row("Apache and mod_wsgi against granian", [a / b for a, b in zip(ours, theirs, strict=True)], "×", "≥ 0.45")
    rows = {"held": "clips, never cached, over kept connections", "apache": "the same over new ones"}
    kept, new = turns(report, rows, lambda kind, seed: load(kind, edge.port, work, seed))
    report.row("kept connections against new ones", [a / b for a, b in zip(kept, new, strict=True)], "×", "≥ 1.05")


def filling(report: Report, edges: dict[str, Edge], work: str) -> None:
    """First requests that also fill the cache, against those that are never cached, in turns, by where the cache is.

    On a disk this is the disk's, too: each fill writes a file, and removes another once the cache is full. In memory it is Nginx's alone.
    """
    for place, edge in edges.items():
        bar = "≥ 0.9" if place == "in memory" else ""
        rates: dict[str, list[float]] = {"apache": [], "missed": []}
        for kind in rates:
            load(kind, edge.port, work, 0)
        for number in range(ROUNDS):
            for kind, found in rates.items():
                found.append(load(kind, edge.port, work, number + 1))
        report.row(f"first requests that also fill a cache {place}", rates["missed"], "/s")
        ratios = [a / b for a, b in zip(rates["missed"], rates["apache"], strict=True)]
        report.row(f"a cache {place} filled, against clips never cached", ratios, "×", bar)


if __name__ == "__main__":
    main()
