"""Indexes of sources on disk, for all processes, built once however many requests need one at a time.

On disk an index lies under the hash of its source's real path, device, inode and the format version; size and modification time
stand inside, so that a file that grew finds the index of its beginning and goes on from there. Whatever is doubtful is rebuilt.
"""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Protocol

from mp3_slicer import atomic
from mp3_slicer.errors import SlicerError
from mp3_slicer.lock import lock
from mp3_slicer.media import indexfile
from mp3_slicer.media.source import Identity, Source
from mp3_slicer.mp3 import Index, Mp3Error, SourceChangedError, build_index

_LOCKS = 64
#: Folders beside the indexes: locks, the names of large folders, and the catalogue.
_FOLDERS = frozenset({"locks", "names", "catalogue"})
_STALE_SECONDS = 3600
_MAX_ERRORS = 256


#: Seconds for which other threads of a process wait for builds, from the moment at which nothing was built.
_SHORT_SECONDS = 0.5
#: Seconds between two notes of how far a build is.
_TELL_SECONDS = 0.25
#: A note: the name of the index, bytes that were walked, bytes of the source.
_NOTE = "%s %d %d\n"
_NOTE_BYTES = 100


class IndexPendingError(SlicerError):
    """The index of a large source is not ready yet: asking again goes on with it."""

    def __init__(self, progress: float = 0.0) -> None:
        super().__init__("the index is not ready yet")
        self.progress = progress  #: how far it is, from 0 to 1, as far as that is known


class Claim(Protocol):
    """Other machines wait while this one builds an index, as far as their place lets them know. Nothing is raised."""

    def beside(self, told: Callable[[int], None]) -> Callable[[int], None]:
        """Return what hears how far the walk is: it tells `told`, and keeps the claim alive."""

    def release(self) -> None:
        """Let others build at once."""


class SharedIndexes(Protocol):
    """Indexes that several machines share, by their names on disk. Nothing is raised: what fails costs a rebuild."""

    trouble: str  #: why the last one could not be stored; empty where it could

    def get(self, name: str) -> bytes | None:
        """The bytes of an index, or None. They may be of another source, or damaged."""

    def take(
        self, name: str, size: int, *, goes_on: bool, deadline: float, told: Callable[[int], None]
    ) -> bytes | Claim:
        """The same, or the claim with which this machine builds the index of a source of `size` bytes.

        While another machine builds it, this waits and tells `told` how far that is, unless this one `goes_on` with a walk. Raises
        IndexPendingError at the deadline.
        """

    def put(self, name: str, data: bytes) -> bool:
        """Store an index; returns whether it is stored."""


class IndexStore:
    """The indexes of one folder on disk. Safe for any number of threads and processes."""

    def __init__(
        self,
        folder: str,
        *,
        seconds: Fraction | float,
        whole_bytes: int | None = None,
        shared: SharedIndexes | None = None,
    ) -> None:
        """`seconds` is for one build. One thread of a process builds at a time, and others wait for a moment only.

        An index file of more than `whole_bytes` stays on disk and is read in parts; None loads all of any. An index that is not on
        disk is taken from `shared`, and one that was built is put there; of several machines that miss it, one builds.
        """
        self._whole = whole_bytes
        self.shared = shared
        self._folder = folder
        self._seconds = float(seconds)
        self._errors = _Errors()
        self._cold = _Turn()

    def prepare(self) -> None:
        """Make the folder and take away what a killed process left. Raises OSError where that cannot be done."""
        os.makedirs(os.path.join(self._folder, "locks"), exist_ok=True)
        self._sweep()

    def is_writable(self) -> bool:
        """Return whether an index could be stored now."""
        return os.access(self._folder, os.W_OK | os.X_OK)

    def get(self, source: Source) -> Index:
        """The complete index of an open source.

        Raises Mp3Error where the file cannot be indexed, IndexPendingError when the time for one request is used up.
        """
        return self.find(source)[0]

    def find(self, source: Source) -> tuple[Index, str]:
        """The same, and where it came from: "disk", "shared" or "built"."""
        identity = source.identity
        known = self._errors.get(identity)
        if known is not None:
            # Each time a new one: an exception that is raised twice grows a traceback twice.
            raise type(known)(*known.args)
        try:
            return self._from_disk_or_build(source)
        except SourceChangedError:
            raise
        except Mp3Error as error:
            self._errors.put(identity, type(error)(*error.args))
            raise

    def is_indexed(self, source: Source) -> bool:
        """Return whether a complete index of this very file lies on disk."""
        found = self._read(self._path(source.identity))
        return found is not None and found[0] == source.identity and found[1].complete

    def share(self, source: Source) -> bool:
        """See that the complete index of a source, which lies on disk, is shared as well; returns whether it is."""
        path = self._path(source.identity)
        if self.shared is None or self._from_shared(source, path) is not None:
            return self.shared is not None
        found = self._read(path)
        if found is None or found[0] != source.identity or not found[1].complete:
            return False
        return self.shared.put(os.path.basename(path), indexfile.dump(*found))

    def names(self) -> set[str]:
        """The names of all files beside which no other kind lies: those of indexes."""
        return set(self._names())

    def name_of(self, url: bytes) -> str:
        """The name of the index of an object, by its URL."""
        return os.path.basename(self._path(Identity(url, 0, 0, 0, 0)))

    def remove(self, names: Iterable[str], begin: bytes) -> int:
        """Remove those of the indexes whose source's path begins as `begin` does; returns how many."""
        gone = 0
        for name in names:
            path = os.path.join(self._folder, name)
            found = self._read(path)
            if found is not None and found[0].path.startswith(begin):
                with suppress(OSError):
                    os.unlink(path)
                    gone += 1
        return gone

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

    def _from_disk_or_build(self, source: Source) -> tuple[Index, str]:
        path = self._path(source.identity)
        found = self._read(path)
        if found and found[0] == source.identity and found[1].complete:
            return found[1], "disk"
        # One thread of a process at a time, so that all others serve files that have an index.
        if not self._cold.take():
            raise IndexPendingError(self._progress(path))
        try:
            return self._build(source, path)
        finally:
            self._cold.leave()

    def _build(self, source: Source, path: str) -> tuple[Index, str]:
        deadline = time.monotonic() + self._seconds
        with self._lock(path, deadline) as lock_path:
            # Another thread or process may have built it while this one waited.
            found = self._read(path)
            if found and found[0] == source.identity and found[1].complete:
                return found[1], "disk"
            told = _Note(lock_path, os.path.basename(path), source.identity.size)
            # To go on from: a walk of this very file that ran out of time, or one of the file before it grew.
            is_begun = found is not None and found[0] == source.identity
            fits = found and (is_begun or found[0].size < source.identity.size)
            taken = self._take(source, path, is_begun, deadline, told)
            if isinstance(taken, tuple):
                index, data = taken
                self._write(path, data)
                return self._kept(source, path, index), "shared"
            with _claimed(taken):
                hear = told if taken is None else taken.beside(told)
                index, data = self._walk(source, path, found[1] if found and fits else None, deadline, hear)
            if self.shared is not None and not self.shared.put(os.path.basename(path), data) and taken is not None:
                taken.release()
            return self._kept(source, path, index), "built"

    def _walk(
        self, source: Source, path: str, previous: Index | None, deadline: float, told: Callable[[int], None]
    ) -> tuple[Index, bytes]:
        """Build an index and store it on disk; the index, and its bytes."""
        try:
            index = build_index(source.onward(), previous=previous, deadline=deadline, told=told)
        finally:
            # The result counts only for a file that was not written to meanwhile.
            source.check()
        data = indexfile.dump(source.identity, index)
        self._write(path, data)
        if not index.complete:
            raise IndexPendingError(_part(index.walked, source.identity.size))
        return index, data

    def _take(
        self, source: Source, path: str, goes_on: bool, deadline: float, told: Callable[[int], None]
    ) -> tuple[Index, bytes] | Claim | None:
        """The shared index of this very source and its bytes, or the claim to build it; None where that needs none."""
        if self.shared is None:
            return None
        taken = self.shared.take(
            os.path.basename(path), source.identity.size, goes_on=goes_on, deadline=deadline, told=told
        )
        return _right(source, taken) if isinstance(taken, bytes) else taken

    def _from_shared(self, source: Source, path: str) -> tuple[Index, bytes] | None:
        """The shared index of this very source, if there is one, and its bytes."""
        data = None if self.shared is None else self.shared.get(os.path.basename(path))
        return None if data is None else _right(source, data)

    def _kept(self, source: Source, path: str, index: Index) -> Index:
        """A complete index as it is found from now on, in parts if it is large; where it could not be stored, as it is."""
        if self._whole is None or index.nbytes <= self._whole:
            return index
        stored = self._read(path)
        return stored[1] if stored and stored[0] == source.identity and stored[1].complete else index

    def _progress(self, path: str) -> float:
        """The progress of a build from 0 to 1, by the note of its process; 0 without one."""
        try:
            fd = os.open(self._lock_path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                name, walked, size = os.read(fd, _NOTE_BYTES).decode("ascii").split()
            finally:
                os.close(fd)
            return _part(int(walked), int(size)) if name == os.path.basename(path) else 0.0
        except (OSError, ValueError):
            return 0.0

    def _path(self, identity: Identity) -> str:
        key = b"%d\0%d\0%d\0%b" % (indexfile.FORMAT_VERSION, identity.device, identity.inode, identity.path)
        return os.path.join(self._folder, hashlib.blake2b(key, digest_size=16).hexdigest())

    def _lock_path(self, path: str) -> str:
        """The file of an index's lock. Locks are shared by many indexes, so that their files are few and never removed."""
        number = int(os.path.basename(path)[:8], 16) % _LOCKS
        return os.path.join(self._folder, "locks", f"{number:02d}")

    @contextmanager
    def _lock(self, path: str, deadline: float) -> Iterator[str | None]:
        """Hold the lock of an index, and give its file; None where there is no place for one."""
        place = self._lock_path(path)
        try:
            # The folder may have been taken away while the server runs.
            os.makedirs(os.path.dirname(place), exist_ok=True)
            # No link is followed, so nothing is made elsewhere.
            fd = os.open(place, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError:
            # No place to write, so nothing to share: each process builds for itself, one index at a time.
            yield None
            return
        try:
            if not lock(fd, deadline):
                raise IndexPendingError(self._progress(path))
            yield place
        finally:
            os.close(fd)

    def _read(self, path: str) -> tuple[Identity, Index] | None:
        try:
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
                data = file.read()
                if self._whole is None or len(data) <= self._whole:
                    return indexfile.load(data)
                # Another descriptor of it, which what is loaded holds.
                kept = indexfile.KeptFile(os.dup(file.fileno()))
        except OSError:
            return None
        return indexfile.load(data, kept)

    def _write(self, path: str, data: bytes) -> None:
        """Put an index in its place whole or not at all. A full or read-only disk costs the saving, never the answer."""
        with suppress(OSError), atomic.replacing(path) as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if name not in _FOLDERS)
        except OSError:
            return []

    def _sweep(self) -> None:
        old = time.time() - _STALE_SECONDS
        for name in self._names():
            path = os.path.join(self._folder, name)
            with suppress(OSError):
                if name.endswith(atomic.SUFFIX) and os.stat(path).st_mtime < old:
                    os.unlink(path)


def _right(source: Source, data: bytes) -> tuple[Index, bytes] | None:
    """The index that bytes hold, and the bytes, if it is the complete one of this very source."""
    found = indexfile.load(data)
    return (found[1], data) if found is not None and found[0] == source.identity and found[1].complete else None


@contextmanager
def _claimed(claim: Claim | None) -> Iterator[None]:
    """Release a claim if the build fails. One that runs out of time goes on with the next request, so others wait on."""
    try:
        yield
    except IndexPendingError:
        raise
    except BaseException:
        if claim is not None:
            claim.release()
        raise


class _Errors:
    """The errors of the files asked for last: without them each request for one would look for frames again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: OrderedDict[Identity, Mp3Error] = OrderedDict()

    def get(self, identity: Identity) -> Mp3Error | None:
        with self._lock:
            return self._items.get(identity)

    def put(self, identity: Identity, error: Mp3Error) -> None:
        with self._lock:
            self._items[identity] = error
            if len(self._items) > _MAX_ERRORS:
                self._items.popitem(last=False)


class _Turn:
    """The turn of one thread. Others wait for theirs until turns have followed each other for a moment; then they get none."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._taken = False
        self._waiting = 0
        self._since = 0.0

    def take(self) -> bool:
        """Return whether it is this thread's turn now; then `leave` ends it."""
        with self._condition:
            if not self._taken and not self._waiting:
                self._since = time.monotonic()
            self._waiting += 1
            try:
                left = self._since + _SHORT_SECONDS - time.monotonic()
                got = self._condition.wait_for(lambda: not self._taken, max(0.0, left))
            finally:
                self._waiting -= 1
            self._taken = self._taken or got
            return got

    def leave(self) -> None:
        """End the turn."""
        with self._condition:
            self._taken = False
            self._condition.notify()


class _Note:
    """Notes how far a build is in the file of its lock, where all processes can read it."""

    def __init__(self, place: str | None, name: str, size: int) -> None:
        self._place = place
        self._name = name
        self._size = size
        self._next = time.monotonic() + _TELL_SECONDS

    def __call__(self, walked: int) -> None:
        now = time.monotonic()
        if self._place is None or now < self._next:
            return
        self._next = now + _TELL_SECONDS
        with suppress(OSError):
            fd = os.open(self._place, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                # Of one length, so that a reader never sees the end of a longer one.
                os.pwrite(fd, (_NOTE % (self._name, walked, self._size)).ljust(_NOTE_BYTES).encode("ascii"), 0)
            finally:
                os.close(fd)


def _part(walked: int, size: int) -> float:
    return min(1.0, max(0.0, walked / size)) if size > 0 else 0.0
