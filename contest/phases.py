"""What is done to each server, one after the other, and what is noted of it."""

import contextlib
import os
import random
import re
import signal
import socket
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
CALM, CALM_CLIPS = 0.1, 5
#: A server is ready when so many clips were answered right; it has so many seconds for that.
READY_CLIPS, READY_SECONDS = 20, 40
#: Clients that ask for a long clip and read nothing of it.
SLOW = 20

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
    checked: float
    capacity: float
    overload: float
    others: float
    patience: (
        float  #: after which a client goes away: less than half of `overload`, so that late work is work for nobody
    )
    calm: float  #: for which a server may need to calm down


QUICK = Lengths(warm=0, clips=1, checked=0.5, capacity=1, overload=2.5, others=0.7, patience=1.2, calm=1)
WHOLE = Lengths(warm=1, clips=3, checked=1, capacity=6, overload=8, others=2, patience=3, calm=10)


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


def ready(port: int, wants: Sequence[Want]) -> None:
    """Wait until it answers: some listen long before their workers have loaded the application. Raises TimeoutError."""
    end, row = time.monotonic() + READY_SECONDS, 0
    while row < READY_CLIPS:
        if time.monotonic() > end:
            raise TimeoutError(f"no clip was answered right in {READY_SECONDS} s")
        samples = closed(port, wants, RENDERERS, 0.1, READY_SECONDS)
        row = row + len(samples) if all(each.right for each in samples) else 0


def checked(port: int, wants: Sequence[Want], lengths: Lengths) -> dict[str, float]:
    """The same connections by a load that looks at each byte, which wrk does not."""
    samples = closed(port, wants, CONNECTIONS, lengths.checked, lengths.patience)
    return {
        "answers_checked": sum(each.status == 200 for each in samples),
        "wrong": sum(each.wrong for each in samples),
    }


def capacity(port: int, wants: Sequence[Want], lengths: Lengths) -> dict[str, float]:
    """Renders a second with as many clients as keep all CPUs busy; what was wrong."""
    samples = closed(port, wants, RENDERERS, lengths.capacity, 4 * lengths.patience)
    lasted = max((each.ended for each in samples), default=lengths.capacity)
    return {
        "renders_per_second": sum(each.right for each in samples) / lasted,
        "answers_checked": sum(each.status == 200 for each in samples),
        "wrong": sum(each.wrong for each in samples),
    }


def overload(
    port: int, backend: Backend, able: float, renders: Sequence[Want], cheap: Sequence[Want], lengths: Lengths
) -> dict[str, float]:
    """Ten times as many renders as it can make, and a few clips beside them, which go on until it is calm again."""
    seconds, patience = lengths.overload, lengths.patience
    rate, peak = min(MOST_RENDERS, max(5.0, OVERLOAD * able)), Peak()
    heavy = Load(port, renders, rate, patience)
    light = Load(port, cheap, CLIPS_RATE, patience, longer=patience, seed=2)

    def watch() -> None:
        peak.processes = max(peak.processes, len(backend.processes()))
        peak.memory = max(peak.memory, backend.memory())

    together([heavy, light], seconds, watch)
    beside = [each for each in light.samples if each.due < seconds]
    refused = [each for each in heavy.samples if each.status >= 400]
    lost = [each for each in heavy.samples if each.status == 0]
    # What was made after the load had ended says nothing of how a server bears it.
    good = [each for each in heavy.samples if each.right and each.ended <= seconds]
    return {
        "offered_renders_per_second": rate,
        "goodput": len(good) / seconds,
        "goodput_of_capacity": len(good) / seconds / able if able else 0.0,
        "good_p95_s": percentile([each.latency for each in good], 95),
        "refused": len(refused) / max(1, len(heavy.samples)),
        "refused_p50_s": percentile([each.latency for each in refused], 50),
        "refused_p95_s": percentile([each.latency for each in refused], 95),
        "lost": len(lost) / max(1, len(heavy.samples)),
        "clips_beside_right": sum(each.right for each in beside) / max(1, len(beside)),
        "clips_beside_p50_ms": 1000 * percentile(_latencies(beside, patience), 50),
        "clips_beside_p95_ms": 1000 * percentile(_latencies(beside, patience), 95),
        "processes": peak.processes,
        "memory_mib": peak.memory,
        "calm_s": _calm(port, [each for each in light.samples if each.due >= seconds], seconds, cheap, lengths),
        "answers_checked": sum(each.status == 200 for each in (*heavy.samples, *light.samples)),
        "wrong": sum(each.wrong for each in (*heavy.samples, *light.samples)),
    }


def _latencies(samples: Sequence[Sample], patience: float) -> list[float]:
    """A clip that was refused or not answered took as long as its client would have waited: it has none."""
    return [each.latency if each.right else patience for each in samples]


def _quick(sample: Sample) -> bool:
    return sample.right and sample.latency < CALM


def _calm(port: int, after: Sequence[Sample], end: float, cheap: Sequence[Want], lengths: Lengths) -> float:
    """Seconds from the end of the load until clips are as quick as ever: 0 where they always were, at most what is allowed."""
    slow = [each.due for each in after if not _quick(each)]
    if not slow:
        return 0.0
    ordered = sorted(after)
    if len(ordered) > CALM_CLIPS and all(map(_quick, ordered[-CALM_CLIPS:])):
        return max(slow) - end
    return min(lengths.calm, lengths.patience + calm_after(port, cheap, lengths))


def calm_after(port: int, cheap: Sequence[Want], lengths: Lengths) -> float:
    """Seconds from now until a few clips in a row are quick; at most what is allowed."""
    began, row = time.monotonic(), 0
    while row < CALM_CLIPS:
        if time.monotonic() - began > lengths.calm:
            return lengths.calm
        load = Load(port, [random.choice(cheap)], 1, lengths.patience)
        together([load], 1)
        row = row + 1 if all(map(_quick, load.samples)) else 0
    return time.monotonic() - began


def killed_worker(port: int, backend: Backend, cheap: Sequence[Want], lengths: Lengths) -> dict[str, float]:
    """Clips at a steady rate while a worker is killed."""
    seconds = lengths.others
    load = Load(port, cheap, 2 * CLIPS_RATE, lengths.patience, seed=3)
    began, killed = time.monotonic(), []

    def watch() -> None:
        if not killed and time.monotonic() - began > seconds / 4 and (workers := backend.workers()):
            killed.append(workers[0])
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[0], signal.SIGKILL)

    together([load], seconds, watch, every=0.1)
    before = [each for each in load.samples if each.due < seconds / 5]
    after = [each for each in load.samples if each.due >= seconds / 4]
    return {
        "before_right": sum(each.right for each in before) / max(1, len(before)),
        "killed_failed": sum(not each.right for each in after) / max(1, len(after)),
    }


def slow_clients(
    backend: Backend, port: int, wants: Sequence[Want], cheap: Sequence[Want], lengths: Lengths
) -> dict[str, float]:
    """Some clients that ask the server itself, without Nginx, for a long clip and read nothing; clips through Nginx meanwhile."""
    held = []
    for number in range(SLOW):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            connection.connect(("127.0.0.1", backend.ports[number % len(backend.ports)]))
            connection.sendall(f"GET {wants[number % len(wants)].target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        held.append(connection)
    time.sleep(0.3)
    load = Load(port, cheap, CLIPS_RATE, lengths.patience, seed=4)
    together([load], lengths.others)
    for connection in held:
        connection.close()
    return {
        "slow_right": sum(each.right for each in load.samples) / max(1, len(load.samples)),
        "slow_p95_ms": 1000 * percentile(_latencies(load.samples, lengths.patience), 95),
    }
