"""The media folder: which paths name a source, and the list of what can be cut."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slicer.media.source import Source, SourceMissingError, open_source

_SUFFIX = b".mp3"
_MAX_PATH = 1024
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """A source in the list."""

    path: bytes  #: from the media folder, with / between the names
    size: int  #: bytes
    mtime_ns: int


class Library:
    """The folder `root`, a real path. Holds no state: every look is a fresh one."""

    def __init__(self, root: str) -> None:
        self._root = os.fsencode(root)

    def open(self, path: bytes) -> Source:
        """Open the source at a path from the media folder. Raises SourceMissingError for missing and forbidden alike.

        Raises SourceUnavailableError where nobody can tell.
        """
        if not is_safe(path) or path[-4:].lower() != _SUFFIX:
            raise SourceMissingError
        return open_source(self._root, path)

    def full_path(self, path: bytes) -> bytes:
        """Where a path from the media folder leads."""
        return self._root + b"/" + path

    def inner_path(self, source: Source) -> bytes:
        """Where an open source really lies, from the media folder, without symbolic links."""
        return source.identity.path[len(self._root.rstrip(b"/")) + 1 :]

    def is_readable(self) -> bool:
        """Whether the folder can be listed now."""
        try:
            with os.scandir(self._root) as entries:
                next(entries, None)
        except OSError:
            return False
        return True

    def list(
        self, prefix: bytes = b"", after: bytes = b"", *, hidden: Callable[[bytes], bool] = lambda _: False
    ) -> Iterator[Entry]:
        """Sources whose path starts with `prefix` and comes after `after`, in byte order of their paths.

        Folders that are `hidden` are left out, and so is what links find in them.
        Only folders that can hold such paths are read. Folders behind symbolic links are left out, so that there is no way round
        in a circle; files behind links are in if they lie within the folder.
        """
        yield from self._list(b"", prefix, after, 0, hidden)

    def _list(
        self, folder: bytes, prefix: bytes, after: bytes, depth: int, hidden: Callable[[bytes], bool]
    ) -> Iterator[Entry]:
        if hidden(folder):
            return
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:
                # With its slash a folder sorts where its files do.
                found = sorted(
                    (folder + entry.name + (b"/" if entry.is_dir(follow_symlinks=False) else b""), entry)
                    for entry in entries
                    if not entry.name.startswith(b".")
                )
        except OSError:
            return
        for path, entry in found:
            if path.endswith(b"/"):
                if depth < _MAX_DEPTH and _overlaps(path, prefix) and (path > after or after.startswith(path)):
                    yield from self._list(path, prefix, after, depth + 1, hidden)
            elif path > after and path.startswith(prefix) and path[-4:].lower() == _SUFFIX:
                listed = self._entry(path, entry, hidden)
                if listed:
                    yield listed

    def _entry(self, path: bytes, entry: os.DirEntry[bytes], hidden: Callable[[bytes], bool]) -> Entry | None:
        try:
            if entry.is_symlink():
                with open_source(self._root, path) as source:
                    if hidden(self.inner_path(source)):
                        return None
                    return Entry(path, source.identity.size, source.identity.mtime_ns)
            if not entry.is_file():
                return None
            status = entry.stat()
        except (OSError, SourceMissingError):
            return None
        return Entry(path, status.st_size, status.st_mtime_ns)


def is_safe(path: bytes) -> bool:
    """Whether a path can name something in the folder: relative, no empty, hidden, . or .. names, no NUL, of bounded length."""
    if not path or len(path) > _MAX_PATH or b"\0" in path:
        return False
    return not (path.startswith((b"/", b".")) or b"//" in path or b"/." in path or path.endswith(b"/"))


def _overlaps(folder: bytes, prefix: bytes) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)
