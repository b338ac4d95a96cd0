"""Files for the time of a render. They have no name, so nothing of them is left behind, however a process ends.

Where a file system knows no files without a name, they have one for a moment (tempfile). A process that is killed in that moment leaves
an empty file, which `prepare` takes away.
"""

import os
import tempfile
import time
from contextlib import suppress
from typing import BinaryIO, Self

_PREFIX = "slicer-scratch-"
#: Seconds after which a file that still has its name was abandoned.
_STALE_SECONDS = 60


def prepare(folder: str) -> None:
    """Make a folder for such files, and take away what killed processes left there. Raises OSError where that cannot be done."""
    os.makedirs(folder, exist_ok=True)
    old = time.time() - _STALE_SECONDS
    with os.scandir(folder) as names:
        for entry in names:
            if entry.name.startswith(_PREFIX):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < old:
                        os.unlink(entry.path)


class Scratch:
    """Files without a name for the time of one render. `with` closes them all, whatever still refers to them."""

    def __init__(self, folder: str | None = None) -> None:
        """Keep them on the disk of `folder`, or where the system keeps temporary files."""
        self._folder = folder
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def file(self) -> BinaryIO:
        """A new one. Raises OSError."""
        file = nameless_file(self._folder)
        self._files.append(file)
        return file


def nameless_file(folder: str | None = None) -> BinaryIO:
    """A new empty file, open for reading and writing, in `folder` or where the system keeps temporary files. Raises OSError."""
    return tempfile.TemporaryFile(dir=folder, prefix=_PREFIX)


def path_of(file: BinaryIO) -> str:
    """A path under which a child can open the file, once its descriptor is passed on.

    Opened by this path it is a regular file that can be searched, unlike a pipe: containers whose header is written last need that.
    """
    return f"/dev/fd/{file.fileno()}"
