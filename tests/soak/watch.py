"""What the stack uses over time: memory, descriptors, processes."""

import contextlib
import os
import statistics
import threading
import time
from typing import NamedTuple, Self

from soak.stack import Stack

MIB = 1 << 20


class Use(NamedTuple):
    """What one part of the stack uses at one moment: MiB in proportion to who shares them, descriptors of the busiest process."""

    memory: float
    descriptors: int
    processes: int


def proportional(pid: int) -> float:
    """MiB of a process, pages that it shares counted in part; 0 where it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024
    return 0.0


def descriptors(pid: int) -> int:
    """How many files a process has open; 0 where it is gone."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def use(pids: list[int]) -> Use:
    """What these processes use together."""
    return Use(sum(proportional(pid) for pid in pids), max((descriptors(pid) for pid in pids), default=0), len(pids))


class Watch:
    """Looks every so many seconds while the block runs."""

    def __init__(self, stack: Stack, every: float) -> None:
        self._stack = stack
        self._every = every
        self._end = threading.Event()
        self.samples: list[tuple[float, dict[str, Use]]] = []
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)

    def _go_on(self) -> None:
        began = time.monotonic()
        while not self._end.wait(self._every):
            now = {name: use(pids) for name, pids in self._stack.processes().items()}
            self.samples.append((time.monotonic() - began, now))

    def fifth(self, number: int) -> dict[str, Use]:
        """The medians of a fifth of the time, 0 to 4."""
        size = len(self.samples) / 5
        part = [sample for _, sample in self.samples[int(number * size) : max(int((number + 1) * size), 1)]]
        return {
            name: Use(
                statistics.median(sample[name].memory for sample in part),
                round(statistics.median(sample[name].descriptors for sample in part)),
                round(statistics.median(sample[name].processes for sample in part)),
            )
            for name in (part[0] if part else {})
        }
