"""Files that appear whole or not at all: written under another name, and renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

#: Prefix and suffix of the names of unfinished files. A killed process leaves one behind.
PREFIX, SUFFIX = ".slicer-", ".tmp"


@contextmanager
def replacing(path: str, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Yield a new file, which replaces `path` at the end of the block; an exception removes it.

    `mode` is that of the file, before the umask. Raises OSError where the file cannot be made, written or renamed.
    """
    temporary = os.path.join(os.path.dirname(path), f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}")
    # Created by this call alone, and through no other user's link.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(temporary, flags, mode), "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
