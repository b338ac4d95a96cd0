"""The media folder: which paths name a source, and the list of what can be cut."""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mp3_slicer.media.names import Names, StoredNames
from mp3_slicer.media.source import FileSource, Source, SourceMissingError, open_source

_SUFFIX = b".mp3"
_MAX_PATH = 1024
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """A source in the list."""

    path: bytes  #: from the media folder, with / between the names
    size: int  #: bytes
    mtime_ns: int
    tag: str = ""  #: what a store calls this version of an object; empty for a file


#: Hears of a file in a list.
Heard = Callable[[Entry], None]


def _unheard(_: Entry) -> None:
    """Hear of nothing."""


class Inventory(Protocol):
    """A list of all sources of a library, and what lies beside them."""

    def sources(self) -> Iterator[Entry]:
        """List the sources, once."""

    def versions(self, paths: Sequence[bytes]) -> dict[bytes, str]:
        """Of those of some paths that are there, in their order, what changes whenever the file does. Everything is listed by now."""


class Catalog(Protocol):
    """The sources of a server, in a folder or a store of objects."""

    can_list: bool  #: whether its sources can be listed

    def open(self, path: bytes) -> Source:
        """Open the source at a path. Raises SourceMissingError, SourceUnavailableError and SourceArchivedError."""

    def open_beside(self, path: bytes, ending: bytes) -> Source:
        """Open a file beside a source, whose name ends in `ending`, by the same rules and with the same errors."""

    def beside(self, stem: bytes, names: Sequence[bytes]) -> Collection[bytes]:
        """Those of some paths, which begin with `stem` and a point, that are worth an attempt to open them.

        Raises SourceUnavailableError.
        """

    def inner_path(self, source: Source) -> bytes:
        """The real path of an open source, without links."""

    def is_readable(self) -> bool:
        """Return whether its sources can be read now."""

    def list(
        self,
        prefix: bytes = b"",
        after: bytes = b"",
        *,
        hidden: Callable[[bytes], bool] = lambda _: False,
        other: Heard = _unheard,
    ) -> Iterator[Entry]:
        """Sources whose path starts with `prefix` and comes after `after`, in byte order of their paths; none that is `hidden`.

        `other` hears of the files between them that are none, if a list has those too: that of a store has, that of a folder has not.
        """

    def inventory(self, endings: Sequence[bytes]) -> Inventory:
        """A new list of everything, with the files beside sources whose names end so."""


class Library:
    """The folder `root`, a real path. It is read at each call, except for the names of large folders where those are stored."""

    can_list = True

    def __init__(self, root: str, names_dir: str | None = None) -> None:
        """`names_dir` is the folder in which the names of large folders are stored; None sorts them in memory each time."""
        self._root = os.fsencode(root)
        self._names = Names(self._root) if names_dir is None else StoredNames(self._root, names_dir)

    def open(self, path: bytes) -> FileSource:
        """Open the source at a path from the media folder. Raises SourceMissingError for missing and forbidden alike.

        Raises SourceUnavailableError where that is unknown.
        """
        if not is_safe(path) or not is_source_name(path):
            raise SourceMissingError
        return open_source(self._root, path)

    def open_beside(self, path: bytes, ending: bytes) -> Source:
        """Open a file beside a source, whose name ends in `ending`, by the same rules and with the same errors."""
        if not is_safe(path) or not path.endswith(ending):
            raise SourceMissingError
        return open_source(self._root, path)

    def beside(self, stem: bytes, names: Sequence[bytes]) -> Collection[bytes]:
        """All of them: an attempt costs no more than a look."""
        return names

    def inventory(self, endings: Sequence[bytes]) -> Inventory:
        """A new list. What lies beside a source is looked for when it is asked for, whatever its name ends in."""
        return FolderInventory(self)

    def full_path(self, path: bytes) -> bytes:
        """The whole path of one from the media folder."""
        return self._root + b"/" + path

    def inner_path(self, source: Source) -> bytes:
        """The real path of an open source, from the media folder, without symbolic links."""
        return source.identity.path[len(self._root.rstrip(b"/")) + 1 :]

    def is_readable(self) -> bool:
        """Return whether the folder can be listed now."""
        try:
            with os.scandir(self._root) as entries:
                next(entries, None)
        except OSError:
            return False
        return True

    def list(
        self,
        prefix: bytes = b"",
        after: bytes = b"",
        *,
        hidden: Callable[[bytes], bool] = lambda _: False,
        other: Heard = _unheard,
    ) -> Iterator[Entry]:
        """Sources whose path starts with `prefix` and comes after `after`, in byte order of their paths.

        Folders that are `hidden` are left out, and so is what links find in them.
        Only folders that can hold such paths are read. Folders behind symbolic links are left out, so that there is no
        circle; files behind links are listed if they lie within the folder.

        Raises NamesPendingError while the names of a large folder are sorted for the first time.
        """
        yield from self._list(b"", prefix, after, 0, hidden)

    def _list(
        self, folder: bytes, prefix: bytes, after: bytes, depth: int, hidden: Callable[[bytes], bool]
    ) -> Iterator[Entry]:
        if hidden(folder):
            return
        try:
            # What was a folder when its name was stored may be a link now.
            if folder and not stat.S_ISDIR(os.lstat(self.full_path(folder[:-1])).st_mode):
                return
            names = self._names.of(folder, max(_first(folder, prefix), _first(folder, after)))
        except OSError:
            return
        for name in names:
            path = folder + name
            if path > prefix and not _overlaps(path, prefix):
                return
            if path.endswith(b"/"):
                if depth < _MAX_DEPTH and _overlaps(path, prefix) and (path > after or after.startswith(path)):
                    yield from self._list(path, prefix, after, depth + 1, hidden)
            elif path > after and path.startswith(prefix):
                listed = self._entry(path, hidden)
                if listed:
                    yield listed

    def _entry(self, path: bytes, hidden: Callable[[bytes], bool]) -> Entry | None:
        try:
            status = os.lstat(self.full_path(path))
            if stat.S_ISLNK(status.st_mode):
                with open_source(self._root, path) as source:
                    if hidden(self.inner_path(source)):
                        return None
                    return Entry(path, source.identity.size, source.identity.mtime_ns)
        except (OSError, SourceMissingError):
            return None
        return Entry(path, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


class FolderInventory:
    """What is in a media folder. Each folder is listed once, and what lies beside a source is looked at."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._folder: bytes | None = None
        self._names: frozenset[bytes] = frozenset()

    def sources(self) -> Iterator[Entry]:
        """List the sources."""
        return self._library.list()

    def versions(self, paths: Sequence[bytes]) -> dict[bytes, str]:
        """Of those of some paths that are there, what changes whenever the file does."""
        return {path: self._version(path) for path in paths if self._is_there(path)}

    def _is_there(self, path: bytes) -> bool:
        folder, _, name = path.rpartition(b"/")
        if folder != self._folder:
            try:
                self._names = frozenset(os.listdir(self._library.full_path(folder)))
            except OSError:
                self._names = frozenset()
            self._folder = folder
        return name in self._names

    def _version(self, path: bytes) -> str:
        try:
            status = os.stat(self._library.full_path(path))
        except OSError:
            return "-"
        return f"{status.st_ino}.{status.st_size}.{status.st_mtime_ns}.{status.st_ctime_ns}"


def is_source_name(path: bytes) -> bool:
    """Return whether a path ends as those of MP3 files do."""
    return path[-4:].lower() == _SUFFIX


def is_safe(path: bytes) -> bool:
    """Return whether a path can name something in the folder: relative, no empty, hidden, . or .. names, no NUL, of bounded length."""
    if not path or len(path) > _MAX_PATH or b"\0" in path:
        return False
    return not (path.startswith((b"/", b".")) or b"//" in path or b"/." in path or path.endswith(b"/"))


def _overlaps(folder: bytes, prefix: bytes) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _first(folder: bytes, path: bytes) -> bytes:
    """The first name in a folder that matters, where all paths before `path` do not, and folders on the way to it do."""
    if not path.startswith(folder):
        return b""
    name, slash, _ = path[len(folder) :].partition(b"/")
    return name + slash
