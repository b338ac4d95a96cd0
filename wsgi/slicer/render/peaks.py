"""Waveforms: the lowest and highest sample of each pixel, in version 2 of the data format of BBC's audiowaveform.

The format is described in that project's doc/DataFormat.md. Channels are mixed to one, as audiowaveform does by default: the mean,
rounded down. Values of 8 bits are those of 16 divided by 256, towards zero.
"""

import re
import struct
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from slicer.media.timespan import TimeSpan
from slicer.mp3 import Index, SpanTooShortError
from slicer.render.audio.decode import SpanPcm
from slicer.render.audio.samples import WIDTH, audioop
from slicer.render.errors import OptionError, TooLargeError, WorkTimeoutError
from slicer.render.limits import Deadline, Limits
from slicer.render.request import key_of, parse_span
from slicer.render.version import Version

#: Pixels where nobody says.
DEFAULT_PIXELS = 1000
#: Pixels of one waveform, at most: about an hour at 256 samples each.
MAX_PIXELS = 1_000_000
#: Samples for each pixel: audiowaveform has at least two.
MIN_ZOOM, MAX_ZOOM = 2, 1 << 30
#: By form: its media type.
CONTENT_TYPES = {"json": "application/json", "dat": "application/octet-stream"}
ALLOWED_VALUES = {
    "t": "one span",
    "pixels": f"a whole number from 1 to {MAX_PIXELS}",
    "zoom": f"samples for each pixel, a whole number from {MIN_ZOOM} to {MAX_ZOOM}",
    "bits": "8 or 16",
}
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_HEADER = struct.Struct("<iIiiIi")
_EIGHT_BITS = 1
#: Values that become text at a time.
_VALUES = 1 << 14


class PeaksTimeoutError(WorkTimeoutError):
    """The time was used up; what was done until then is kept, to go on from."""

    def __init__(self, message: str, partial: bytes, progress: float) -> None:
        super().__init__(message)
        self.partial = partial  #: for `peaks`, with the same request and source
        self.progress = progress  #: how much of the whole that is, from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PeaksRequest:
    """A waveform that makes sense by itself."""

    form: Literal["json", "dat"]
    span: TimeSpan
    pixels: int | None = None  #: at most so many; None where `zoom` is given
    zoom: int | None = None  #: samples for each pixel
    bits: int = 8

    @classmethod
    def parse(cls, form: str, pairs: Iterable[tuple[str, str]]) -> Self:
        """Read the decoded options of a query, each at most once. Raises OptionError, for the form as the option "format"."""
        if form not in CONTENT_TYPES:
            raise OptionError("format", f"there is no format {form[:20]!r}", "one of " + ", ".join(CONTENT_TYPES))
        values: dict[str, str] = {}
        for name, text in pairs:
            if name not in ALLOWED_VALUES:
                raise OptionError(name[:50], "there is no such option", ", ".join(ALLOWED_VALUES))
            if name in values:
                raise OptionError(name, "it is given more than once", "once")
            values[name] = text
        if "pixels" in values and "zoom" in values:
            raise OptionError("zoom", "pixels says how many samples each has", "pixels or zoom, not both")
        pixels = _whole("pixels", values["pixels"], 1, MAX_PIXELS) if "pixels" in values else None
        zoom = _whole("zoom", values["zoom"], MIN_ZOOM, MAX_ZOOM) if "zoom" in values else None
        bits = values.get("bits", "8")
        if bits not in {"8", "16"}:
            raise OptionError("bits", f"{bits[:20]!r} is none of them", ALLOWED_VALUES["bits"])
        return cls(
            form="json" if form == "json" else "dat",
            span=parse_span(values["t"]) if "t" in values else TimeSpan(0, None),
            pixels=pixels if pixels or zoom else DEFAULT_PIXELS,
            zoom=zoom,
            bits=int(bits),
        )

    @property
    def canonical(self) -> str:
        """The one query string for this waveform."""
        width = f"zoom={self.zoom}" if self.zoom else f"pixels={self.pixels}"
        return f"t={self.span.canonical}&{width}&bits={self.bits}"

    @property
    def content_type(self) -> str:
        """The media type of the result."""
        return CONTENT_TYPES[self.form]

    def key(self, version: Version) -> str:
        """A name for the result, 40 hexadecimal digits."""
        return key_of("peaks", self.form, self.canonical, version)

    def partial_key(self, version: Version) -> str:
        """A name for what was done when the time was used up: the same for both forms and both numbers of bits."""
        width = f"zoom={self.zoom}" if self.zoom else f"pixels={self.pixels}"
        return key_of("partial peaks", "", f"t={self.span.canonical}&{width}", version)


@dataclass(frozen=True, slots=True)
class Peaks:
    """A waveform of one channel."""

    rate: int  #: samples a second of the source
    zoom: int  #: samples for each pixel; the last one may have fewer
    values: "array[int]"  #: lowest and highest sample of each pixel in turns, 16 bits

    @property
    def pixels(self) -> int:
        """How many there are."""
        return len(self.values) // 2

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
            f'"length":{self.pixels},"data":['
        )
        # Little by little: a million texts take a hundred times as much memory as what they say.
        texts = [",".join(map(str, values[at : at + _VALUES])) for at in range(0, len(values), _VALUES)]
        return (front + ",".join(texts) + "]}").encode("ascii")


def peaks(request: PeaksRequest, fd: int, index: Index, limits: Limits, *, partial: bytes = b"") -> Peaks:
    """The waveform of a span of the file open as `fd`, however long: in memory are one block and the pixels.

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
    try:
        if rest.first < rest.last:
            _scan(SpanPcm(fd, rest, deadline), zoom, values)
    except WorkTimeoutError as error:
        raise PeaksTimeoutError(str(error), values.tobytes(), len(values) // 2 / pixels) from None
    return Peaks(rate, zoom, values)


def _scan(pcm: SpanPcm, zoom: int, values: "array[int]") -> None:
    """Append the lowest and highest sample of each `zoom` samples; of fewer at the end."""
    size = zoom * WIDTH
    minmax = audioop.minmax
    low, high, held = 32_767, -32_768, 0  # of the pixel that goes on in the next block
    for block in pcm.blocks():
        data = memoryview(block if pcm.channels == 1 else audioop.tomono(block, WIDTH, 0.5, 0.5))
        place = 0
        if held:
            place = min(size - held, len(data))
            lower, higher = minmax(data[:place], WIDTH)
            low, high, held = min(low, lower), max(high, higher), held + place
            if held < size:
                continue
            values.extend((low, high))
            low, high, held = 32_767, -32_768, 0
        end = len(data) - (len(data) - place) % size
        for at in range(place, end, size):
            values.extend(minmax(data[at : at + size], WIDTH))
        if end < len(data):
            low, high = minmax(data[end:], WIDTH)
            held = len(data) - end
    if held:
        values.extend((low, high))


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
        raise OptionError(name, f"{text[:20]!r} is out of range or no whole number", ALLOWED_VALUES[name])
    return int(text)
