"""What is done to each server, one after the other, and what is noted of it."""

import contextlib
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from contest.contestants import Backend
from contest.load import Load, Sample, Want, closed, together

#: Connections of the load of clips.
CONNECTIONS = 200
#: Clips a second that go on while renders pile up: what listeners of a small archive ask for.
CLIPS_RATE = 20
#: How many times as many renders as it can make are asked of a server; and a bound, so that the load itself stays small.
OVERLOAD, MOST_RENDERS = 10, 400
#: Clients that find out how many renders a server can make.
RENDERERS = 4
#: A server is calm when so many clips in a row take no longer than this, in seconds.
CALM, CALM_CLIPS, CALM_WAIT = 0.1, 5, 60

_WRK = """
local number = 0
function setup(thread) number = number + 1; thread:set("seed", number) end
function init(arguments) math.randomseed(seed) end
local targets = {{ {targets} }}
function request() return wrk.format("GET", targets[math.random(#targets)]) end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %f %f %f %f %d %d\\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Lengths:
    """Seconds of each phase."""

    warm: int
    clips: int
    capacity: float
    overload: float
    others: float


QUICK = Lengths(warm=1, clips=2, capacity=2, overload=4, others=0)
WHOLE = Lengths(warm=2, clips=6, capacity=6, overload=20, others=5)


@dataclass
class Peak:
    """The most that was seen while a phase ran."""

    processes: int = 0
    memory: float = 0.0


def percentile(values: Sequence[float], percent: float) -> float:
    """Of values in any order; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def clips(port: int, wants: Sequence[Want], seconds: int, work: str) -> dict[str, float]:
    """200 connections of clips, each asked again at once, by wrk."""
    path = os.path.join(work, "clips.lua")
    with open(path, "w", encoding="ascii") as file:
        file.write(_WRK.format(targets=", ".join(f'"{want.target}"' for want in wants)))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", path]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT" + r" (\S+)" * 7, out)
    assert found, out
    requests, lasted, p50, p95, p99, refused, broken = (float(text) for text in found.groups())
    answered = max(0.0, requests - refused)
    return {
        "clips_per_second": answered / lasted,
        "clips_p50_ms": p50,
        "clips_p95_ms": p95,
        "clips_p99_ms": p99,
        "clips_failed": refused + broken,
    }


def capacity(port: int, wants: Sequence[Want], seconds: float) -> dict[str, float]:
    """Renders a second with as many clients as keep all CPUs busy; what was wrong."""
    samples = closed(port, wants, RENDERERS, seconds)
    lasted = max((each.ended for each in samples), default=seconds)
    return {
        "renders_per_second": sum(each.right for each in samples) / lasted,
        "render_wrong": sum(each.wrong for each in samples),
    }


def overload(
    port: int, backend: Backend, able: float, renders: Sequence[Want], cheap: Sequence[Want], seconds: float
) -> dict[str, float]:
    """Ten times as many renders as it can make, and a few clips beside them."""
    rate = min(MOST_RENDERS, max(5.0, OVERLOAD * able))
    heavy, light, peak = Load(port, renders, rate), Load(port, cheap, CLIPS_RATE, seed=2), Peak()

    def watch() -> None:
        peak.processes = max(peak.processes, len(backend.processes()))
        peak.memory = max(peak.memory, backend.memory())

    lasted = together([heavy, light], seconds, watch)
    began = time.monotonic()
    calm = calm_after(port, cheap) + max(0.0, lasted - seconds)
    del began
    refused = [each for each in heavy.samples if each.status >= 400]
    lost = [each for each in heavy.samples if each.status == 0]
    good = [each for each in heavy.samples if each.right]
    in_time = [each for each in good if each.ended <= seconds + 1]
    return {
        "offered_renders_per_second": rate,
        "goodput": len(in_time) / seconds,
        "goodput_of_capacity": len(in_time) / seconds / able if able else 0.0,
        "good_p95_s": percentile([each.latency for each in good], 95),
        "refused": len(refused) / max(1, len(heavy.samples)),
        "refused_p95_s": percentile([each.latency for each in refused], 95),
        "lost": len(lost) / max(1, len(heavy.samples)),
        "clips_beside_right": sum(each.right for each in light.samples) / max(1, len(light.samples)),
        "clips_beside_p50_ms": 1000 * statistics.median(_latencies(light.samples)),
        "clips_beside_p95_ms": 1000 * percentile(_latencies(light.samples), 95),
        "processes": peak.processes,
        "memory_mib": peak.memory,
        "calm_s": calm,
        "wrong": sum(each.wrong for each in (*heavy.samples, *light.samples)),
    }


def _latencies(samples: Sequence[Sample]) -> list[float]:
    """Those that failed took as long as they took, but no less than it takes to ask again."""
    return [each.latency if each.right else max(each.latency, 1.0) for each in samples] or [0.0]


def calm_after(port: int, cheap: Sequence[Want]) -> float:
    """Seconds until clips are answered as quickly as ever; CALM_WAIT where they never are."""
    began, row = time.monotonic(), 0
    while row < CALM_CLIPS:
        if time.monotonic() - began > CALM_WAIT:
            return CALM_WAIT
        (each,) = _one(port, random.choice(cheap))
        row = row + 1 if each.right and each.latency < CALM else 0
    return time.monotonic() - began


def _one(port: int, want: Want) -> list[Sample]:
    load = Load(port, [want], 1)
    together([load], 1)
    return load.samples


def killed_worker(port: int, backend: Backend, cheap: Sequence[Want], seconds: float) -> dict[str, float]:
    """Clips at a steady rate while a worker is killed."""
    load = Load(port, cheap, 2 * CLIPS_RATE, seed=3)
    began, killed = time.monotonic(), []

    def watch() -> None:
        if not killed and time.monotonic() - began > seconds / 4 and (workers := backend.workers()):
            killed.append(workers[0])
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[0], signal.SIGKILL)

    together([load], seconds, watch, every=0.1)
    failed = [each for each in load.samples if not each.right]
    return {"killed_failed": len(failed) / max(1, len(load.samples))}


def slow_clients(
    backend: Backend, port: int, wants: Sequence[Want], cheap: Sequence[Want], seconds: float
) -> dict[str, float]:
    """Twenty clients that ask the server itself, without Nginx, for a long clip and read nothing; clips through Nginx meanwhile."""
    held = []
    for number in range(20):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            connection.connect(("127.0.0.1", backend.ports[number % len(backend.ports)]))
            connection.sendall(f"GET {wants[number % len(wants)].target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        held.append(connection)
    time.sleep(0.3)
    load = Load(port, cheap, CLIPS_RATE, seed=4)
    together([load], seconds)
    for connection in held:
        connection.close()
    return {
        "slow_right": sum(each.right for each in load.samples) / max(1, len(load.samples)),
        "slow_p95_ms": 1000 * percentile(_latencies(load.samples), 95),
    }
