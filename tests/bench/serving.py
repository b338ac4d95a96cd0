"""`make bench-http`: clips through Apache and mod_wsgi, against a constant body through the same server. Ratios of one run."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import counting
from report import Report

from support.material import long_file
from support.server import Server, folder, serving, status

ROUNDS = 5
SECONDS = 4
#: Requests that go by before anything is counted: each process opens and indexes what it will serve.
WARM_UP = 2
FILES = 100
CLIPS = 100_000
#: Where the files are, by their number, and where the constant body is.
CLIPS_PATH, CONSTANT = "/clips/%03d.mp3", "/constant"

# Every request another clip: a random file, a random second, ten seconds unless told otherwise. The seed is fixed; each thread has its
# own. A fresh one has a start that is asked for once, written as Slicer writes it.
RANDOM = """
local files, first, last, length, fresh = {files}, {first}, {last}, {length}, {fresh}
local number = 0
function setup(thread) number = number + 1; thread:set("seed", {seed} + number) end
function init(arguments) math.randomseed(seed) end
function request()
  local start = math.random(first, last)
  local span = string.format("%d,%.7g", start, start + length)
  if fresh then
    start = string.format("%d.%06d1", start, math.random(0, 999999))
    span = string.format("%s,%.7f", start, start + length)
  end
  return wrk.format("GET", string.format("{path}", math.random(0, files - 1)) .. "?t=" .. span)
end
function done(summary, latency, requests)
  io.write(string.format("RESULT %d %f %f %f %d\\n", summary.requests, summary.duration / 1e6, latency.mean / 1e3,
    latency:percentile(95) / 1e3, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout))
end
"""


class Load:
    """What wrk says of one run against `url`. Starts are from `first` to `last`, and `length` is that of the clips, in seconds."""

    def __init__(
        self,
        url: str,
        work: str,
        *,
        connections: int,
        seconds: float,
        path: str = CLIPS_PATH,
        files: int = 1,
        first: int = 0,
        last: int = 3580,
        length: float = 10,
        fresh: bool = False,
        seed: int = 0,
    ) -> None:
        script = os.path.join(work, "load.lua")
        told = {"path": path, "files": files, "first": first, "last": last, "length": length, "seed": seed}
        told["fresh"] = "true" if fresh else "false"
        with open(script, "w", encoding="ascii") as file:
            file.write(re.sub(r"\{([a-z]+)\}", lambda name: str(told[name[1]]), RANDOM))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", script, url]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r"RESULT (\S+) (\S+) (\S+) (\S+) (\S+)", out)
        assert found, out
        self.requests = int(found[1])
        self.rate = self.requests / float(found[2])
        self.mean, self.p95 = float(found[3]), float(found[4])
        self.errors = int(found[5])


def memory(server: Server) -> list[float]:
    """Resident mebibytes of each clips process."""
    return [int(status(pid)["VmRSS"].split()[0]) / 1024 for pid in server.daemons("clips")]


def processes(server: Server) -> tuple[int, ...]:
    return tuple(sorted(server.everything()))


def main() -> None:
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    report = Report("http")
    media, work = folder(), tempfile.mkdtemp(prefix="slicer-bench-")
    try:
        hour = long_file(work, 60)
        for number in range(FILES):
            # Names of one file: the same pages in memory, and a hundred indexes.
            os.link(hour, os.path.join(media, f"{number:03d}.mp3"))
        launcher = (os.path.join(os.path.dirname(__file__), "slicer_with_constant.py"),)
        with serving(media, environ={"SLICER_BENCH_LENGTH": "161226"}, slicer=launcher) as server:
            run(report, server, work)
        counting.measure(report, hour)
    finally:
        shutil.rmtree(media, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
    report.write()


def run(report: Report, server: Server, work: str) -> None:
    for path in (CLIPS_PATH, CONSTANT):
        Load(server.url, work, connections=16, seconds=WARM_UP, path=path)
    pairs = []
    for _ in range(ROUNDS):
        clips = Load(server.url, work, connections=16, seconds=SECONDS)
        constants = Load(server.url, work, connections=16, seconds=SECONDS, path=CONSTANT)
        pairs.append((clips.rate, constants.rate))
    report.row("clips, uncached and random, 16 connections", [clips for clips, _ in pairs], "/s")
    report.row("a constant body of their length, 16 connections", [constant for _, constant in pairs], "/s")
    report.row("clips against the constant body", [clips / constant for clips, constant in pairs], "×", "≥ 0.85")

    before = processes(server)
    runs = [Load(server.url, work, connections=200, seconds=SECONDS) for _ in range(ROUNDS)]
    report.row("clips, 200 connections", [each.rate for each in runs], "/s", "> 1,200")
    report.row("p95 at 200 connections", [each.p95 for each in runs], "ms", "< 300")
    report.row("mean at 200 connections", [each.mean for each in runs], "ms", "< 160")
    report.row("errors at 200 connections", [each.errors for each in runs], "", "0")
    report.row("processes that came or went", [len(set(before) ^ set(processes(server)))], "", "0")

    first = max(memory(server))
    served = 0
    peaks = []
    while served < CLIPS:
        served += Load(server.url, work, connections=16, seconds=8, files=FILES).requests
        peaks.append(max(memory(server)))
    report.row("memory of a clips process before", [first], "MiB")
    report.row(f"memory after {served:,} clips of {FILES} files, whole run", peaks, "MiB", "< 60")
    report.row("growth over the second half of them", [peaks[-1] - peaks[len(peaks) // 2]], "MiB", "flat")


if __name__ == "__main__":
    main()
