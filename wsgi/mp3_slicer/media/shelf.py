"""Sources at hand: opened and indexed once, kept open for the requests that follow.

Opening, checking and indexing a file costs about as much as cutting a clip out of it. A source is taken from the shelf without a
look at the disk, and asked afterwards, once what it gave has been read, whether it still is the file under its path.
"""

import errno
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from mp3_slicer.media.library import Catalog
from mp3_slicer.media.protected import Permit, Protected, ProtectedError
from mp3_slicer.media.source import Source, SourceTooLargeError, SourceUnavailableError
from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import Index, SourceChangedError, has_grown

#: Sources kept open at most, and the idle seconds after which one is closed when another is opened.
MAX_OPEN = 128
IDLE_SECONDS = 30
#: Descriptors that a process needs for other things: connections, locks, logs, pipes to helpers.
_OTHER_DESCRIPTORS = 64


def most_open() -> int:
    """The number of sources that may stay open, at least one, by the process's limit of open files."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_OPEN
    return max(1, min(MAX_OPEN, (soft - _OTHER_DESCRIPTORS) // 2))


#: Is called with a kind of work, and its outcome.
Note = Callable[[str, str], None]


def _nobody(what: str, outcome: str) -> None:
    """Ignore it."""


class Opened:
    """An open source with its index. It closes with the last reference."""

    __slots__ = ("index", "name", "protected", "source", "used")

    def __init__(self, name: bytes, source: Source, index: Index, *, protected: bool = False) -> None:
        self.name = name  #: the path under which it was opened, from the media folder
        self.source = source
        self.index = index
        self.protected = protected  #: whether it is for requests with a signature alone
        self.used = time.monotonic()

    def check_current(self) -> None:
        """Raise SourceChangedError unless what is under the path still is this source, unchanged since it was opened."""
        self.source.check_current()

    def check_unchanged(self) -> None:
        """Raise SourceChangedError if the open file, wherever its path leads by now, was changed other than by growing."""
        try:
            self.source.check()
        except SourceChangedError:
            if not has_grown(self.source, self.index):
                raise


class Shelf:
    """The sources used last, up to a number and a size of indexes. Safe for any number of threads."""

    def __init__(
        self,
        library: Catalog,
        store: IndexStore,
        protected: Protected,
        *,
        memory_bytes: int,
        largest: int,
    ) -> None:
        """`memory_bytes` are those of all indexes together, `largest` those of a source."""
        self._library = library
        self._store = store
        self._protected = protected
        self._limit = memory_bytes
        self._largest = largest
        self._most = most_open()
        self._bytes = 0
        self._lock = threading.Lock()
        self._items: OrderedDict[bytes, Opened] = OrderedDict()

    def take(self, path: bytes, permit: Permit, note: Note = _nobody) -> Opened:
        """The source at a path from the media folder; it was current when it was put here, which `check_current` asks again.

        `note` is called with the origin of its index: memory, disk, built, or pending where it is not ready.
        Raises ProtectedError, SourceMissingError, SourceUnavailableError, SourceTooLargeError, IndexPendingError while the file is being
        indexed, and Mp3Error where that cannot be.
        """
        with self._lock:
            found = self._items.get(path)
            if found is not None:
                self._items.move_to_end(path)
                found.used = time.monotonic()
        if found is not None:
            if found.protected and not permit.signed:
                raise ProtectedError
            note("index", "memory")
            return found
        source = self._open(path)
        protected = self._protected.holds(path) or self._protected.holds(self._library.inner_path(source))
        if protected and not permit.signed:
            raise ProtectedError
        if source.identity.size > self._largest:
            raise SourceTooLargeError(f"the file holds {source.identity.size} bytes and {self._largest} are allowed")
        # Not closed here on errors: the last reference closes it.
        try:
            index, origin = self._store.find(source)
        except IndexPendingError:
            note("index", "pending")
            raise
        note("index", origin)
        opened = Opened(path, source, index, protected=protected)
        self._put(path, opened)
        return opened

    def _open(self, path: bytes) -> Source:
        """Open a source; where the process has too many files open, close those at hand first."""
        try:
            return self._library.open(path)
        except SourceUnavailableError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        with self._lock:
            self._items.clear()
            self._bytes = 0
        return self._library.open(path)

    def drop(self, path: bytes, opened: Opened) -> None:
        """Take a source that is no longer current off the shelf, if it is still there."""
        with self._lock:
            if self._items.get(path) is opened:
                del self._items[path]
                self._bytes -= opened.index.nbytes

    def _put(self, path: bytes, opened: Opened) -> None:
        size = opened.index.nbytes
        idle = opened.used - IDLE_SECONDS
        with self._lock:
            old = self._items.pop(path, None)
            if old is not None:
                self._bytes -= old.index.nbytes
            self._items[path] = opened
            self._bytes += size
            while (
                self._bytes > self._limit
                or len(self._items) > self._most
                or next(iter(self._items.values())).used < idle
            ):
                _, dropped = self._items.popitem(last=False)
                self._bytes -= dropped.index.nbytes
                if not self._items:
                    break
