"""The one way to the bytes of a source: the engine reads through this and knows no file, no socket and no store."""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from mp3_slicer.mp3.index import Span

#: Reads up to so many bytes at an offset: fewer only where the source ends. Safe for any number of threads where its reader is.
Read = Callable[[int, int], bytes]


class Reader(Protocol):
    """A source that is open: its size, and its bytes."""

    @property
    def size(self) -> int:
        """Bytes of the source as it is now."""

    @property
    def proof(self) -> int | None:
        """A checksum of what names this version of the source, 32 bits; None where only its bytes can tell."""

    @property
    def read(self) -> Read:
        """Reads a few bytes, anywhere."""

    def ahead(self, span: "Span") -> "Reader":
        """A reader for the cut of a span: what that will read is read in as few requests as it takes."""

    def onward(self, stop: int | None = None) -> "Reader":
        """A reader, for one thread, of offsets that nearly always grow; of none from `stop` on, where that is given."""


class FileReader:
    """An open file, which is read by os.pread: the file's position counts for nothing."""

    __slots__ = ("fd", "read")
    proof: int | None = None  #: a file may be written to, and keep its name and its time

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.read: Read = partial(os.pread, fd)

    @property
    def size(self) -> int:
        """Bytes of the file as it is now."""
        return os.fstat(self.fd).st_size

    def ahead(self, _: "Span") -> Self:
        """The file itself."""
        return self

    def onward(self, _: int | None = None) -> Self:
        """The file itself."""
        return self
