"""A soak from its beginning to its verdict."""

import contextlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from soak.faults import Faults
from soak.stack import Stack, leftovers, stack
from soak.traffic import Traffic
from soak.watch import Use, Watch
from support.server import until

#: Of a part of the stack, from the second fifth of the time to the last: how much more it may use, as a factor, and beside that.
#: Nginx keeps what it reads from its cache open for a while.
MEMORY, MORE_MIB = 1.15, 24
DESCRIPTORS, MORE_DESCRIPTORS = 1.5, 32
#: The main process, two workers, and those that look after the cache.
NGINX_PROCESSES = 5
#: Seconds after the last request until all is as it was.
QUIET_SECONDS = 60
FOLDER = Path("build", "soak")


@dataclass
class Verdict:
    """What came out; `complaints` is empty where all was as it must be."""

    minutes: float
    requests: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    early: dict[str, Use] = field(default_factory=dict)
    late: dict[str, Use] = field(default_factory=dict)
    samples: list[tuple[float, dict[str, Use]]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people to read."""
        total = Counter[str]()
        for outcomes in self.counts.values():
            total.update(outcomes)
        lines = [f"{self.requests:,} requests in {self.minutes:.1f} min; the slowest took {self.slowest:.1f} s"]
        lines += [f"  {outcome:<10} {number:>9,}" for outcome, number in sorted(total.items())]
        lines += [f"by kind: {kind:<12} {outcomes}" for kind, outcomes in sorted(self.counts.items())]
        lines += [f"fault: {name:<40} {number:>4} times" for name, number in sorted(self.faults.items())]
        for name, late in self.late.items():
            early = self.early[name]
            lines.append(
                f"{name:<8} from the second fifth of the time to the last: {early.memory:.0f} to {late.memory:.0f} MiB, "
                f"{early.descriptors} to {late.descriptors} descriptors at most, {early.processes} to {late.processes} processes"
            )
        return lines + [f"WRONG: {complaint}" for complaint in self.complaints[:40]]

    def keep(self) -> Path:
        """Write it down; the path of the file."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        samples = [[round(seconds, 1), _plain(uses)] for seconds, uses in self.samples]
        found = {**vars(self), "early": _plain(self.early), "late": _plain(self.late), "samples": samples}
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return path


def _plain(uses: dict[str, Use]) -> dict[str, dict[str, float]]:
    return {name: use._asdict() for name, use in uses.items()}


def soak(seconds: float, *, clients: int = 6, pause: float = 0.02, every: float = 8.0, seed: int = 1) -> Verdict:
    """Load the stack for so long, with a fault every so many seconds, and look at what came of it."""
    with stack() as running:
        calm = {"slicer": len(running.processes()["slicer"]), "nginx": NGINX_PROCESSES}
        began = time.monotonic()
        watch = Watch(running, every=max(0.5, min(10.0, seconds / 50)))
        faults = Faults(running, every, seed)
        with watch, Traffic(running, clients, pause, seed) as traffic, faults:
            time.sleep(seconds)
        verdict = Verdict((time.monotonic() - began) / 60, slowest=traffic.slowest)
        verdict.requests = sum(traffic.counts.values())
        for (kind, outcome), number in sorted(traffic.counts.items()):
            verdict.counts.setdefault(kind, {})[outcome] = number
        verdict.faults = dict(Counter(fault.name for fault in faults.done))
        verdict.samples = watch.samples
        verdict.early, verdict.late = watch.fifth(1), watch.fifth(4)
        for result in traffic.notable:
            excused = result.outcome == "refused" or (
                result.outcome == "broken" and faults.covers(result.began, result.ended)
            )
            if not excused:
                verdict.complaints.append(f"{result.kind} {result.target}: {result.outcome}, {result.detail}")
        _look_at_use(verdict)
        _look_at_rest(running, calm, verdict)
    return verdict


def _look_at_use(verdict: Verdict) -> None:
    """Flat, but for what caches take until they are full."""
    for name, late in verdict.late.items():
        early = verdict.early[name]
        # What was killed shortly before has not all of its processes yet.
        usual = early.memory * max(1, late.processes / max(1, early.processes))
        if late.memory > usual * MEMORY + MORE_MIB:
            verdict.complaints.append(f"{name} went from {early.memory:.0f} to {late.memory:.0f} MiB")
        if late.descriptors > early.descriptors * DESCRIPTORS + MORE_DESCRIPTORS:
            verdict.complaints.append(f"{name} went from {early.descriptors} to {late.descriptors} descriptors")


def _look_at_rest(running: Stack, calm: dict[str, int], verdict: Verdict) -> None:
    """When nobody asks, nothing is left behind."""

    def again() -> bool:
        # Of Apache's children fewer may be left: it makes another one where none is idle.
        now = running.processes()
        return all(len(now[name]) <= number for name, number in calm.items())

    def clean() -> bool:
        return not leftovers(running.place)

    for what, true in (("there are no more processes than before", again), ("no temporary file is left", clean)):
        with contextlib.suppress(AssertionError):
            until(true, QUIET_SECONDS, what)
            continue
        found = {name: len(pids) for name, pids in running.processes().items()}
        names = [os.path.basename(path) for path in leftovers(running.place)][:5]
        verdict.complaints.append(
            f"not within {QUIET_SECONDS} s: {what}; processes {found} (before {calm}), files {names}"
        )
