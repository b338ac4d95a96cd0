"""Waveforms: the lowest and highest sample of each pixel, in version 2 of the data format of BBC's audiowaveform.

The format is described in that project's doc/DataFormat.md. Channels are mixed to one, as audiowaveform does by default: the mean,
rounded down. Values of 8 bits are those of 16 divided by 256, towards zero.
"""

import re
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

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
#: In JSON: what is in front of the number of pixels, that number, and the begin of the values.
_LENGTH = re.compile(rb'(\{.*?)"length":(\d+),"data":\[')
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


def is_cut(request: PeaksRequest) -> bool:
    """Return whether a part of a file can be cut from that of the whole: not from text, whose values have no fixed width."""
    return request.part is not None and request.form == "dat"


def cut(whole: bytes, part: PeaksRequest) -> bytes:
    """The file of a part, from that of the whole in the form dat."""
    version, flags, rate, zoom, pixels, channels = _HEADER.unpack_from(whole)
    first, last = part.extent(pixels)
    size = (len(whole) - _HEADER.size) // pixels
    front = _HEADER.pack(version, flags, rate, zoom, last - first, channels)
    return front + whole[_HEADER.size + first * size : _HEADER.size + last * size]


def join(form: Literal["json", "dat"], parts: Sequence[bytes]) -> bytes:
    """The file of a waveform, from those of its parts in their order."""
    if form == "dat":
        headers = [_HEADER.unpack_from(part) for part in parts]
        version, flags, rate, zoom, _, channels = headers[0]
        front = _HEADER.pack(version, flags, rate, zoom, sum(header[4] for header in headers), channels)
        return front + b"".join(part[_HEADER.size :] for part in parts)
    found = [_LENGTH.match(part) for part in parts]
    fronts = [each for each in found if each is not None]
    pixels = sum(int(each[2]) for each in fronts)
    values = b",".join(part[each.end() : -2] for part, each in zip(parts, fronts, strict=True) if int(each[2]))
    return b'%b"length":%d,"data":[%b]}' % (fronts[0][1], pixels, values)


class Layout(NamedTuple):
    """The pixels of a whole waveform."""

    span: Span
    zoom: int  #: samples for each
    pixels: int  #: their number


def peaks(request: PeaksRequest, reader: Reader, index: Index, limits: Limits, *, partial: bytes = b"") -> Peaks:
    """The waveform of a span of a source, or a part of it, however long: in memory are one block and the pixels.

    A coarse one decodes 104 ms of each pixel, so it takes the same time for any span: 0.2 ms of CPU for a pixel. Where pixels are not
    longer than that it is exact, and not marked as coarse.
    Of `limits`, those of work and output count. `partial` comes from a PeaksTimeoutError for the same request and source, which this
    raises when the time is used up. Raises also SpanOutsideError, SpanCrossesSegmentsError, SpanTooShortError, TooLargeError,
    UnreadableError and SourceChangedError.
    """
    span, zoom, pixels = layout(request, index, limits)
    samples = span.last - span.first
    first, last = request.extent(pixels)
    values = array("h")
    values.frombytes(partial[: len(partial) // 4 * 4])
    if len(values) // 2 > last - first:
        values = array("h")
    window = (first + len(values) // 2) * zoom, min(last * zoom, samples)
    deadline = Deadline(limits.work_seconds)
    coarse = bool(request.coarse) and zoom > _STRETCHES * _STRETCH
    try:
        if coarse:
            _sample(reader, span._replace(first=span.first + window[0]), limits.work_seconds, zoom, values)
        elif window[0] < window[1]:
            _scan(SpanPcm(reader, span, deadline, window), zoom, values)
    except WorkTimeoutError as error:
        raise PeaksTimeoutError(str(error), values.tobytes(), len(values) // 2 / (last - first)) from None
    return Peaks(span.segment.header.sample_rate, zoom, values, coarse)


def layout(request: PeaksRequest, index: Index, limits: Limits) -> Layout:
    """The layout of a waveform, of which a request may want a part. Raises what `peaks` raises before it decodes."""
    span = index.locate(request.span.start, request.span.end)
    samples = span.last - span.first
    if samples < 1:
        raise SpanTooShortError("the span holds no sample")
    zoom = request.zoom or max(MIN_ZOOM, -(-samples // (request.pixels or DEFAULT_PIXELS)))
    pixels = -(-samples // zoom)
    # In JSON a value takes up to six characters and a comma, and in all forms there is something in front.
    if pixels > MAX_PIXELS or pixels * (14 if request.form == "json" else 4) + 200 > limits.output_bytes:
        raise TooLargeError(f"there would be {pixels} pixels; ask for a larger zoom or a shorter span")
    return Layout(span, zoom, pixels)


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
