"""One pass over a file's frame headers: which frames there are, and where.

The pass reads through a buffer of its own, never moves the file position, and looks at four bytes per frame. Whatever is not a
frame of the current kind stops it; what follows is then a new segment, garbage between frames, or the end.
"""

import re
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from mp3_slicer.mp3.errors import UnsupportedMp3Error
from mp3_slicer.mp3.header import LENGTHS, MAX_FRAME_LENGTH, SYNC_PATTERN, FrameHeader, frame_length, one_of
from mp3_slicer.mp3.reader import Read

#: Frames from one remembered offset to the next.
ANCHOR_FRAMES = 16
#: Bytes that may lie before the first frame, tags not counted.
FIRST_FRAME_SCAN = 1 << 20
#: Frames in a row that make four bytes a frame header and not an accident; the number that suffices in a file with fewer.
CONFIRM_FRAMES = 4
CONFIRM_FEW = 2
#: Places that may look like frames and are none, runs of frames, and segments, before a file counts as too damaged.
MAX_FALSE_SYNCS = 10_000
MAX_RUNS = 4096
MAX_SEGMENTS = 64
#: Frames, each of 24 bytes at least, within which what was taken for tags must end to be none.
MAX_FRAMES_IN_TAGS = 400
#: Bytes without a frame after which the audio has ended, whatever follows.
MAX_GAP = 16 << 20

#: Bytes read at a time: small enough for a processor's cache, larger than any sixteen frames.
_CHUNK = 1 << 17
_BY_HAND = 1 << 13
#: Frames followed by hand before a pattern is made; a multiple of ANCHOR_FRAMES.
_LEARN_FRAMES = 256
_SYNC = re.compile(SYNC_PATTERN, re.DOTALL)

Kind = tuple[int, int, int]


@dataclass(slots=True)
class RunWalk:
    """Frames of one kind that follow each other without a gap: an offset for every 16th, their number, the offset behind them."""

    anchors: "array[int]"
    frames: int
    end: int


@dataclass(slots=True)
class SegmentWalk:
    """Runs of one kind, and the lengths their frames have: every length of the kind once there is a second bitrate."""

    first: FrameHeader
    bitrate: int | None  #: bits per second, None once there is more than one
    runs: list[RunWalk] = field(default_factory=list)
    stride: tuple[int | None, re.Pattern[bytes]] | None = None  #: the pattern made for it, and `bitrate` at that time


@dataclass(slots=True)
class Walk:
    """The result of a pass. `walked` is the offset it reached; `complete` is False if it ran out of time before the end."""

    segments: list[SegmentWalk]
    walked: int
    complete: bool


def find_frame(
    read: Read, start: int, end: int, bound: int, *, false_syncs: list[int], confirm: int = CONFIRM_FRAMES
) -> tuple[int, FrameHeader] | None:
    """The first frame at or after `start`, looking at no more than `bound` bytes; None if there is none.

    It is one if it begins a row of `confirm` frames of one kind, or of fewer up to the end, the last of which may be cut short.

    `false_syncs` is a list of one number, how many false places may still be met; UnsupportedMp3Error when it is used up.
    """
    position, stop = start, min(end, start + bound)
    while position < stop:
        data = read(min(_CHUNK + 3, stop + 3 - position), position)
        for match in _SYNC.finditer(data):
            place = position + match.start()
            header = FrameHeader.parse(match.group())
            if header and _is_confirmed(read, place, header, end, confirm):
                return place, header
            false_syncs[0] -= 1
            if false_syncs[0] < 0:
                raise UnsupportedMp3Error("the file is too damaged: too much of it looks like frames and is none")
        if len(data) <= 3:
            break
        position += len(data) - 3
    return None


def _is_confirmed(read: Read, position: int, header: FrameHeader, end: int, confirm: int) -> bool:
    """Return whether frames of one kind follow from here: enough of them, or up to the end exactly."""
    window = read(confirm * MAX_FRAME_LENGTH + 4, position)
    place = 0
    for count in range(confirm):
        if position + place == end:
            return True
        following = FrameHeader.parse(window[place : place + 4])
        if following is None or following.kind != header.kind:
            return False
        place += following.length
        if position + place > end:
            # The last frame is cut short: a whole one before it is enough, as it is for decoders.
            return count > 0
    return True


#: Is called with the offset that a pass has reached.
Told = Callable[[int], None]


def walk(
    read: Read,
    position: int,
    end: int,
    *,
    confirm: int = CONFIRM_FRAMES,
    deadline: float | None = None,
    resume: Walk | None = None,
    told: Told | None = None,
) -> Walk:
    """Follow the frames from `position`, where one starts, to `end`. A row of them has `confirm` frames at least (`find_frame`).

    With `resume`, a pass over the beginning of the same file, `position` is ignored and the pass goes on from its last remembered
    frame. `deadline` is a time.monotonic() value; past it the pass stops with `complete` False. `told` is called with its offset. Raises
    UnsupportedMp3Error on a file too damaged to follow.
    """
    false_syncs = [MAX_FALSE_SYNCS]
    if resume is None:
        found = find_frame(read, position, end, 1, false_syncs=false_syncs, confirm=confirm)
        if found is None:
            raise ValueError("no frame starts at this position")
        segments = [SegmentWalk(found[1], found[1].bitrate)]
    else:
        segments = resume.segments
        position = _reopen(segments)
    segment = segments[-1]
    runs = sum(len(each.runs) for each in segments)
    while True:
        run = segment.runs.pop() if resume else RunWalk(array("Q"), 0, 0)
        resume = None
        in_time = _follow(read, position, end, run, segment, deadline, told)
        segment.runs.append(run)
        position = run.end
        if not in_time:
            return Walk(segments, position, complete=False)
        runs += 1
        if runs > MAX_RUNS:
            raise UnsupportedMp3Error(f"the file is too damaged: its frames are interrupted more than {MAX_RUNS} times")
        if position + 4 > end:
            return Walk(segments, position, complete=True)
        found = find_frame(read, position, end, MAX_GAP, false_syncs=false_syncs, confirm=confirm)
        if found is None:
            return Walk(segments, position, complete=True)
        position, header = found
        if header.kind != segment.first.kind:
            segment = SegmentWalk(header, header.bitrate)
            segments.append(segment)
            if len(segments) > MAX_SEGMENTS:
                raise UnsupportedMp3Error(f"the sample rate or the channels change more than {MAX_SEGMENTS} times")


def frames_reach(read: Read, found: Walk, ends: tuple[int, ...]) -> int | None:
    """Return the offset of `ends`, if any, to which the frames of a pass continue through bytes that were taken for tags.

    A tag begins where a frame ends. Bytes that only look like its letters are the audio of a last frame, and decoders play them.
    """
    segment = found.segments[-1]
    place = segment.runs[-1].end
    for _ in range(MAX_FRAMES_IN_TAGS):
        if not ends or place >= ends[0]:
            return None
        header = FrameHeader.parse(read(4, place))
        if header is None or header.kind != segment.first.kind:
            return None
        place += header.length
        if place in ends:
            return place
    return None


def _reopen(segments: list[SegmentWalk]) -> int:
    """Take the last run back to its last anchor, and return that place: what follows it may have been cut short before."""
    run = segments[-1].runs[-1]
    position: int = run.anchors.pop()
    run.frames = len(run.anchors) * ANCHOR_FRAMES
    run.end = position
    return position


@lru_cache(maxsize=64)
def _stride(kind: Kind, lengths: tuple[int, ...]) -> re.Pattern[bytes]:
    """A pattern that steps over 16 frames of one kind, whose lengths are among `lengths`; likely ones first.

    The regular expression engine follows frames faster than a loop in Python: it compares the header bytes and
    jumps over the rest, `.{413}+`, without looking at it.
    """
    version, hertz, channels = kind
    third: dict[int, list[int]] = {}
    for value, length in enumerate(LENGTHS[version, hertz]):
        third.setdefault(length, []).append(value)
    second = one_of((0xE2 | version << 3, 0xE3 | version << 3))
    fourth = one_of(v for v in range(256) if (v >> 6 == 3) == (channels == 1))
    frames = b"|".join(b"%b%b.{%d}+" % (one_of(third[length]), fourth, length - 4) for length in lengths)
    return re.compile(b"(?:\xff%b(?:%b)){%d}" % (second, frames, ANCHOR_FRAMES), re.DOTALL)


def _lengths(segment: SegmentWalk) -> set[int]:
    """The frame lengths to expect: with and without a padding byte, of the one bitrate met so far or of all there are."""
    version, hertz, _ = segment.first.kind
    if segment.bitrate is None:
        return set(LENGTHS[version, hertz]) - {0}
    plain = frame_length(version, segment.bitrate, hertz, 0)
    return {plain, plain + 1}


def _follow(
    read: Read,
    position: int,
    end: int,
    run: RunWalk,
    segment: SegmentWalk,
    deadline: float | None,
    told: Told | None,
) -> bool:
    """Append to `run` the frames from `position` until one does not follow; False when the deadline came first."""
    run.end = position
    while True:
        # A few frames by hand: at the start to learn their lengths, later because one was met that the pattern does not know.
        going, seen = _follow_by_hand(read, end, run, segment, _LEARN_FRAMES)
        if not going:
            return True
        if segment.stride is None or segment.stride[0] != segment.bitrate:
            # Not for each run: in a damaged file each has other lengths first, and a pattern costs as much as walking 1 MB.
            lengths = sorted(_lengths(segment), key=lambda length: (-seen[length], length))
            segment.stride = segment.bitrate, _stride(segment.first.kind, tuple(lengths))
        match = segment.stride[1].match
        position = run.end
        while True:
            if deadline is not None and time.monotonic() > deadline:
                run.frames, run.end = len(run.anchors) * ANCHOR_FRAMES, position
                return False
            if told is not None:
                told(position)
            data = read(_CHUNK, position)
            filled = min(len(data), end - position)
            place = 0
            while step := match(data, place, filled):
                run.anchors.append(position + place)
                place = step.end()
            if not place:
                break
            position += place
        run.frames, run.end = len(run.anchors) * ANCHOR_FRAMES, position


def _follow_by_hand(read: Read, end: int, run: RunWalk, segment: SegmentWalk, most: int) -> tuple[bool, Counter[int]]:
    """Append to `run` up to `most` frames, one by one; whether frames go on behind them, and how often each length came.

    Stops at a whole number of anchors, so that strides can go on from there.
    """
    seen: Counter[int] = Counter()
    headers: dict[bytes, FrameHeader | None] = {}
    data, base, position = b"", run.end, run.end
    for _ in range(most):
        place = position - base
        if place + 4 > len(data):
            data, base, place = read(_BY_HAND, position), position, 0
        raw = data[place : place + 4]
        if raw not in headers:
            headers[raw] = FrameHeader.parse(raw)
        header = headers[raw]
        if header is None or header.kind != segment.first.kind or position + header.length > end:
            return False, seen
        if segment.bitrate != header.bitrate:
            segment.bitrate = None
        seen[header.length] += 1
        if run.frames % ANCHOR_FRAMES == 0:
            run.anchors.append(position)
        run.frames += 1
        position += header.length
        run.end = position
    return True, seen
