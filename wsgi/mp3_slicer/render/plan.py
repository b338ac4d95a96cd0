"""The plan of a render: its spans, the length of its result, and an estimate of the work. Nothing is decoded."""

from dataclasses import dataclass
from fractions import Fraction

from mp3_slicer.mp3 import Index, Span, SpanTooShortError
from mp3_slicer.render.errors import OptionError, TooLargeError, TooLongError
from mp3_slicer.render.frames import BLOCK_FRAMES, WIDTH, frames_after, nearest
from mp3_slicer.render.limits import Limits
from mp3_slicer.render.request import RenderRequest
from mp3_slicer.render.values import plain

#: Bytes that a render takes besides its blocks: the decoder, the encoder, buffers.
_MEMORY_AT_REST = 8 << 20
#: Blocks that are in memory at one time, at most: a cut piece, decoded twice over, changed, and being written.
_BLOCKS = 8
#: Bytes in front of the samples of a WAV file.
WAV_HEADER_BYTES = 44
#: Seconds of CPU for each second of audio, on one core of 2.5 GHz.
_WORK = {"mp3": 0.02, "wav": 0.0, "flac": 0.006, "ogg": 0.025, "opus": 0.03, "m4a": 0.07}
_DECODE, _FILTER, _MEASURE, _CHILD = 0.0015, 0.008, 0.008, 0.15


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated cost of a render."""

    memory_bytes: int  #: of this process, above what it has at rest
    work_seconds: float  #: of CPU, children included: a rough figure for a core of 2.5 GHz
    output_bytes: int  #: of flac: what it would have without compression


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that a source can fulfil."""

    request: RenderRequest
    spans: tuple[Span, ...]
    joining_rate: int  #: frames a second at which spans are joined: that of the first one
    rate: int  #: frames a second after the effects
    channels: int
    bitrate: int  #: kbit/s, 0 for a format without
    frames: int  #: after the effects, before the encoder; with `trim` there may be fewer
    estimate: Estimate

    @property
    def output_rate(self) -> int:
        """Frames a second of the result."""
        return self.request.format.output_rate(self.rate)

    @property
    def output_frames(self) -> int:
        """Frames of the result, as a decoder counts them; with `trim` there may be fewer."""
        return output_frames(self.frames, self.rate, self.output_rate)

    @property
    def overlap(self) -> int:
        """Frames of a cross-fade, at the joining rate."""
        return nearest(self.request.crossfade * self.joining_rate)


def output_frames(frames: int, rate: int, output_rate: int) -> int:
    """Frames after an encoder that has a rate of its own."""
    return frames if rate == output_rate else frames_after(frames, rate, Fraction(1), output_rate)


def plan(request: RenderRequest, index: Index, limits: Limits) -> Plan:
    """Find the spans and check everything that is known before decoding.

    Raises SpanOutsideError, SpanCrossesSegmentsError and SpanTooShortError for a span, OptionError where an option does not go with
    the source, TooLongError, TooLargeError.
    """
    spans = tuple(index.locate(span.start, span.end) for span in request.spans)
    for span in spans:
        rate = span.segment.header.sample_rate
        if span.last - span.first < limits.shortest_seconds * rate:
            raise SpanTooShortError(
                f"{float(limits.shortest_seconds):g} s is the shortest span; this one holds {span.last - span.first} samples"
            )
    seconds = sum((Fraction(span.last - span.first, span.segment.header.sample_rate) for span in spans), Fraction(0))
    if seconds > limits.span_seconds:
        raise TooLongError(
            f"the spans are {float(seconds):.3f} s together and {float(limits.span_seconds):g} s are allowed; ask for less"
        )
    first = spans[0].segment.header
    joining = first.sample_rate
    lengths = [frames_after(s.last - s.first, s.segment.header.sample_rate, Fraction(1), joining) for s in spans]
    overlap = nearest(request.crossfade * joining)
    check_crossfade(request, lengths, overlap)
    rate = request.rate or joining
    channels = request.channels or first.channels
    frames = frames_after(sum(lengths) - overlap * (len(lengths) - 1), joining, request.speed, rate)
    if request.trim is None:
        check_fades(request, frames, rate)
    bitrate = _bitrate(request, rate, channels)
    estimate = _estimate(request, seconds, Fraction(frames, rate), frames * WIDTH * channels, bitrate, overlap)
    _check(request, estimate, limits)
    return Plan(request, spans, joining, rate, channels, bitrate, frames, estimate)


def check_crossfade(request: RenderRequest, lengths: list[int], overlap: int) -> None:
    """Check that each part is long enough for the cross-fades at its ends. Raises OptionError."""
    for number, length in enumerate(lengths):
        if length < overlap * ((number > 0) + (number < len(lengths) - 1)):
            raise OptionError(
                "crossfade",
                f"{plain(request.crossfade)} s is too long for span {number + 1}",
                "at most the length of a span, and half the length of one between two others",
            )


def check_fades(request: RenderRequest, frames: int, rate: int) -> None:
    """Check that the fades fit into `frames` frames. Raises OptionError."""
    if sum(nearest(seconds * rate) for seconds in request.fade) > frames:
        raise OptionError(
            "fade",
            f"the fades are longer than the result, which has {frames / rate:.3f} s",
            "fades that are together as long as the result, at most",
        )


def _bitrate(request: RenderRequest, rate: int, channels: int) -> int:
    output_rate = request.format.output_rate(rate)
    if request.bitrate is None:
        return request.format.default_bitrate(output_rate, channels)
    there_are = request.format.bitrates(output_rate, channels)
    if request.bitrate not in there_are:
        raise OptionError(
            "bitrate",
            f"{request.format.name} of {output_rate} samples a second and {channels} channel{'s'[: channels - 1]} has no "
            f"{request.bitrate} kbit/s",
            "one of " + ", ".join(map(str, there_are)),
        )
    return request.bitrate


def _estimate(
    request: RenderRequest, seconds: Fraction, result: Fraction, pcm_bytes: int, bitrate: int, overlap: int
) -> Estimate:
    block = BLOCK_FRAMES * WIDTH * 2
    memory = _MEMORY_AT_REST + _BLOCKS * block + 6 * overlap * WIDTH * 2
    output = int(result * bitrate * 125) if bitrate else pcm_bytes + WAV_HEADER_BYTES
    children = 0 if request.format.name in {"mp3", "wav"} else 1
    passes = 1 + (request.normalize is not None) + (request.trim is not None)
    work = float(seconds) * _DECODE * passes + float(result) * _WORK[request.format.name]
    if request.speed != 1 or request.rate:
        children += 1
        work += float(result) * _FILTER
    if request.normalize and request.normalize.kind == "ebu":
        children += 1
        work += float(result) * _MEASURE
    return Estimate(memory, work + children * _CHILD, output)


def _check(request: RenderRequest, estimate: Estimate, limits: Limits) -> None:
    # Only where it is certain: flac may turn out smaller, and an encoder may use less than its bitrate.
    if request.format.name == "wav" and estimate.output_bytes > limits.output_bytes:
        raise TooLargeError(
            f"the result would have {estimate.output_bytes} bytes and {limits.output_bytes} are allowed"
        )
    if estimate.memory_bytes > limits.memory_bytes:
        raise TooLargeError(
            f"the work would take {estimate.memory_bytes} bytes of memory and {limits.memory_bytes} are allowed"
        )
    # A machine twice as fast may still do it; beyond that there is no use in trying.
    if estimate.work_seconds > 2 * limits.work_seconds:
        raise TooLongError(
            f"the work would take about {estimate.work_seconds:.0f} s and {float(limits.work_seconds):g} s are allowed"
        )
