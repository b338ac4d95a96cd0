"""The bytes of a result, on disk or in memory."""

from collections.abc import Iterator
from typing import Protocol


class Content(Protocol):
    """The bytes of a result, in a file that never changes, or in memory."""

    @property
    def length(self) -> int: ...  # noqa: D102
    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


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
