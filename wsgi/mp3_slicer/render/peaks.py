"""Waveforms: the lowest and highest sample of each pixel, in version 2 of the data format of BBC's audiowaveform.

The format is described in that project's doc/DataFormat.md. Channels are mixed to one, as audiowaveform does by default: the mean,
rounded down. Values of 8 bits are those of 16 divided by 256, towards zero.
"""

import struct
import sys
from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mp3_slicer.mp3 import Index, Reader, Span, SpanTooShortError, extents
from mp3_slicer.render.audio.decode import SpanPcm
from mp3_slicer.render.audio.samples import audioop
from mp3_slicer.render.errors import PeaksTimeoutError, TooLargeError, WorkTimeoutError
from mp3_slicer.render.frames import WIDTH
from mp3_slicer.render.limits import Deadline, Limits
from mp3_slicer.render.options import DEFAULT_PIXELS, MAX_PIXELS, MIN_ZOOM
from mp3_slicer.render.request import PeaksRequest

_HEADER = struct.Struct("<iIiiIi")
_EIGHT_BITS = 1
#: Of a coarse pixel are heard so many stretches, evenly spread, of so many samples for each channel: two frames, 52 ms at 44.1 kHz.
_STRETCHES, _STRETCH = 2, 2304
#: Values that become text at a time.
_VALUES = 1 << 14


@dataclass(frozen=True, slots=True)
class Peaks:
    """A waveform of one channel."""

    rate: int  #: samples a second of the source
    zoom: int  #: samples for each pixel; the last one may have fewer
    values: "array[int]"  #: lowest and highest sample of each pixel in turns, 16 bits
    coarse: bool = False  #: of a sample of each pixel's audio, not of all of it

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return len(self.values) // 2

    @property
    def _mark(self) -> str:
        # The format has no name for it, and readers of JSON pass over names that they do not know.
        return '"coarse":true,' if self.coarse else ""

    def encode(self, form: Literal["json", "dat"], bits: int) -> bytes:
        """The waveform as a file, with 8 or 16 bits for a value."""
        values = self.values
        if bits == 8:
            values = array("b", (value >> 8 if value >= 0 else -(-value >> 8) for value in values))
        if form == "dat":
            flags = _EIGHT_BITS if bits == 8 else 0
            if bits == 16 and sys.byteorder == "big":
                values = array("h", values)
                values.byteswap()
            return _HEADER.pack(2, flags, self.rate, self.zoom, self.pixels, 1) + values.tobytes()
        front = (
            f'{{"version":2,"channels":1,"sample_rate":{self.rate},"samples_per_pixel":{self.zoom},"bits":{bits},'
            f'{self._mark}"length":{self.pixels},"data":['
        )
        # Little by little: a million texts take a hundred times as much memory as what they say.
        texts = [",".join(map(str, values[at : at + _VALUES])) for at in range(0, len(values), _VALUES)]
        return (front + ",".join(texts) + "]}").encode("ascii")


def peaks(request: PeaksRequest, reader: Reader, index: Index, limits: Limits, *, partial: bytes = b"") -> Peaks:
    """The waveform of a span of a source, however long: in memory are one block and the pixels.

    A coarse one decodes 104 ms of each pixel, so it takes the same time for any span: 0.2 ms of CPU for a pixel. Where pixels are not
    longer than that it is exact, and not marked as coarse.
    Of `limits`, those of work and output count. `partial` comes from a PeaksTimeoutError for the same request and source, which this
    raises when the time is used up. Raises also SpanOutsideError, SpanCrossesSegmentsError, SpanTooShortError, TooLargeError,
    UnreadableError and SourceChangedError.
    """
    span = index.locate(request.span.start, request.span.end)
    samples = span.last - span.first
    if samples < 1:
        raise SpanTooShortError("the span holds no sample")
    zoom = request.zoom or max(MIN_ZOOM, -(-samples // (request.pixels or DEFAULT_PIXELS)))
    pixels = -(-samples // zoom)
    # In JSON a value takes up to six characters and a comma, and in all forms there is something in front.
    if pixels > MAX_PIXELS or pixels * (14 if request.form == "json" else 4) + 200 > limits.output_bytes:
        raise TooLargeError(f"there would be {pixels} pixels; ask for a larger zoom or a shorter span")
    rate = span.segment.header.sample_rate
    values = array("h")
    values.frombytes(partial[: len(partial) // 4 * 4])
    done = len(values) // 2
    if done > pixels:
        values, done = array("h"), 0
    rest = span._replace(first=span.first + done * zoom)
    deadline = Deadline(limits.work_seconds)
    coarse = bool(request.coarse) and zoom > _STRETCHES * _STRETCH
    try:
        if coarse:
            _sample(reader, rest, limits.work_seconds, zoom, values)
        elif rest.first < rest.last:
            _scan(SpanPcm(reader, rest, deadline), zoom, values)
    except WorkTimeoutError as error:
        raise PeaksTimeoutError(str(error), values.tobytes(), len(values) // 2 / pixels) from None
    return Peaks(rate, zoom, values, coarse)


def _sample(reader: Reader, span: Span, seconds: Fraction, zoom: int, values: "array[int]") -> None:
    """Append the lowest and highest sample that a few stretches of each `zoom` samples have. Raises WorkTimeoutError between pixels."""
    if span.first < span.last:
        # One for all stretches.
        reader = reader.onward(extents(span, reader.size)[-1][1])
    deadline = Deadline(seconds)
    for first in range(span.first, span.last, zoom):
        deadline.check()
        own = Deadline(seconds)
        length = min(zoom, span.last - first)
        apart = length // _STRETCHES
        heard: list[int] = []
        for number in range(_STRETCHES):
            begin = first + number * apart + max(0, apart - _STRETCH) // 2
            part = span._replace(first=begin, last=min(begin + _STRETCH, first + length))
            if part.first < part.last:
                _scan(SpanPcm(reader, part, own), _STRETCH, stretch := array("h"))
                heard.extend(stretch)
        values.extend((min(heard), max(heard)))


def _scan(pcm: SpanPcm, zoom: int, values: "array[int]") -> None:
    """Append the lowest and highest sample of each `zoom` samples; of fewer at the end."""
    size = zoom * WIDTH
    minmax = audioop.minmax
    low, high, held = 32_767, -32_768, 0  # of the pixel that goes on in the next block
    for block in pcm.blocks():
        data = memoryview(block if pcm.channels == 1 else audioop.tomono(block, WIDTH, 0.5, 0.5))
        offset = 0
        if held:
            offset = min(size - held, len(data))
            lower, higher = minmax(data[:offset], WIDTH)
            low, high, held = min(low, lower), max(high, higher), held + offset
            if held < size:
                continue
            values.extend((low, high))
            low, high, held = 32_767, -32_768, 0
        end = len(data) - (len(data) - offset) % size
        for at in range(offset, end, size):
            values.extend(minmax(data[at : at + size], WIDTH))
        if end < len(data):
            low, high = minmax(data[end:], WIDTH)
            held = len(data) - end
    if held:
        values.extend((low, high))
