"""All numbers of a server: a folder with a file for each living process, and one with the sums of ended ones.

A process holds a lock on its file, which the kernel releases at its end. Its numbers are then added to the sums, and its file is removed,
so the folder does not grow with the number of processes. Counters never fall, and gauges end with their process.
"""

import contextlib
import fcntl
import json
import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from mp3_slicer import atomic
from mp3_slicer.counts import cells
from mp3_slicer.counts.cells import Cells, Values
from mp3_slicer.lock import lock

_LOCK, _SUMS = "lock", "sums"
_LOCK_SECONDS = 2.0


class FolderBusyError(OSError):
    """Another process keeps the folder's lock."""


@dataclass(slots=True)
class Total:
    """The numbers of a whole server at one moment."""

    values: Values = field(default_factory=dict)
    #: By the processes that live.
    living: dict[int, Values] = field(default_factory=dict)


class Folder:
    """One server's folder. Safe for any number of processes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._own: int | None = None

    def begin(self) -> Cells:
        """The numbers of this process, from now until it ends. Raises OSError."""
        pid = os.getpid()
        with self._locked():
            self._gather()
            path = os.path.join(self._path, f"{pid}-{time.time_ns()}")
            # Kept open: the lock is the descriptor's.
            self._own = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._own, fcntl.LOCK_EX)
            os.posix_fallocate(self._own, 0, cells.SIZE)
            return Cells(mmap.mmap(self._own, cells.SIZE), pid)

    def total(self) -> Total:
        """Return the numbers of all processes. Raises OSError."""
        with self._locked():
            return self._gather()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(os.path.join(self._path, _LOCK), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not lock(fd, time.monotonic() + _LOCK_SECONDS):
                raise FolderBusyError("the folder of counts is busy")
            yield
        finally:
            os.close(fd)

    def _gather(self) -> Total:
        """The numbers now. Those of ended processes move to the sums."""
        total = Total()
        before, added = self._sums()
        ended: dict[str, Values] = {}
        for name in sorted(os.listdir(self._path)):
            if "-" not in name or name in added:
                continue
            found, lives = _look(os.path.join(self._path, name))
            if found is None:
                continue
            pid, values = found
            if lives:
                total.living[pid] = values
            else:
                ended[name] = {key: numbers for key, numbers in values.items() if not cells.is_gauge(key)}
        for values in ended.values():
            cells.add_up(before, values)
        if ended:
            # Once for each file, whatever comes between: the names are written with the sums.
            self._write_sums(before, sorted({*added, *ended}))
        for name in {*added, *ended}:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._path, name))
        cells.add_up(total.values, before)
        for values in total.living.values():
            cells.add_up(total.values, values)
        return total

    def _sums(self) -> tuple[Values, list[str]]:
        """The sums of ended processes, and those of their files that still exist."""
        try:
            with open(os.path.join(self._path, _SUMS), encoding="utf-8") as file:
                document = json.load(file)
        except FileNotFoundError:
            return {}, []
        values = {tuple(key): numbers for key, numbers in document["values"] if cells.fits(tuple(key), len(numbers))}
        return values, [name for name in document["added"] if os.path.exists(os.path.join(self._path, name))]

    def _write_sums(self, values: Values, added: list[str]) -> None:
        path = os.path.join(self._path, _SUMS)
        document = {"added": added, "values": [[list(key), numbers] for key, numbers in values.items()]}
        with atomic.replacing(path) as file:
            file.write(json.dumps(document).encode())


def _look(path: str) -> tuple[tuple[int, Values] | None, bool]:
    """The contents of a process's file, None if it cannot be read; and whether the process lives."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None, False
    try:
        # Before it is read: an unlocked file is no longer written.
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            lives = False
        except BlockingIOError:
            lives = True
        data = b"".join(iter(lambda: os.read(fd, cells.SIZE), b""))
    finally:
        os.close(fd)
    try:
        return cells.read(data), lives
    except ValueError:
        # Of a process that was killed before it had written anything.
        return ((0, {}) if not lives else None), lives


def in_memory() -> Cells:
    """Numbers in memory that no other process reads: of one that is not part of a server."""
    return Cells(mmap.mmap(-1, cells.SIZE), os.getpid())
