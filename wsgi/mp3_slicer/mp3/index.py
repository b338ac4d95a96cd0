"""The index of a source: where its frames are and which samples they hold. Immutable; shared by every thread."""

import zlib
from array import array
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol, overload

from mp3_slicer.mp3 import diagnose, infotag, survey
from mp3_slicer.mp3.errors import (
    NotMp3Error,
    SpanCrossesSegmentsError,
    SpanOutsideError,
    UnsupportedMp3Error,
)
from mp3_slicer.mp3.header import LENGTHS, MAX_FRAME_LENGTH, FrameHeader
from mp3_slicer.mp3.infotag import DECODER_DELAY, InfoTag
from mp3_slicer.mp3.reader import Read, Reader
from mp3_slicer.mp3.tags import audio_bounds
from mp3_slicer.mp3.walk import (
    ANCHOR_FRAMES,
    CONFIRM_FEW,
    CONFIRM_FRAMES,
    FIRST_FRAME_SCAN,
    MAX_FALSE_SYNCS,
    MAX_SEGMENTS,
    RunWalk,
    SegmentWalk,
    Told,
    Walk,
    find_frame,
    frames_reach,
    walk,
)

#: Nanoseconds in a second: times are whole nanoseconds, so that no float ever rounds one.
SECOND = 1_000_000_000
#: Number and length, in bytes, of the samples spread over a file by which a larger one is known as the same file, grown.
_SAMPLES, _SAMPLE = 256, 128
#: Bytes below which a hole holds no frame.
_SMALLEST_HOLE = 24


class Anchors(Protocol):
    """File offsets in their order: an array, or an object that reads them from a file."""

    @property
    def itemsize(self) -> int:
        """Bytes of memory that each takes."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, number: int, /) -> int: ...
    @overload
    def __getitem__(self, numbers: slice, /) -> "array[int]": ...

    def tobytes(self) -> bytes:
        """All of them, as the machine has them."""


@dataclass(frozen=True, slots=True)
class Run:
    """Frames that follow each other without a gap."""

    first: int  #: number of its first frame within the segment
    frames: int
    anchors: Anchors  #: file offset of every 16th frame, in bytes
    end: int  #: file offset behind its last frame, in bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames of one MPEG version, sample rate and channel count, cut and decoded as one stream."""

    header: FrameHeader  #: of its first frame
    runs: tuple[Run, ...]
    starts: tuple[int, ...]  #: `first` of every run, for bisection
    frames: int
    skip: int  #: decoded samples before its first audible one
    samples: int  #: audible samples
    bitrate: int | None  #: bits per second where all frames have one bitrate, else None
    reach: int  #: frames before one that can hold its main data
    tag_header: bytes  #: header bytes of a tag frame for its clips
    tag_length: int  #: bytes of that frame
    lengths: tuple[int, ...]  #: frame length by the third header byte

    @property
    def seconds(self) -> Fraction:
        """Its audible duration."""
        return Fraction(self.samples, self.header.sample_rate)


class Damage(NamedTuple):
    """Parts of the file that are neither frames that are cut, nor tags, nor gaps."""

    leading_bytes: int  #: before the first frame, tags not counted
    dropped_frames: int  #: frames of Layer III between or around the others, alone or too few in a row to be followed
    other_layer_bytes: int  #: bytes there of MPEG audio of Layer I or II


class Span(NamedTuple):
    """Samples first..last-1 of one segment, counted from its first audible sample."""

    segment: Segment
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Index:
    """The structure of a source, as a cut needs it."""

    size: int  #: bytes of the file when it was walked
    start: int  #: offset of the first audio frame, its tag frame not counted
    walked: int  #: offset the walk got to
    complete: bool  #: False when the walk's time was up: it can go on from here, and nothing can be cut yet
    segments: tuple[Segment, ...]
    info: InfoTag | None
    tags: tuple[str, ...]
    end: int  #: offset behind the last byte that may belong to a frame; tags follow
    proof: int  #: checksum of samples spread over the frames, or of what a store calls this version of its object
    damage: Damage

    @property
    def seconds(self) -> Fraction:
        """The audible duration of the source."""
        return sum((segment.seconds for segment in self.segments), Fraction(0))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, nearly."""
        return 2048 + sum(
            400 + run.anchors.itemsize * len(run.anchors) for segment in self.segments for run in segment.runs
        )

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Offset and length, in bytes, of what lies between frames and is none."""
        runs = [run for segment in self.segments for run in segment.runs]
        return tuple((a.end, b.anchors[0] - a.end) for a, b in pairwise(runs) if b.anchors[0] > a.end)

    def locate(self, start: int, end: int | None) -> Span:
        """The samples from `start` to `end`, both in nanoseconds from the first audible sample; None or past the end: to the end.

        A time is rounded to the nearest sample, halves up. Raises SpanOutsideError if the audio ends before `start`,
        SpanCrossesSegmentsError if a change of rate or channels lies between.
        """
        if len(self.segments) == 1:
            segment = self.segments[0]
            rate, samples = segment.header.sample_rate, segment.samples
            first = (2 * start * rate + SECOND) // (2 * SECOND)
            last = samples if end is None else min(samples, (2 * end * rate + SECOND) // (2 * SECOND))
            if first >= samples:
                raise self._outside(start)
            return Span(segment, first, last)
        return self._locate_among_segments(start, end)

    def _locate_among_segments(self, start: int, end: int | None) -> Span:
        begins = list(accumulate((segment.seconds for segment in self.segments), initial=Fraction(0)))
        for segment, begin, finish in zip(self.segments, begins, begins[1:], strict=False):
            rate = segment.header.sample_rate
            first = _nearest((Fraction(start, SECOND) - begin) * rate)
            if first >= segment.samples:
                continue
            last = segment.samples if end is None else _nearest((Fraction(end, SECOND) - begin) * rate)
            if (last > segment.samples or end is None) and finish < begins[-1]:
                raise SpanCrossesSegmentsError(
                    f"the sample rate or the channels change {_seconds(finish)} s into the file, within the span; "
                    "end it there, or start there"
                )
            return Span(segment, first, min(last, segment.samples))
        raise self._outside(start)

    def _outside(self, start: int) -> SpanOutsideError:
        return SpanOutsideError(
            f"the span starts at {_seconds(Fraction(start, SECOND))} s and the audio ends at {_seconds(self.seconds)} s"
        )


def build_index(
    reader: Reader, *, previous: Index | None = None, deadline: float | None = None, told: Told | None = None
) -> Index:
    """Walk a source, or the rest of it where `previous` is an index of its beginning.

    `deadline` is a time.monotonic() value: past it the index comes back with `complete` False, to be given as `previous` next
    time. `told` hears the offsets that the walk gets to. Raises NotMp3Error or UnsupportedMp3Error; every search that leads to one has
    a bound.
    """
    size, read = reader.size, reader.read
    if previous and not (_can_go_on(previous, size) and _begins_like(reader, previous)):
        previous = None
    bounds = audio_bounds(read, size)
    if previous and bounds.end < previous.walked:
        # What looked like frames is now a tag's, or so it says.
        previous = None
    first = _first_frame(read, bounds.start, bounds.end)
    start, info = first.start, first.info
    if previous and (start, info) != (previous.start, previous.info):
        # A tag that was not whole yet, and what looked like frames within it.
        previous = None
    if previous:
        found = walk(read, 0, bounds.end, confirm=first.confirm, deadline=deadline, resume=_thaw(previous), told=told)
    else:
        found = walk(read, start, bounds.end, confirm=first.confirm, deadline=deadline, told=told)
    end, tags = bounds.end, bounds.tags
    reached = frames_reach(read, found, bounds.ends) if found.complete else None
    if reached is not None:
        end, tags = reached, bounds.tags[: bounds.ends.index(reached) - len(bounds.ends)]
        found = walk(read, start, end, confirm=first.confirm, deadline=deadline)
    segments = _freeze(found.segments, info)
    damage = _damage(read, first.holes, found, segments, end)
    return Index(
        size, start, found.walked, found.complete, segments, info, tags, end, _proof(reader, start, segments), damage
    )


def _damage(
    read: Read, leading: tuple[tuple[int, int], ...], found: Walk, segments: tuple[Segment, ...], end: int
) -> Damage:
    """Look into the holes of a file that is walked. Raises UnsupportedMp3Error where the frames there change all the time."""
    before = sum(end - begin for begin, end in leading)
    if not found.complete:
        return Damage(before, 0, 0)
    runs = [run for segment in segments for run in segment.runs]
    holes = [*leading, *((a.end, b.anchors[0]) for a, b in pairwise(runs)), (runs[-1].end, end)]
    kinds = {segment.header.kind for segment in segments}
    seen = survey.survey(read, [(low, high) for low, high in holes if high - low >= _SMALLEST_HOLE], kinds)
    frames = sum(run.frames for run in runs)
    if seen.changes > MAX_SEGMENTS or (seen.changes > 1 and seen.dropped_frames > frames):
        raise diagnose.changing()
    return Damage(before, seen.dropped_frames + seen.single_frames, seen.other_layer_bytes)


def has_grown(reader: Reader, index: Index) -> bool:
    """Return whether a source is the indexed one with more behind it, as far as samples spread over it tell."""
    return reader.size > index.size and _begins_like(reader, index)


def _can_go_on(previous: Index, size: int) -> bool:
    """Return whether going on from an index gives what a fresh walk would.

    Of the same file it does. Of one that grew, only where nothing was judged by where the file ended then: a plain row of frames.
    """
    if previous.size == size:
        return not previous.complete
    runs = previous.segments[0].runs
    return len(previous.segments) == len(runs) == 1 and runs[0].frames >= ANCHOR_FRAMES


def _begins_like(reader: Reader, index: Index) -> bool:
    return reader.size >= index.size and _proof(reader, index.start, index.segments) == index.proof


class _First(NamedTuple):
    """The position of the first audio frame."""

    start: int  #: offset of the first, the tag frame not counted
    info: InfoTag | None  #: what the tag frame before it says
    holes: tuple[tuple[int, int], ...]  #: offsets of what lies before it and is neither a tag nor a tag frame
    confirm: int  #: frames in a row by which it was known


def _first_frame(read: Read, begin: int, end: int) -> _First:
    """Find the first audio frame at or after `begin`, which is behind the tags. Raises what `diagnose` finds where there is none."""
    false_syncs = [MAX_FALSE_SYNCS]

    def find(position: int) -> tuple[int, FrameHeader, int] | None:
        for confirm in (CONFIRM_FRAMES, CONFIRM_FEW):
            if found := find_frame(read, position, end, FIRST_FRAME_SCAN, false_syncs=false_syncs, confirm=confirm):
                return *found, confirm
        return None

    found = _tag_frame(read, begin) or find(begin)
    if found is None:
        # A tag's size may lie: its audio may begin before the place it names.
        found = find(10) if begin > 10 else None
        if found is None:
            raise diagnose.no_frames(read, begin, end)
        begin = 10
    position, header, confirm = found
    info = infotag.parse(header, read(header.length, position))
    if info is None:
        return _First(position, None, ((begin, position),), confirm)
    behind = position + header.length
    following = find(behind)
    if following is None:
        error = diagnose.no_frames(read, behind, end)
        raise (
            error if isinstance(error, UnsupportedMp3Error) else NotMp3Error("the file holds a tag frame and no audio")
        )
    return _First(following[0], info, ((begin, position), (behind, following[0])), following[2])


def _tag_frame(read: Read, start: int) -> tuple[int, FrameHeader, int] | None:
    """A frame at this very place that holds a tag: the tag makes it one, whatever follows."""
    frame = read(MAX_FRAME_LENGTH, start)
    header = FrameHeader.parse(frame[:4])
    return (start, header, CONFIRM_FRAMES) if header and infotag.parse(header, frame[: header.length]) else None


def _freeze(walks: list[SegmentWalk], info: InfoTag | None) -> tuple[Segment, ...]:
    segments = []
    for number, found in enumerate(walks):
        runs: list[Run] = []
        frames = 0
        for run in found.runs:
            if run.frames:
                runs.append(Run(frames, run.frames, run.anchors, run.end))
                frames += run.frames
        if not frames:
            continue
        per_frame = found.first.samples
        skip, stop = 0, frames * per_frame
        if number == 0 and info:
            skip = info.skip
            # Decoders count from the claim. Where fewer frames are claimed than there are, it is another file's tag or a joined one:
            # what decoders leave out lies within the audio and exists.
            if info.padding is not None and info.frames is not None and info.frames >= frames and len(walks) == 1:
                stop = min(stop, info.frames * per_frame - max(0, info.padding - DECODER_DELAY))
        samples = max(0, stop - skip)
        smallest = found.first.smallest_main_data
        if found.bitrate is not None:
            smallest = found.first.length - 1 - found.first.main_data_offset - 2
        reach = -(-found.first.max_main_data_begin // max(1, smallest))
        starts = tuple(run.first for run in runs)
        lengths = LENGTHS[found.first.version, found.first.sample_rate]
        tag = infotag.plan(found.first)
        segments.append(
            Segment(found.first, tuple(runs), starts, frames, skip, samples, found.bitrate, reach, *tag, lengths)
        )
    if not segments or not any(segment.samples for segment in segments):
        raise UnsupportedMp3Error("the file holds no audible sample")
    return tuple(segments)


def _thaw(index: Index) -> Walk:
    """The walk that led to an index, to go on with. Its arrays are copies: the index stays as it is."""
    segments = []
    for segment in index.segments:
        runs = [RunWalk(array("Q", run.anchors.tobytes()), run.frames, run.end) for run in segment.runs]
        segments.append(SegmentWalk(segment.header, segment.bitrate, runs))
    return Walk(segments, index.walked, complete=False)


def _proof(reader: Reader, start: int, segments: tuple[Segment, ...]) -> int:
    """A checksum of samples spread evenly from the first frame to the end of the last, unless the source has a proof of its own."""
    if reader.proof is not None:
        return reader.proof
    read = reader.read
    span = segments[-1].runs[-1].end - start
    last = max(0, span - _SAMPLE)
    proof = 0
    for number in range(_SAMPLES):
        proof = zlib.crc32(read(min(_SAMPLE, span), start + last * number // (_SAMPLES - 1)), proof)
    return proof


def _nearest(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _seconds(value: Fraction) -> str:
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def build_whole_index(reader: Reader) -> Index:
    """`build_index` for callers without a store: all of the file, however long that takes. Raises what `build_index` raises."""
    return build_index(reader)
