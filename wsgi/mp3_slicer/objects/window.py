"""Parts of an object that were read beforehand, in memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mp3_slicer.mp3 import Span
    from mp3_slicer.objects.onward import OnwardReader
    from mp3_slicer.objects.source import ObjectSource


class Window:
    """Reads from memory what is there, and by a request what is not. Each part came in an answer of the version that was opened."""

    __slots__ = ("_parts", "_source", "proof", "size")

    def __init__(self, source: "ObjectSource", parts: list[tuple[int, bytes]]) -> None:
        """`parts` are offsets with their bytes."""
        self._source = source
        self._parts = parts
        self.size = source.size
        self.proof = source.proof

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes. Raises SourceChangedError and StoreError."""
        stop = min(offset + size, self.size)
        for begin, data in self._parts:
            if begin <= offset and stop <= begin + len(data):
                return data[offset - begin : stop - begin]
        return self._source.read(size, offset)

    def ahead(self, span: "Span") -> "Window":
        """Another one, for another span."""
        return self._source.ahead(span)

    def onward(self, stop: int | None = None) -> "OnwardReader":
        """A reader that streams."""
        return self._source.onward(stop)

    def check_current(self) -> None:
        """Nothing: the answers that are here were checked, and are younger than the request."""
