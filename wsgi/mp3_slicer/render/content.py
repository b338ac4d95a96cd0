"""The bytes of a result, on disk or in memory."""

import os
from collections.abc import Iterator
from typing import Protocol


class Content(Protocol):
    """The bytes of a result, in a file that never changes, or in memory."""

    @property
    def length(self) -> int: ...  # noqa: D102
    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


def pieces_of(fd: int, offset: int, start: int, stop: int, size: int) -> Iterator[bytes]:
    """Yield the bytes start..stop-1 behind an offset of an open file, in pieces of at most `size`. Raises EOFError at its end."""
    while start < stop:
        data = os.pread(fd, min(size, stop - start), offset + start)
        if not data:
            raise EOFError("the result became shorter")
        start += len(data)
        yield data


class InMemory:
    """Content that has no file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)  #: bytes

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes start..stop-1, all of them by default, at once."""
        yield self._data[start:stop]

    def close(self) -> None:
        """Do nothing."""
