"""Finished results on disk, by the hash of their request: found again after a restart, by other processes, and by jobs.

One file for each result (`resultfile.py`). The results used last stay: a file's time of modification is that of its last use.
"""

import itertools
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from mp3_slicer.lock import lock
from mp3_slicer.render.resultfile import TEMPORARY, Facts, Stored, create, opened, write

#: A result's name: no path leads out of the folder by it.
_KEY = re.compile(r"[0-9a-f]{40}", re.ASCII)
_ACCOUNT = "account"
#: Seconds after which an unfinished file was abandoned.
_STALE_SECONDS = 3600
#: Results of any size, and names examined in one scan, foreign ones included.
MAX_RESULTS = 20_000
_MAX_NAMES = 4 * MAX_RESULTS
#: Share of the folder in use after making room, so that not each new result has to.
_LOW_WATER = 0.9
_LOCK_SECONDS = 2.0


class ResultStore(Protocol):
    """Finished results, by their names. Safe for any number of threads and processes."""

    def prepare(self) -> None:
        """Make what is missing. Raises OSError."""

    def get(self, key: str) -> Stored | None:
        """The result of this name, open, or None. Raises ValueError where `key` is no name."""

    def put(self, key: str, facts: Facts, pieces: Iterable[bytes]) -> Stored | None:
        """Store a result under a name and return it, open; None where it cannot be stored. Raises what `pieces` raises."""

    def drop(self, key: str) -> None:
        """Remove a result from this machine, if it exists."""

    @property
    def partials(self) -> "ResultStore":
        """Where results lie that are not finished: on this machine."""


class Results:
    """The results of one folder. Safe for any number of threads and processes."""

    def __init__(self, folder: str, *, max_bytes: int) -> None:
        """`max_bytes` is for all results together."""
        self._folder = folder
        self._max_bytes = max_bytes

    def prepare(self) -> None:
        """Make the folder, remove abandoned files, and count the results. Raises OSError."""
        os.makedirs(self._folder, exist_ok=True)
        with self._locked() as account:
            if account is not None:
                self._make_room(account)

    def is_writable(self) -> bool:
        """Return whether a result could be stored now."""
        return os.access(self._folder, os.W_OK | os.X_OK)

    def get(self, key: str) -> Stored | None:
        """The result of this name, open, or None. It counts as used now. Raises ValueError where `key` is no name."""
        path = self.path(key)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            found = opened(fd)
        except BaseException:
            os.close(fd)
            raise
        if found is None:
            os.close(fd)
            # Not whole, after a loss of power or a foreign write: it will be made again.
            with suppress(OSError):
                os.unlink(path)
            return None
        with suppress(OSError):
            os.utime(fd)
        return found

    def put(self, key: str, facts: Facts, pieces: Iterable[bytes]) -> Stored | None:
        """Store a result under a name and return it, open. None if it is larger than the folder may be, or the disk is full.

        Raises ValueError if `key` is no name or the facts are too many, and whatever `pieces` raises.
        """
        path = self.path(key)
        fd = temporary = None
        try:
            try:
                fd, temporary = create(self._folder, key)
            except OSError:
                return None
            # What comes out of `pieces` may be an OSError of another disk, and is the caller's.
            size = write(fd, facts, pieces, self._max_bytes)
            if size is None:
                return None
            try:
                found = opened(fd)
                if found is None:
                    return None
                fd = None  # it is closed with what was found
                with self._locked() as account:
                    if temporary is None:
                        temporary = found.name(self._folder, key)
                    before = _size(path)
                    os.replace(temporary, path)
                    temporary = None
                    if account is not None:
                        self._add(account, size - before)
            except OSError:
                return None
            return found
        finally:
            if fd is not None:
                os.close(fd)
            if temporary is not None:
                with suppress(OSError):
                    os.unlink(temporary)

    @property
    def partials(self) -> "Results":
        """The same folder."""
        return self

    def drop(self, key: str) -> None:
        """Remove a result, if it exists. Raises ValueError where `key` is no name."""
        with suppress(OSError):
            os.unlink(self.path(key))

    def path(self, key: str) -> str:
        """The file of a result. Raises ValueError where `key` is no name."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key[:50]!r} is no name of a result")
        return os.path.join(self._folder, key)

    @contextmanager
    def _locked(self) -> Iterator[int | None]:
        """Hold the lock of the account, the descriptor of whose file this gives; None where that takes too long."""
        fd = os.open(os.path.join(self._folder, _ACCOUNT), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            yield fd if lock(fd, time.monotonic() + _LOCK_SECONDS) else None
        finally:
            os.close(fd)

    def _add(self, account: int, size: int) -> None:
        """Count a new result, and make room once there are too many. Making room corrects the count."""
        total, number = _read_account(account)
        if total + size > self._max_bytes or number + 1 > MAX_RESULTS:
            self._make_room(account)
        else:
            _write_account(account, total + size, number + 1)

    def _make_room(self, account: int) -> None:
        """Remove the results used longest ago until there is room, and abandoned files; count the rest."""
        found: list[tuple[float, int, str]] = []
        old = time.time() - _STALE_SECONDS
        with os.scandir(self._folder) as names:
            for entry in itertools.islice(names, _MAX_NAMES):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if _KEY.fullmatch(entry.name):
                        found.append((status.st_mtime, status.st_size, entry.path))
                    elif entry.name.endswith(TEMPORARY) and status.st_mtime < old:
                        os.unlink(entry.path)
        total = sum(size for _, size, _ in found)
        number = len(found)
        if total > self._max_bytes or number > MAX_RESULTS:
            found.sort()
            for _, size, path in found:
                if total <= self._max_bytes * _LOW_WATER and number <= MAX_RESULTS * _LOW_WATER:
                    break
                with suppress(OSError):
                    os.unlink(path)
                total -= size
                number -= 1
        _write_account(account, total, number)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _read_account(fd: int) -> tuple[int, int]:
    """Bytes and number of the results, as they were last counted; more than anything where that cannot be read."""
    fields = os.pread(fd, 100, 0).split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return 1 << 62, 0
    return int(fields[0]), int(fields[1])


def _write_account(fd: int, total: int, number: int) -> None:
    os.pwrite(fd, b"%019d %019d\n" % (max(0, total), number), 0)
