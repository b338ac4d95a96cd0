"""Bytes as a file that lies nowhere."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def file_of(data: bytes) -> Iterator[int]:
    """An open file with these bytes."""
    fd = os.memfd_create("fuzz", os.MFD_CLOEXEC)
    try:
        place = 0
        while place < len(data):
            place += os.write(fd, data[place:])
        yield fd
    finally:
        os.close(fd)
