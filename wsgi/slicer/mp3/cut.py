"""The cut: original frames behind a tag frame that makes decoders trim them to the sample.

A clip is `[tag frame][reservoir frame][lead][frames of the span]`. The lead is what the decoder must have heard to be in the state it
would be in: one frame in MPEG-1, two otherwise (the IMDCT's overlap and the 480 samples that the synthesis filterbank remembers,
ISO 11172-3 clause 2.4.3.4). The first of them may keep its main data up to 511 bytes before itself (main_data_begin,
clause 2.4.2.7); those bytes stand in a silent frame in front, at its end, where the bit reservoir of the decoder finds them.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from slicer.mp3 import infotag
from slicer.mp3.errors import SourceChangedError, SpanTooShortError
from slicer.mp3.header import LENGTHS, FrameHeader
from slicer.mp3.index import Run, Segment, Span
from slicer.mp3.infotag import DECODER_DELAY
from slicer.mp3.walk import ANCHOR_FRAMES

#: Clips of fewer frames than this get more of them, trimmed again by the padding: some decoders do not recognise shorter streams.
_FEW_FRAMES = 6
_MORE_FRAMES = 2
_PERCENT = range(100)
#: Nine characters of which the first four make ffmpeg and the browsers honour delay and padding.
_ENCODER = b"LAME clip"


class Clip(NamedTuple):
    """A cut that is planned and not read: the bytes made for it, and where in the file the others are."""

    head: bytes
    ranges: tuple[tuple[int, int], ...]  #: file offsets: first byte, behind the last
    length: int  #: bytes of the whole clip
    samples: int  #: audible samples
    frames: int  #: audio frames, the tag frame not counted

    def read(self, fd: int, start: int = 0, stop: int | None = None) -> bytes:
        """The clip's bytes start..stop-1, all of them by default. Raises SourceChangedError where the file is too short."""
        return b"".join(self.pieces(fd, start, self.length if stop is None else stop, self.length))

    def pieces(self, fd: int, start: int, stop: int, size: int) -> Iterator[bytes]:
        """The same in pieces of at most `size` bytes (the made bytes at the front are one piece of their own)."""
        if start < len(self.head):
            yield self.head[start : min(stop, len(self.head))]
        place = len(self.head)
        for begin, end in self.ranges:
            low, high = max(start - place, 0) + begin, min(stop - place, end - begin) + begin
            place += end - begin
            while low < high:
                data = os.pread(fd, min(size, high - low), low)
                if not data:
                    raise SourceChangedError("the file became shorter while it was read")
                low += len(data)
                yield data


def cut(fd: int, span: Span, *, minimum: int = 1) -> Clip:
    """Plan the clip of a span of the file open as `fd`. Reads only headers around both ends, by `os.pread`.

    `minimum` is the fewest samples wanted. Raises SpanTooShortError below it, SourceChangedError if the frames are not where the
    index has them.
    """
    samples = span.last - span.first
    if samples < max(1, minimum):
        raise SpanTooShortError(f"the span holds {max(0, samples)} samples and the shortest clip here has {minimum}")
    segment = span.segment
    header = segment.header
    per_frame = header.samples
    first, last = segment.skip + span.first, segment.skip + span.last
    frame, stop = first // per_frame, -(-last // per_frame)
    lead = min(frame, 1 if per_frame == 1152 else 2)
    begin = frame - lead
    if stop - begin < _FEW_FRAMES:
        stop = min(stop + _MORE_FRAMES, segment.frames)
    before = lead * per_frame + first % per_frame
    silent = b""
    try:
        ranges, reservoir = _place(fd, segment, begin, stop)
    except IndexError:
        raise SourceChangedError("the frames of the file are not where they were") from None
    if reservoir or before < DECODER_DELAY:  # the delay field has no negative values: a silent frame makes room
        silent = _silent_frame(header, reservoir)
        before += per_frame
    silents = 1 if silent else 0
    frames = stop - begin + silents
    front = length = segment.tag_length + len(silent)
    for start, end in ranges:
        length += end - start
    constant = segment.bitrate is not None
    seek_table = _even_seek_table if constant else _seek_table
    tag = infotag.build(
        header,
        segment.tag_header,
        segment.tag_length,
        constant=constant,
        encoder=_ENCODER,
        frames=frames,
        length=length,
        delay=before - DECODER_DELAY,
        padding=frames * per_frame - before - samples + DECODER_DELAY,
        toc=seek_table(segment, begin, stop, silents, front, length),
    )
    return Clip(tag + silent, ranges, length, samples, frames)


def _place(fd: int, segment: Segment, begin: int, stop: int) -> tuple[tuple[tuple[int, int], ...], bytes]:
    """The file ranges of the frames begin..stop-1, and the main data that the first of them has in front of it."""
    number = bisect_right(segment.starts, begin) - 1
    run = segment.runs[number]
    base, window, places = _follow(fd, segment, run, max(begin - segment.reach, run.first), begin)
    place = places.pop()
    if window[place] != 0xFF:
        raise IndexError
    side = place + (4 if window[place + 1] & 1 else 6)
    back = window[side] << 1 | window[side + 1] >> 7 if segment.header.version == 3 else window[side]
    reservoir = _main_data(segment, window, places, place)
    while len(reservoir) < back and number:
        # The frame follows a gap: what the reservoir held then is the end of the run before.
        number -= 1
        earlier = segment.runs[number]
        last = earlier.first + earlier.frames - 1
        _, window, places = _follow(fd, segment, earlier, max(last - segment.reach, earlier.first), last)
        reservoir = _main_data(segment, window, places, len(window)) + reservoir
    reservoir = reservoir[-back:] if back else b""
    if stop <= run.first + run.frames:
        return ((base + place, _offset(fd, segment, run, stop)),), reservoir
    ranges = [(base + place, run.end)]
    for each in segment.runs[bisect_right(segment.starts, begin) :]:
        if each.first >= stop:
            break
        ranges.append((each.anchors[0], _offset(fd, segment, each, min(stop, each.first + each.frames))))
    return tuple(ranges), reservoir


def _follow(fd: int, segment: Segment, run: Run, first: int, last: int) -> tuple[int, bytes, list[int]]:
    """Bytes of a run, their file offset, and the places in them of the frames first..last (numbers within the segment)."""
    lengths = segment.lengths
    first -= run.first
    last -= run.first
    anchor, following = first // ANCHOR_FRAMES, last // ANCHOR_FRAMES + 1
    base = run.anchors[anchor]
    bound = run.anchors[following] if following < len(run.anchors) else run.end
    window = os.pread(fd, bound - base, base)
    place = 0
    for _ in range(anchor * ANCHOR_FRAMES, first):
        place += lengths[window[place + 2]]
    places = [place]
    for _ in range(first, last):
        place += lengths[window[place + 2]]
        places.append(place)
    return base, window, places


def _offset(fd: int, segment: Segment, run: Run, frame: int) -> int:
    """File offset of a frame of a run, or behind its last one."""
    if frame == run.first + run.frames:
        return run.end
    if (frame - run.first) % ANCHOR_FRAMES == 0:
        return run.anchors[(frame - run.first) // ANCHOR_FRAMES]
    base, _, places = _follow(fd, segment, run, frame, frame)
    return base + places[0]


def _main_data(segment: Segment, window: bytes, places: list[int], end: int) -> bytes:
    """The main data areas of the frames at `places`, the last of which ends at `end`; no more of them than can be reached back to."""
    areas: list[bytes] = []
    missing = segment.header.max_main_data_begin
    plain = 4 + segment.header.side_info_length
    for place in reversed(places):
        area = window[place + (plain if window[place + 1] & 1 else plain + 2) : end]
        areas.append(area)
        missing -= len(area)
        if missing <= 0:
            break
        end = place
    areas.reverse()
    return b"".join(areas)


def _silent_frame(header: FrameHeader, reservoir: bytes) -> bytes:
    """A frame of silence (all side information zero) that ends in the bytes of `reservoir`."""
    return _silent_fronts(header)[len(reservoir)] + reservoir


@lru_cache(maxsize=64)
def _silent_fronts(header: FrameHeader) -> tuple[bytes, ...]:
    """All but the reservoir of a silent frame, for each length of a reservoir."""
    fronts = []
    for held in range(header.max_main_data_begin + 1):
        raw = header.plain(4 + header.side_info_length + held)
        length = LENGTHS[header.version, header.sample_rate][raw[2]]
        fronts.append(raw + bytes(length - 4 - held))
    return tuple(fronts)


def _even_seek_table(_: Segment, begin: int, stop: int, silents: int, front: int, length: int) -> bytes:
    return _line(stop - begin, silents, front, length)


@lru_cache(maxsize=4096)
def _line(body: int, silents: int, front: int, length: int) -> bytes:
    """The seek table where all frames are of one size: from the first of `body` frames, `front` bytes in, to the end.

    Clips of one duration share few of these, and one costs as much as reading the clip.
    """
    per_frame = (length - front << 24) // (body * length)
    start = max(0, (front << 24) // length - silents * per_frame)
    step = ((1 << 24) - start) // 100
    return bytes([(start + step * percent) >> 16 for percent in _PERCENT])


def _seek_table(segment: Segment, begin: int, stop: int, silents: int, front: int, length: int) -> bytes:
    """The seek table from the remembered offsets, straight lines between them; garbage between runs is left out by guess."""
    run = segment.runs[bisect_right(segment.starts, begin) - 1]
    if stop > run.first + run.frames:
        return _even_seek_table(segment, begin, stop, silents, front, length)
    low, high = (begin - run.first) // ANCHOR_FRAMES, -(-(stop - run.first) // ANCHOR_FRAMES)
    offsets = run.anchors[low : high + 1].tolist()
    if len(offsets) == high - low:  # the last group is not whole: prolong its line
        rest = run.frames - (len(run.anchors) - 1) * ANCHOR_FRAMES
        offsets.append(offsets[-1] + (run.end - offsets[-1]) * ANCHOR_FRAMES // rest)
    frame = begin - run.first - low * ANCHOR_FRAMES
    start = offsets[0] + (offsets[1] - offsets[0]) * frame // ANCHOR_FRAMES
    # Fixed point, 16 bits of fraction for frames and 32 for lengths: this loop is a large part of a cut.
    silents = min(silents, frame)
    at = (frame - silents) << 16
    step = ((stop - begin + silents) << 16) // 100
    scale = (256 << 32) // length
    before = (front - start) * ANCHOR_FRAMES
    table = [
        (
            before
            + (offset := offsets[group := (place := at + percent * step >> 16) // ANCHOR_FRAMES]) * ANCHOR_FRAMES
            + (offsets[group + 1] - offset) * (place % ANCHOR_FRAMES)
        )
        * scale
        // (ANCHOR_FRAMES << 32)
        for percent in _PERCENT
    ]
    if (
        table[0] < 0 or table[-1] > 255
    ):  # lines lead past the ends where the frames there are smaller than their neighbours
        table = [min(255, max(0, value)) for value in table]
    return bytes(table)
