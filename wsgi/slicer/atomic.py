"""Files that are there whole or not at all: written beside their place, and renamed to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

#: What the names of files begin and end with that are not whole yet. A process that is killed leaves one behind.
PREFIX, SUFFIX = ".slicer-", ".tmp"


@contextmanager
def replacing(path: str, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Give a new file to write, which takes the place of `path` at the end of the block; after an exception nothing of it is left.

    `mode` is that of the file, less what the umask takes. Raises OSError where the file cannot be made, written or renamed.
    """
    temporary = os.path.join(os.path.dirname(path), f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}")
    # Made by this call alone, and through no link of somebody else's.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(temporary, flags, mode), "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
