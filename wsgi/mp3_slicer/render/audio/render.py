"""The render: spans decoded, changed and encoded, in an order that is always the same.

Decode each span; set its channels and rate; trim it; join all; change speed and rate; fade; gain or level; encode. A level is set after
the fades, so that it is the result's. No step has more than a few blocks in memory, and no step is taken for what was not asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from os import fstat
from typing import BinaryIO, Self

from mp3_slicer.mp3 import Index, Reader, Span
from mp3_slicer.render.audio.decode import SpanPcm
from mp3_slicer.render.audio.effects import ChannelsPcm, FadePcm, GainPcm, JoinedPcm
from mp3_slicer.render.audio.encode import encode
from mp3_slicer.render.audio.filters import faster
from mp3_slicer.render.audio.level import normalized
from mp3_slicer.render.audio.pcm import Pcm
from mp3_slicer.render.audio.progress import Progress, ToldPcm
from mp3_slicer.render.audio.scratch import Scratch, nameless_file
from mp3_slicer.render.audio.silence import without_silence
from mp3_slicer.render.content import pieces_of
from mp3_slicer.render.frames import nearest
from mp3_slicer.render.limits import Deadline, Limits
from mp3_slicer.render.plan import Plan, check_crossfade, check_fades, output_frames, plan
from mp3_slicer.render.request import RenderRequest

#: Bytes of a result that are in memory at a time.
PIECE = 1 << 18
#: Share of the first reading in the time of a render that reads twice, about.
_PASS = 0.3


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished result in a file without a name, which is gone when this is closed or no longer referenced."""

    file: BinaryIO
    length: int  #: bytes
    content_type: str
    extension: str  #: without a point
    samples: int  #: of each channel, as decoders give them back
    rate: int  #: samples a second
    channels: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; twice is harmless."""
        self.file.close()

    def read(self) -> bytes:
        """All bytes of it."""
        return b"".join(self.pieces())

    def pieces(self, start: int = 0, stop: int | None = None, size: int = PIECE) -> Iterator[bytes]:
        """The bytes start..stop-1, all of them by default, in pieces of at most `size`. Safe for several readers at a time."""
        return pieces_of(self.file.fileno(), 0, start, self.length if stop is None else stop, size)

    @property
    def facts(self) -> dict[str, str | int]:
        """Its facts, for the store of results."""
        return {
            "content_type": self.content_type,
            "extension": self.extension,
            "samples": self.samples,
            "rate": self.rate,
            "channels": self.channels,
        }


def render(
    request: RenderRequest | Plan,
    reader: Reader,
    index: Index,
    limits: Limits,
    *,
    scratch: str | None = None,
    progress: Progress | None = None,
) -> Rendered:
    """Render spans of a source, whose index is `index`.

    `scratch` is a folder for files without a name, by default the system's for temporary ones: on disk, it keeps results out of memory.
    `progress` is called during the last reading.
    Raises what `plan` raises, and WorkTimeoutError, TooLargeError, UnreadableError, ToolError, SourceChangedError, OptionError for what
    shows only in the samples, and OSError where there is no room for a file.
    """
    planned = request if isinstance(request, Plan) else plan(request, index, limits)
    deadline = Deadline(limits.work_seconds)
    form = planned.request.format
    output = nameless_file(scratch)
    try:
        with Scratch(scratch) as files:
            pcm = _changed(planned, reader, files, deadline)
            told = pcm if progress is None else ToldPcm(pcm, progress, _PASS if _is_read_twice(planned) else 0.0, 1.0)
            encode(told, form, planned.bitrate, output, largest=limits.output_bytes, deadline=deadline)
        rate = form.output_rate(pcm.rate)
        samples = output_frames(pcm.frames, pcm.rate, rate)
        length = fstat(output.fileno()).st_size
        return Rendered(output, length, form.content_type, form.name, samples, rate, pcm.channels)
    except BaseException:
        output.close()
        raise


def _is_read_twice(planned: Plan) -> bool:
    return planned.request.normalize is not None or planned.request.trim is not None


def _changed(planned: Plan, reader: Reader, scratch: Scratch, deadline: Deadline) -> Pcm:
    request = planned.request
    parts = [_part(planned, reader, span, scratch, deadline) for span in planned.spans]
    check_crossfade(request, [part.frames for part in parts], planned.overlap)
    pcm = parts[0] if len(parts) == 1 else JoinedPcm(parts, planned.overlap)
    if request.speed != 1 or planned.rate != pcm.rate:
        pcm = faster(pcm, request.speed, planned.rate, scratch, deadline)
    check_fades(request, pcm.frames, pcm.rate)
    if any(request.fade):
        rise, fall = (nearest(seconds * pcm.rate) for seconds in request.fade)
        pcm = FadePcm(pcm, rise, fall)
    if request.gain:
        return GainPcm(pcm, float(request.gain))
    if request.normalize:
        return normalized(pcm, request.normalize, scratch, deadline)
    return pcm


def _part(planned: Plan, reader: Reader, span: Span, scratch: Scratch, deadline: Deadline) -> Pcm:
    pcm: Pcm = SpanPcm(reader, span, deadline)
    if pcm.channels != planned.channels:
        pcm = ChannelsPcm(pcm, planned.channels)
    if pcm.rate != planned.joining_rate:
        pcm = faster(pcm, Fraction(1), planned.joining_rate, scratch, deadline)
    return pcm if planned.request.trim is None else without_silence(pcm, planned.request.trim)
