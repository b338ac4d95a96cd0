"""Many damaged files, examined by several processes, each of them with bounds on time, memory and descriptors."""

import gc
import multiprocessing
import os
import resource
import signal
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from fuzz.examine import examine
from fuzz.mutate import mutant, seeds

#: Seconds of CPU that a file may take, all that is done with it together: a loaded machine makes nobody slow.
MAX_SECONDS = 1.0
#: Bytes of address space that a process may take beside what it has when it begins.
MAX_MEMORY = 64 << 20
#: Seconds without a finished file after which a process is given up: what no signal interrupts.
STUCK_SECONDS = 60
#: Seconds that a process may take before its first file: it makes the streams that files come of.
BEGIN_SECONDS = 600
#: Findings after which a process ends.
MAX_FINDINGS = 20
_BATCH = 200
#: How processes begin: with nothing of this one's.
METHOD = "spawn"


class OverdueError(Exception):
    """A file took longer than MAX_SECONDS."""


@dataclass
class Report:
    """What became of the files, by outcome; what went wrong, by the number of the file."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[int, str] = field(default_factory=dict)
    slowest: tuple[float, int] = (0.0, 0)  #: seconds of CPU, and the file that took them
    memory: int = 0  #: the most bytes resident that a process had beside what it began with

    @property
    def count(self) -> int:
        return self.outcomes.total() + len(self.findings)


def run(
    first: int, count: int, *, processes: int, seconds: float = float("inf"), report: Report | None = None
) -> Report:
    """Examine the files `first` to `first + count - 1`, or as many of them as `seconds` suffice for.

    `report` gets what is found as soon as it is. Where this is interrupted, the processes end with this one.
    """
    context = multiprocessing.get_context(METHOD)
    report = Report() if report is None else report
    workers = []
    for number in range(processes):
        receiver, sender = context.Pipe(duplex=False)
        current = context.Value("q", -1, lock=False)
        numbers = (first + number, first + count, processes)
        process = context.Process(target=_work, args=(numbers, min(seconds, 1e9), current, sender), daemon=True)
        process.start()
        sender.close()
        workers.append((process, receiver, current))
    last = {id(current): (-1, time.monotonic()) for _, _, current in workers}
    open_workers = list(workers)
    while open_workers:
        for worker in list(open_workers):
            process, receiver, current = worker
            try:
                while receiver.poll(0.05):
                    _add(report, receiver.recv())
            except EOFError:
                open_workers.remove(worker)
                process.join()
                if process.exitcode:
                    report.findings[current.value] = f"the process ended with {process.exitcode}"
                continue
            now = time.monotonic()
            if last[id(current)][0] != current.value:
                last[id(current)] = (current.value, now)
            elif now - last[id(current)][1] > (BEGIN_SECONDS if current.value < 0 else STUCK_SECONDS):
                process.kill()
    return report


def _add(report: Report, message: tuple[Counter[str], dict[int, str], tuple[float, int], int]) -> None:
    outcomes, findings, slowest, memory = message
    report.outcomes += outcomes
    report.findings |= findings
    report.slowest = max(report.slowest, slowest)
    report.memory = max(report.memory, memory)


def _work(numbers: tuple[int, int, int], seconds: float, current: Any, sender: Connection) -> None:
    """What one process does: every file of its numbers, a message for each batch."""
    end = time.monotonic() + seconds
    # A terminal tells all processes; the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seeds()
    signal.signal(signal.SIGPROF, _overdue)
    # What is given back later would make room beyond the limit.
    gc.collect()
    before = _status("VmSize")
    resident = _status("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (before + MAX_MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    open_files = len(os.listdir("/proc/self/fd"))
    outcomes: Counter[str] = Counter()
    findings: dict[int, str] = {}
    slowest = (0.0, 0)
    failed = 0
    for done, number in enumerate(range(*numbers), 1):
        if time.monotonic() > end or failed >= MAX_FINDINGS:
            break
        current.value = number
        data = mutant(number)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
        try:
            outcomes[examine(data, number)] += 1
        except Exception:
            findings[number] = traceback.format_exc()
            failed += 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, (time.process_time() - began, number))
        if done % _BATCH == 0 or findings:
            sender.send((outcomes, findings, slowest, _status("VmRSS") - resident))
            outcomes, findings = Counter(), {}
    gc.collect()
    left = len(os.listdir("/proc/self/fd")) - open_files
    if left:
        findings[-1] = f"{left} file descriptors were left open"
    sender.send((outcomes, findings, slowest, _status("VmRSS") - resident))
    sender.close()


def _overdue(*_: object) -> NoReturn:
    raise OverdueError(f"more than {MAX_SECONDS:g} s of CPU")


def _status(name: str) -> int:
    """A size of this process, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name + ":"))
