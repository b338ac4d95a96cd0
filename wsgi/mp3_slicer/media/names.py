"""Sorted names of large folders on disk, so that a page of the library reads what it shows and no more.

A folder has no order of its own that lasts, so the names of a large one are sorted once and stored: blocks of 4096 bytes, each full of
names in byte order that end with a NUL. A page is found by bisection over the blocks. The sort is external: runs of names are sorted in
memory, written, and merged, so memory does not grow with the folder.
"""

import hashlib
import heapq
import logging
import os
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import IO, NamedTuple

from mp3_slicer import atomic
from mp3_slicer.errors import SlicerError
from mp3_slicer.lock import lock
from mp3_slicer.media import helpers

_LOG = logging.getLogger("slicer")
_SUFFIX = b".mp3"
#: Entries of a folder that is read afresh each time.
FEW = 2000
#: Bytes of a block. A name has at most 255 bytes on Linux (NAME_MAX), with a slash and a NUL 257.
_BLOCK = 4096
#: Names that are sorted in memory at a time, some 5 MB.
_RUN = 50_000
#: Seconds that the request which began a build waits for it. Others do not wait.
_WAIT_SECONDS = 0.5
#: Seconds without a build after one that took a second, so folders that change all the time cost a tenth of a CPU.
_PAUSE = 10
#: A change this soon after another one may have the same time of modification; ext3 and HFS+ count whole seconds.
_RACY_NS = 2_000_000_000
_STALE_SECONDS, _OLD_SECONDS = 3600, 30 * 86_400
_MAGIC = b"slicer names 1\n\0"
#: Magic, device, inode, time of modification in nanoseconds, nanoseconds that the build took, blocks.
_HEAD = struct.Struct("<16sQQqQQ")


class NamesPendingError(SlicerError):
    """The names of a large folder are not sorted yet; asking again in a few seconds finds them."""


class _Head(NamedTuple):
    magic: bytes
    device: int
    inode: int
    mtime_ns: int
    took_ns: int
    blocks: int


class Names:
    """The names that matter of one folder, in byte order. A folder's name ends with a slash, so it sorts where its files do."""

    def __init__(self, root: bytes) -> None:
        """`root` is the media folder; it is read afresh each time, whatever its size."""
        self._root = root

    def of(self, folder: bytes, start: bytes) -> Iterator[bytes]:
        """Return the names in `folder` (b"" or a path from the media folder with its slash) from `start` on. Raises OSError."""
        with os.scandir(os.path.join(self._root, folder)) as entries:
            return iter(sorted(name for name in _known(entries) if name >= start))


class StoredNames(Names):
    """The same, with those of large folders stored. Safe for any number of threads and processes."""

    def __init__(self, root: bytes, folder: str, *, few: int = FEW, wait_seconds: float = _WAIT_SECONDS) -> None:
        """Store names in `folder`, which is made when there is something to store.

        A folder of more than `few` entries is large. The request that begins a build waits for it for `wait_seconds`.
        """
        super().__init__(root)
        self._folder = folder
        self._few = few
        self._wait = wait_seconds
        self._building = threading.Lock()
        #: By path, the time (time.monotonic) before which a build that could not be stored is not tried again.
        self._failed: dict[bytes, float] = {}

    def of(self, folder: bytes, start: bytes) -> Iterator[bytes]:
        """Return the names in `folder` from `start` on. Raises OSError, and NamesPendingError while they are sorted for the first time."""
        path = os.path.join(self._root, folder)
        stored = self._open(path)
        if stored is None:
            with os.scandir(path) as entries:
                found = list(islice(entries, self._few + 1))
            if len(found) <= self._few:
                return iter(sorted(name for name in _known(found) if name >= start))
            self._build(path)
            stored = self._open(path)
            if stored is None:
                raise NamesPendingError
        elif not stored.is_current(os.stat(path)) and stored.may_be_replaced():
            # Old names are shown meanwhile. A name whose file is gone is left out when its file is looked at.
            self._build(path)
            stored = self._open(path) or stored
        return stored.names(start)

    def _place(self, path: bytes) -> str:
        return os.path.join(self._folder, hashlib.blake2b(path, digest_size=16).hexdigest())

    def _open(self, path: bytes) -> "_Stored | None":
        try:
            fd = os.open(self._place(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        stored = _Stored(fd)
        return stored if stored.is_whole() else None

    def _build(self, path: bytes) -> None:
        """Begin to sort the names of a folder, unless something is sorted already, and wait a moment for the end."""
        if self._failed.get(path, 0.0) > time.monotonic() or not self._building.acquire(blocking=False):
            return
        done = threading.Event()

        def build() -> None:
            try:
                self._sort(path)
                self._failed.pop(path, None)
            except OSError as error:
                now = time.monotonic()
                # Those of before are forgotten, so that this does not grow with the folders.
                self._failed = {each: end for each, end in self._failed.items() if end > now} | {path: now + _PAUSE}
                _LOG.error("the names in %s cannot be sorted: %s", os.fsdecode(path), error)
            finally:
                self._building.release()
                done.set()

        try:
            helpers.start("names", build)
        except RuntimeError:
            # There is no room for a thread now.
            self._building.release()
            return
        done.wait(self._wait)

    def _sort(self, path: bytes) -> None:
        os.makedirs(self._folder, mode=0o750, exist_ok=True)
        guard = os.open(
            os.path.join(self._folder, "lock"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            if not lock(guard, time.monotonic()):
                # Another process sorts.
                return
            self._sweep()
            began, now = time.monotonic_ns(), time.time_ns()
            status = os.stat(path)
            with tempfile.TemporaryFile(dir=self._folder, buffering=0) as scratch:
                runs = _runs(path, scratch)
                with atomic.replacing(self._place(path), 0o600) as file:
                    file.seek(_BLOCK)
                    blocks = _write(file, heapq.merge(*(_names(scratch.fileno(), *run) for run in runs)))
                    # A change within the same tick of the clock would not be seen: then this counts as changed.
                    mtime = status.st_mtime_ns if status.st_mtime_ns + _RACY_NS < now else 0
                    took = time.monotonic_ns() - began
                    file.seek(0)
                    head = _HEAD.pack(_MAGIC, status.st_dev, status.st_ino, mtime, took, blocks)
                    file.write(head.ljust(_BLOCK, b"\0"))
                    file.flush()
                    # After a loss of power it is whole, or it is the one before.
                    os.fsync(file.fileno())
        finally:
            os.close(guard)

    def _sweep(self) -> None:
        """Remove what a killed process left, and names that were not sorted again for a month: their folder may be gone."""
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    age = now - entry.stat(follow_symlinks=False).st_mtime
                    if entry.name != "lock" and age > (
                        _STALE_SECONDS if entry.name.endswith(atomic.SUFFIX) else _OLD_SECONDS
                    ):
                        os.unlink(entry.path)


class _Stored:
    """An open file of names, closed with the last reference."""

    __slots__ = ("_fd", "_head", "_size", "_written")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        status = os.fstat(fd)
        self._size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._written = status.st_mtime
        data = os.pread(fd, _HEAD.size, 0) if self._size else b""
        self._head = _Head(*_HEAD.unpack(data)) if len(data) == _HEAD.size else None

    def __del__(self) -> None:
        os.close(self._fd)

    def is_whole(self) -> bool:
        """Return whether it is a complete file of names in this format."""
        head = self._head
        return head is not None and head.magic == _MAGIC and self._size == (1 + head.blocks) * _BLOCK

    def is_current(self, status: os.stat_result) -> bool:
        """Return whether these are the names of that folder, unchanged."""
        head = self._head
        return head is not None and (head.device, head.inode, head.mtime_ns) == (
            status.st_dev,
            status.st_ino,
            status.st_mtime_ns,
        )

    def may_be_replaced(self) -> bool:
        """Return whether the last build is long enough ago for another one."""
        age = time.time() - self._written
        # A clock that was put back must not keep it for ever.
        return self._head is None or age < 0 or age > _PAUSE * self._head.took_ns / 1e9

    def names(self, start: bytes) -> Iterator[bytes]:
        """Return the names from `start` on."""
        low, high = 0, self._head.blocks if self._head else 0
        end = high
        # The last block that begins before `start`, else the first.
        while high - low > 1:
            middle = (low + high) // 2
            if _block(self._fd, 1 + middle)[0] <= start:
                low = middle
            else:
                high = middle
        for number in range(low, end):
            yield from (name for name in _block(self._fd, 1 + number) if name >= start)


def _known(entries: Iterable[os.DirEntry[bytes]]) -> Iterator[bytes]:
    """Return the names of folders and of what may be sources. Hidden ones, and what is neither, are left out."""
    for entry in entries:
        name = entry.name
        if name.startswith(b"."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield name + b"/"
        elif name[-4:].lower() == _SUFFIX and (entry.is_symlink() or entry.is_file(follow_symlinks=False)):
            yield name


def _runs(path: bytes, scratch: IO[bytes]) -> list[tuple[int, int]]:
    """Write the names of a folder to `scratch` in sorted runs; return the first block of each and the one after its last."""
    runs: list[tuple[int, int]] = []
    first = 0
    with os.scandir(path) as entries:
        known = _known(entries)
        while run := sorted(islice(known, _RUN)):
            after = first + _write(scratch, run)
            runs.append((first, after))
            first = after
    return runs


def _write(file: IO[bytes], names: Iterable[bytes]) -> int:
    """Write names to a file in whole blocks, and return how many."""
    held: list[bytes] = []
    blocks = size = 0
    for name in names:
        if size + len(name) + 1 > _BLOCK:
            file.write(b"\0".join(held).ljust(_BLOCK, b"\0"))
            held.clear()
            blocks, size = blocks + 1, 0
        held.append(name)
        size += len(name) + 1
    if held:
        file.write(b"\0".join(held).ljust(_BLOCK, b"\0"))
        blocks += 1
    return blocks


def _names(fd: int, first: int, after: int) -> Iterator[bytes]:
    for number in range(first, after):
        yield from _block(fd, number)


def _block(fd: int, number: int) -> list[bytes]:
    """Return the names of a block. Raises OSError where it is not whole."""
    data = os.pread(fd, _BLOCK, number * _BLOCK)
    if len(data) != _BLOCK or not data[0]:
        raise OSError("a file of sorted names is not whole")
    return data.rstrip(b"\0").split(b"\0")
