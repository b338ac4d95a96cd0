"""An object read from front to back by one request that streams, with looks back and one at its end."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mp3_slicer.objects.client import Body
from mp3_slicer.objects.errors import StoreError

if TYPE_CHECKING:
    from mp3_slicer.mp3 import Span
    from mp3_slicer.objects.source import ObjectSource
    from mp3_slicer.objects.window import Window

#: Bytes behind the offset reached that stay in memory, and bytes that are skipped by reading them.
_KEPT = _SKIPPED = 1 << 20
#: Bytes at the end, where tags are, that are read at once; and bytes of a look back to what is not in memory any more.
_TAIL = 1 << 16


class OnwardReader:
    """For one thread. What it has open is closed when nobody holds it, or when the end is reached."""

    def __init__(self, source: "ObjectSource", open_: Callable[[int, int], Body], stop: int) -> None:
        """`open_` asks for a range of bytes; none from `stop` on are streamed."""
        self._source = source
        self._open = open_
        self._stop = stop
        self.size = source.size
        self.proof = source.proof
        self._body: Body | None = None
        self._base = 0  #: offset of the first byte in memory
        self._data = bytearray()
        self._look: tuple[int, bytes] = (0, b"")

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes. Raises SourceChangedError and StoreError."""
        stop = min(offset + size, self.size)
        if offset >= stop:
            return b""
        reached = self._base + len(self._data)
        if self._base <= offset <= reached + _SKIPPED and stop <= self._stop and (self._data or self._body):
            return self._stream(offset, stop)
        begin, data = self._look
        if begin <= offset and stop <= begin + len(data):
            return data[offset - begin : stop - begin]
        tail = max(0, self.size - _TAIL)
        if stop > self._stop or (offset < self._base and stop - offset <= _TAIL) or offset >= tail > reached:
            begin = min(offset, tail) if offset >= tail else offset
            self._look = begin, self._source.read(max(_TAIL, stop - begin), begin)
            return self._look[1][offset - begin : stop - begin]
        self.close()
        self._data.clear()
        self._base = offset
        return self._stream(offset, stop)

    def _stream(self, offset: int, stop: int) -> bytes:
        """The bytes offset..stop-1, once the stream has got there. A stream that ends early is taken up again, once at each offset."""
        failed_at = -1
        while (reached := self._base + len(self._data)) < stop:
            try:
                if self._body is None:
                    self._body = self._open(reached, self._stop)
                self._data += self._body.read()
            except StoreError as error:
                self.close()
                if not error.is_fault or failed_at == reached:
                    raise
                failed_at = reached
            surplus = len(self._data) - 2 * _KEPT
            if surplus > 0 and (gone := min(surplus + _KEPT, offset - self._base)) > 0:
                del self._data[:gone]
                self._base += gone
        if reached == self._stop:
            self.close()
        return bytes(memoryview(self._data)[offset - self._base : stop - self._base])

    def ahead(self, span: "Span") -> "Window":
        """A reader of what a cut reads."""
        return self._source.ahead(span)

    def onward(self, stop: int | None = None) -> "OnwardReader":
        """Return this reader if it goes as far, else another one."""
        if stop is not None and stop <= self._stop:
            return self
        return self._source.onward(stop)

    def check_current(self) -> None:
        """Raise SourceChangedError unless the source is current."""
        self._source.check_current()

    def close(self) -> None:
        """Close what is open; twice is harmless."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def __del__(self) -> None:
        self.close()
