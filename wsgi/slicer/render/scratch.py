"""Files for the time of a render. They have no name, so nothing of them is left behind, however a process ends."""

import tempfile
from typing import BinaryIO


def nameless_file(folder: str | None = None) -> BinaryIO:
    """A new empty file, open for reading and writing, in `folder` or where the system keeps temporary files. Raises OSError."""
    return tempfile.TemporaryFile(dir=folder)


def place_of(file: BinaryIO) -> str:
    """A path under which a child can open the file, once its descriptor is passed on.

    Opened by this path it is a regular file that can be searched, unlike a pipe: containers whose header is written last need that.
    """
    return f"/dev/fd/{file.fileno()}"
