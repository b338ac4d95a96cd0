"""Indexes of sources: in memory for this process, on disk for all, built once however many ask at a time.

On disk an index lies under the hash of its source's real path, device, inode and the format version; size and modification time
stand inside, so that a file that grew finds the index of its beginning and goes on from there. Whatever is doubtful is made anew.
"""

import fcntl
import hashlib
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction

from slicer.media import indexfile
from slicer.media.source import Identity, Source
from slicer.mp3 import Index, Mp3Error, build_index

_LOCKS = 64
_LOCK_POLL_SECONDS = 0.01
_TEMPORARY = ".tmp"
_STALE_SECONDS = 3600


class IndexPendingError(Exception):
    """The index of a large source is not ready yet: asking again goes on with it."""


class IndexStore:
    """The indexes of one folder on disk. Safe for any number of threads and processes."""

    def __init__(self, folder: str, *, memory_bytes: int, seconds: Fraction | float) -> None:
        self._folder = folder
        self._seconds = float(seconds)
        self._memory = _Memory(memory_bytes)

    def prepare(self) -> None:
        """Make the folder and take away what a killed process left. Raises OSError where that cannot be done."""
        os.makedirs(os.path.join(self._folder, "locks"), exist_ok=True)
        self._sweep()

    def is_writable(self) -> bool:
        """Whether an index could be stored now."""
        return os.access(self._folder, os.W_OK | os.X_OK)

    def get(self, source: Source) -> Index:
        """The complete index of an open source.

        Raises Mp3Error where the file cannot be indexed, IndexPendingError when the time for one request is used up.
        """
        identity = source.identity
        index = self._memory.get(identity)
        if index is None:
            index = self._from_disk_or_build(source)
            self._memory.put(identity, index)
        if isinstance(index, Mp3Error):
            # Each time a new one: an exception that is raised twice grows a traceback twice.
            raise type(index)(*index.args)
        return index

    def is_indexed(self, source: Source) -> bool:
        """Whether a complete index of this very file lies on disk."""
        found = self._read(self._path(source.identity))
        return found is not None and found[0] == source.identity and found[1].complete

    def prune(self, folder: str) -> int:
        """Take away the indexes of files below a folder that are no longer there; returns how many."""
        below = os.path.join(os.fsencode(folder), b"")
        gone = 0
        for name in self._names():
            path = os.path.join(self._folder, name)
            found = self._read(path)
            if found is None or (found[0].path.startswith(below) and not os.path.exists(found[0].path)):
                with suppress(OSError):
                    os.unlink(path)
                    gone += 1
        return gone

    def _from_disk_or_build(self, source: Source) -> Index | Mp3Error:
        deadline = time.monotonic() + self._seconds
        path = self._path(source.identity)
        found = self._read(path)
        if found and found[0] == source.identity and found[1].complete:
            return found[1]
        with self._lock(path, deadline):
            # Another thread or process may have built it while this one waited.
            found = self._read(path)
            if found and found[0] == source.identity and found[1].complete:
                return found[1]
            try:
                index = build_index(source.fd, previous=found[1] if found else None, deadline=deadline)
                source.check()
            except Mp3Error as error:
                source.check()
                return type(error)(*error.args)
            self._write(path, indexfile.dump(source.identity, index))
        if not index.complete:
            raise IndexPendingError
        return index

    def _path(self, identity: Identity) -> str:
        key = b"%d\0%d\0%d\0%b" % (indexfile.FORMAT_VERSION, identity.device, identity.inode, identity.path)
        return os.path.join(self._folder, hashlib.blake2b(key, digest_size=16).hexdigest())

    @contextmanager
    def _lock(self, path: str, deadline: float) -> Iterator[None]:
        """Hold the lock of an index. Locks are shared by many indexes, so that their files are few and never removed."""
        number = int(os.path.basename(path)[:8], 16) % _LOCKS
        try:
            fd = os.open(
                os.path.join(self._folder, "locks", f"{number:02d}"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError:
            # No place to write, so nothing to share: each process builds for itself.
            yield
            return
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise IndexPendingError from None
                    time.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(fd)

    def _read(self, path: str) -> tuple[Identity, Index] | None:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        return indexfile.load(data)

    def _write(self, path: str, data: bytes) -> None:
        """Put an index in its place whole or not at all. A full or read-only disk costs the saving, never the answer."""
        temporary = None
        try:
            fd, temporary = tempfile.mkstemp(suffix=_TEMPORARY, dir=self._folder)
            with open(fd, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except OSError:
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if name != "locks")
        except OSError:
            return []

    def _sweep(self) -> None:
        old = time.time() - _STALE_SECONDS
        for name in self._names():
            path = os.path.join(self._folder, name)
            with suppress(OSError):
                if name.endswith(_TEMPORARY) and os.stat(path).st_mtime < old:
                    os.unlink(path)


class _Memory:
    """The indexes used last, up to so many bytes; and, fewer, the errors of files that have none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._lock = threading.Lock()
        self._items: OrderedDict[Identity, Index | Mp3Error] = OrderedDict()

    def get(self, identity: Identity) -> Index | Mp3Error | None:
        with self._lock:
            item = self._items.get(identity)
            if item is not None:
                self._items.move_to_end(identity)
            return item

    def put(self, identity: Identity, item: Index | Mp3Error) -> None:
        size = _size(item)
        if size > self._limit:
            return
        with self._lock:
            old = self._items.pop(identity, None)
            if old is not None:
                self._bytes -= _size(old)
            self._items[identity] = item
            self._bytes += size
            while self._bytes > self._limit:
                _, dropped = self._items.popitem(last=False)
                self._bytes -= _size(dropped)


def _size(item: Index | Mp3Error) -> int:
    return item.nbytes if isinstance(item, Index) else 2048
