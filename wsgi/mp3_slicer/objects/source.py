"""An object as a source: every answer is checked to be of the version that was opened."""

import hashlib
from typing import TYPE_CHECKING, Self

from mp3_slicer.media.source import Identity, SourceMissingError
from mp3_slicer.mp3 import SourceChangedError, extents
from mp3_slicer.objects.client import Body, Client, Version
from mp3_slicer.objects.onward import OnwardReader
from mp3_slicer.objects.window import Window

if TYPE_CHECKING:
    from mp3_slicer.mp3 import Span

#: Bytes up to which what a cut reads is one request.
WHOLE = 1 << 20


class ObjectSource:
    """One version of an object. Nothing is open of it between two reads."""

    __slots__ = ("_client", "_path", "_version", "identity", "proof", "size")

    def __init__(self, client: Client, path: bytes, version: Version) -> None:
        self._client = client
        self._path = path
        self._version = version
        self.identity = Identity(client.url(path), 0, 0, version.size, version.mtime_ns, version.tag)
        self.size = version.size
        self.proof: int | None = int.from_bytes(hashlib.blake2b(version.tag.encode(), digest_size=8).digest(), "big")

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes, by one request. Raises SourceChangedError and StoreError."""
        stop = min(offset + size, self.size)
        return self._client.fetch(self._path, self._version, offset, stop) if offset < stop else b""

    def ahead(self, span: "Span") -> Window:
        """A reader for the cut of a span, which has read the span if it is short, else its ends. Raises as `read`."""
        ranges = [(low, min(high, self.size)) for low, high in extents(span, WHOLE)]
        if any(low >= high for low, high in ranges):
            raise SourceChangedError("the index is of a longer object")
        return Window(self, [(low, self.read(high - low, low)) for low, high in ranges])

    def onward(self, stop: int | None = None) -> OnwardReader:
        """A reader that streams."""
        return OnwardReader(self, self._body, self.size if stop is None else min(stop, self.size))

    def _body(self, low: int, high: int) -> Body:
        return self._client.body(self._path, self._version, low, high)

    def check(self) -> None:
        """Nothing: each answer was checked."""

    def check_current(self) -> None:
        """Raise SourceChangedError unless the object under the path still is of this version. Raises StoreError."""
        try:
            now = self._client.open(self._path)
        except SourceMissingError:
            raise SourceChangedError("the object is gone") from None
        if now != self._version:
            raise SourceChangedError("the object was replaced")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""
