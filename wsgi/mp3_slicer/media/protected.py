"""The folders of media that need a signature, by device and inode, whatever a request or a link does.

A folder is its device and inode. On media that ignore case, normalise names or are mounted twice, one folder has many names.
"""

import os
from typing import NamedTuple

from mp3_slicer.errors import SlicerError

_Number = tuple[int, int]


class Permit(NamedTuple):
    """The result of a request's check; nothing opens a source without one."""

    signed: bool  #: whether it has a signature, which is right, for the path that it asks for


#: The two permits.
SIGNED, UNSIGNED = Permit(signed=True), Permit(signed=False)


class ProtectedError(SlicerError):
    """The source lies in a protected folder, and the request has no signature for it."""


class Protected:
    """The protected folders of one media folder. Safe for any number of threads."""

    def __init__(self, root: str, folders: tuple[bytes, ...] = ()) -> None:
        """`root` is a real path; `folders` are paths from there, b"/" for all of it."""
        self._root = os.fsencode(root)
        self._folders = [tuple(names_of(folder)) for folder in folders]
        self._all = any(not names for names in self._folders)
        #: Device and inode of each that had the name once: a folder that is renamed stays protected.
        self._known: list[set[_Number]] = [set() for _ in self._folders]
        self._look()

    @property
    def is_empty(self) -> bool:
        """Return whether no folder is protected."""
        return not self._folders

    def names(self, path: bytes) -> bool:
        """Return whether a path from the media folder leads into one of them by its names; b"" is the media folder itself."""
        if not self._folders:
            return False
        names = names_of(path)
        # Such a path names nothing. Should it ever, then not past this.
        return b".." in names or any(tuple(names[: len(folder)]) == folder for folder in self._folders)

    def holds(self, path: bytes) -> bool:
        """Return whether the file or folder at a path lies in one of them, or is one, by what the kernel finds on the way there.

        True where that is unknown.
        """
        if not self._folders or self._all:
            return self._all
        if self.names(path):
            return True
        self._look()
        if not all(self._known):
            # One of them was never seen: it may be what is at the end of this path.
            return True
        place = self._root
        for name in names_of(path):
            place += b"/" + name
            number = _number(place)
            if number is None or any(number in known for known in self._known):
                return True
        return False

    def _look(self) -> None:
        for names, known in zip(self._folders, self._known, strict=True):
            number = _number(b"/".join((self._root, *names)))
            if number is not None:
                known.add(number)


class ProtectedKeys(Protected):
    """The protected folders of a store of objects, where keys are what their bytes say, and nothing is a link."""

    def __init__(self, folders: tuple[bytes, ...] = ()) -> None:
        super().__init__("", folders)

    def holds(self, path: bytes) -> bool:
        """Return whether a key lies in one of them."""
        return self.names(path)

    def _look(self) -> None:
        """Nothing: a prefix has no number."""


def names_of(path: bytes) -> list[bytes]:
    """The names in a path, without those that lead nowhere."""
    return [name for name in path.split(b"/") if name not in {b"", b"."}]


def _number(path: bytes) -> _Number | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
