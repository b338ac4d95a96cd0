"""The cut: original frames behind a tag frame that makes decoders trim them to the sample.

A clip is `[tag frame][reservoir frame][lead][frames of the span]`. The lead is what the decoder must have heard to be in the state it
would be in: one frame in MPEG-1, two otherwise (the IMDCT's overlap and the 480 samples that the synthesis filterbank remembers,
ISO 11172-3 clause 2.4.3.4). The first of them may keep its main data up to 511 bytes before itself (main_data_begin,
clause 2.4.2.7); those bytes stand in a silent frame in front, at its end, where the bit reservoir of the decoder finds them.

Where the source begins, or frames are missing in it, frames may reach back to bytes that do not exist. Decoders mute them, and a clip has
copies of them that say nothing. The frames themselves will not do: what stands in front of them in a clip is not what is missing.
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from mp3_slicer.mp3 import infotag
from mp3_slicer.mp3.errors import SourceChangedError, SpanTooShortError
from mp3_slicer.mp3.header import LENGTHS, MAX_FRAME_LENGTH, FrameHeader
from mp3_slicer.mp3.index import Run, Segment, Span
from mp3_slicer.mp3.infotag import DECODER_DELAY
from mp3_slicer.mp3.reader import Read, Reader
from mp3_slicer.mp3.walk import ANCHOR_FRAMES

#: Clips of fewer frames than this get more of them, trimmed again by the padding: some decoders do not recognise shorter streams.
_FEW_FRAMES = 6
_MORE_FRAMES = 2
_PERCENT = range(100)
#: Of the fourth header byte, what a clip's first two frames must agree in, or ffmpeg takes the first for junk: mode, copyright, original,
#: emphasis. It compares version, layer and sample rate as well, which are one for a segment.
_ALIKE = 0xCF
#: Bytes of a frame that ffmpeg keeps at most, and more bytes than any frame asks for.
_MOST_KEPT, _MUCH = 512, 1 << 10
#: By samples of a frame and bytes of its side information, added up: by how many bits to shift the latter (clause 2.4.1.7) for
#: `main_data_begin`, and for the 12 bits of `part2_3_length` of each channel of each granule.
_LAYOUTS = {
    1152 + 32: (247, ((224, 165), (106, 47))),
    1152 + 17: (127, ((106,), (47,))),
    576 + 17: (128, ((114, 51),)),
    576 + 9: (64, ((51,),)),
}
#: Nine characters of which the first four make ffmpeg and the browsers honour delay and padding.
_ENCODER = b"LAME clip"


# glibc takes blocks of 128 KiB and more from the kernel, page by page and each time, until one as large has been freed (mallopt(3),
# M_MMAP_THRESHOLD). This one is freed at once: the bytes of a clip up to a MiB then cost a fifth of the time.
bytes((1 << 20) + (64 << 10))


def _sums(key: int) -> tuple[int, int, int, int]:
    """For a key of `_LAYOUTS`: the shift of `main_data_begin`, and a shift, a mask and a divisor that add up all lengths at once.

    The lengths are as many bits apart as a granule has, and 2 ** 59 leaves 1 when divided by 2 ** 59 - 1.
    """
    front, granules = _LAYOUTS[key]
    shifts = list(chain.from_iterable(granules))
    low = min(shifts)
    return front, low, sum(0xFFF << shift - low for shift in shifts), (1 << (59 if key > 1152 else 63)) - 1


_SUMS = {key: _sums(key) for key in _LAYOUTS}


class Clip(NamedTuple):
    """A cut that is planned and not read: the bytes made for it, and where in the file the others are."""

    head: bytes
    ranges: tuple[tuple[int, int], ...]  #: file offsets: first byte, behind the last
    length: int  #: bytes of the whole clip
    samples: int  #: audible samples
    frames: int  #: audio frames, the tag frame not counted

    def read(self, reader: Reader, start: int = 0, stop: int | None = None) -> bytes:
        """The clip's bytes start..stop-1, all of them by default. Raises SourceChangedError where the file is too short."""
        return b"".join(self.pieces(reader, start, self.length if stop is None else stop, self.length))

    def pieces(self, reader: Reader, start: int, stop: int, size: int) -> Iterator[bytes]:
        """The same in pieces of at most `size` bytes (the made bytes at the front are one piece of their own)."""
        if start < len(self.head):
            yield self.head[start : min(stop, len(self.head))]
        place, read = len(self.head), reader.read
        for begin, end in self.ranges:
            low, high = max(start - place, 0) + begin, min(stop - place, end - begin) + begin
            place += end - begin
            while low < high:
                data = read(min(size, high - low), low)
                if not data:
                    raise SourceChangedError("the file became shorter while it was read")
                low += len(data)
                yield data

    def offset(self, stop: int) -> int:
        """The offset in the source behind the clip's bytes 0..stop-1; 0 where they are all made."""
        place, found = len(self.head), 0
        for begin, end in self.ranges:
            if place < stop:
                found = begin + min(stop - place, end - begin)
            place += end - begin
        return found


def cut(reader: Reader, span: Span, *, minimum: int = 1) -> Clip:
    """Plan the clip of a span of a source. Reads only headers around both ends.

    `minimum` is the fewest samples wanted. Raises SpanTooShortError below it, SourceChangedError if the frames are not where the
    index has them.
    """
    samples = span.last - span.first
    if samples < max(1, minimum):
        raise SpanTooShortError(f"the span holds {max(0, samples)} samples and the shortest clip here has {minimum}")
    segment = span.segment
    header = segment.header
    per_frame = header.samples
    begin, stop = _frames(span)
    before = segment.skip + span.first - begin * per_frame
    made, copies, silents, read = b"", 0, 0, reader.read
    try:
        ranges, reservoir, held, head, alike = _start(read, segment, begin, stop)
        if held is not None:
            made, copies, ranges = _mute(read, segment, begin, stop, len(reservoir), held)
    except IndexError:
        raise SourceChangedError("the frames of the file are not where they were") from None
    # The delay field has no negative values: a silent frame makes room. It also stands where ffmpeg would take the lead for junk.
    if reservoir or copies or before < DECODER_DELAY or not alike:
        made = _silent_fronts(*head)[len(reservoir)] + reservoir + made
        before += per_frame
        silents = 1
    frames = stop - begin + silents
    front = length = segment.tag_length + len(made)
    for low, high in ranges:
        length += high - low
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
        toc=seek_table(segment, begin + copies, stop, silents + copies, front, length),
    )
    return Clip(tag + made, ranges, length, samples, frames)


def _frames(span: Span) -> tuple[int, int]:
    """The frames begin..stop-1 that a clip consists of, its lead among them."""
    segment = span.segment
    per_frame = segment.header.samples
    frame, stop = (segment.skip + span.first) // per_frame, -(-(segment.skip + span.last) // per_frame)
    begin = frame - min(frame, 1 if per_frame == 1152 else 2)
    return begin, min(stop + _MORE_FRAMES, segment.frames) if stop - begin < _FEW_FRAMES else stop


def extents(span: Span, most: int) -> tuple[tuple[int, int], ...]:
    """Return the file ranges that the cut of a span reads, by the index alone: from the anchor before it to the one behind it.

    If those are more than `most` bytes, they are the two ends, which is what planning reads. Damaged files may need a little more.
    """
    segment = span.segment
    begin, stop = _frames(span)
    run = segment.runs[bisect_right(segment.starts, begin) - 1]
    low, high = _around(run, max(begin - segment.reach, run.first), begin + 1)
    run = segment.runs[bisect_right(segment.starts, stop - 1) - 1]
    back, end = _around(run, stop - 1, stop)
    return ((low, end),) if end - low <= most else ((low, high), (back, end))


def _around(run: Run, first: int, stop: int) -> tuple[int, int]:
    """From the anchor at or before a frame to the one at or behind another, and the header there."""
    following = -(-(stop - run.first) // ANCHOR_FRAMES)
    end: int = run.anchors[following] if following < len(run.anchors) else run.end
    return run.anchors[(first - run.first) // ANCHOR_FRAMES], end + 4


#: The frames of a clip: the file ranges of all; and of the first one, the main data in front of it that it reaches back to, as far as
#: the source has it; how many bytes of that a decoder has, None where no frame lacks any; of its header the second byte, the
#: sample rate's bits of the third, and the fourth; whether ffmpeg sees that its successor is of one stream with it.
_Start = tuple[tuple[tuple[int, int], ...], bytes, int | None, tuple[int, int, int], bool]


def _start(read: Read, segment: Segment, begin: int, stop: int) -> _Start:
    """Find the frames begin..stop-1, and what the first of them needs."""
    number = bisect_right(segment.starts, begin) - 1
    run = segment.runs[number]
    base, window, places = _follow(read, segment, run, max(begin - segment.reach, run.first), begin)
    place = places[-1]
    if window[place] != 0xFF:
        raise IndexError
    second, third, fourth = window[place + 1], window[place + 2], window[place + 3]
    side = place + (4 if second & 1 else 6)
    back = window[side] << 1 | window[side + 1] >> 7 if segment.header.version == 3 else window[side]
    held: int | None = None
    if back:
        reservoir = _main_data(segment, window, places, back)
        if len(reservoir) < back or not _is_continued(segment, window, places, back):
            reservoir, held = _reservoir(read, segment, number, window, places, back)
            if held >= back:
                held = None
        reservoir = reservoir[-back:]
    else:
        reservoir = b""
    if held is None and begin < segment.reach and _may_lack(segment, run, window, places, begin, stop):
        held = _MUCH
    end = run.first + run.frames
    if begin + 1 < end:
        place += segment.lengths[third]
        differs = (window[place + 3] ^ fourth) & _ALIKE
    elif begin + 1 < segment.frames:
        differs = (read(4, segment.runs[number + 1].anchors[0])[3] ^ fourth) & _ALIKE
    else:
        differs = 0
    start = base + places[-1]
    ranges = (
        ((start, _offset(read, segment, run, stop)),) if stop <= end else _ranges(read, segment, begin, stop, start)
    )
    return ranges, reservoir, held, (second, third & 0x0C, fourth & _ALIKE), not differs


def _may_lack(segment: Segment, run: Run, window: bytes, places: list[int], begin: int, stop: int) -> bool:
    """Return whether one of a segment's first frames, behind `begin`, may reach back to before all of them: frames are missing between.

    The first of `places` is where the first frame of the run is. True where the window does not tell.
    """
    if run.first:
        return True
    header = segment.header
    most, plain, mpeg1 = header.max_main_data_begin, 4 + header.side_info_length, header.version == 3
    place, there = places[0], 0
    for number in range(min(stop, run.frames)):
        if place + 8 > len(window):
            return True
        side = place + (4 if window[place + 1] & 1 else 6)
        back = window[side] << 1 | window[side + 1] >> 7 if mpeg1 else window[side]
        if back > there and number > begin:
            return True
        length = segment.lengths[window[place + 2]]
        there += length - plain - (side - place - 4)
        if there >= most:
            return False
        place += length
    return stop > run.frames


def _is_continued(segment: Segment, window: bytes, places: list[int], back: int) -> bool:
    """Return whether the main data of the last frame at `places` begins where that of the others ended, or behind.

    Where frames are missing in front of it, it asks for bytes that they had used.
    """
    header = segment.header
    length = header.side_info_length
    front, low, mask, divisor = _SUMS[header.samples + length]
    end = places[-1]
    for place in places[-2::-1]:
        side = place + (4 if window[place + 1] & 1 else 6)
        bits = int.from_bytes(window[side : side + length], "big")
        body = end - side - length
        begin = bits >> front
        if back > begin + body - ((bits >> low & mask) % divisor + 7 >> 3):
            return False
        if back <= body:
            return True
        # It needs what lies before this frame, which is there if this one had what it needed.
        back = begin
        end = place
    return len(places) > segment.reach


def _reservoir(
    read: Read, segment: Segment, number: int, window: bytes, places: list[int], back: int
) -> tuple[bytes, int]:
    """The main data in front of the last frame at `places`, and how many bytes of it a decoder that came this way has.

    `number` is of the frame's run, and `back` is how far it reaches. The decoder is ffmpeg, which keeps what no frame has used.
    """
    reservoir = _main_data(segment, window, places, back)
    rows = [(window, places)]
    while len(reservoir) < back and number:
        # The frame follows a gap: what the reservoir held then is the end of the run before.
        number -= 1
        run = segment.runs[number]
        last = run.first + run.frames - 1
        base, window, places = _follow(read, segment, run, max(last - segment.reach, run.first), last)
        places.append(run.end - base)
        reservoir = _main_data(segment, window, places, segment.header.max_main_data_begin) + reservoir
        rows.append((window, places))
    # Where the reservoir is not long enough, all that there is was looked at: the decoder began with nothing.
    held = 0 if len(reservoir) < back else _MUCH
    for window, places in reversed(rows):
        for place, following in pairwise(places):
            held = _held(segment, window, place, following, held)
    return reservoir, held


def _held(segment: Segment, data: bytes, place: int, end: int, held: int) -> int:
    """Bytes that a decoder keeps of its reservoir and the frame at `place`, which ends at `end`, if it had `held` before the frame."""
    length = segment.header.side_info_length
    side = place + (4 if data[place + 1] & 1 else 6)
    front, granules = _LAYOUTS[segment.header.samples + length]
    bits = int.from_bytes(data[side : side + length], "big")
    back = bits >> front
    lengths = [sum([bits >> shift & 0xFFF for shift in shifts]) for shifts in granules]
    if back <= held:
        used = (held - back) * 8
    else:
        # Granules are muted until the bytes that are missing must have gone by.
        gone = held * 8
        while lengths and gone >> 3 < back:
            gone += lengths.pop(0)
        used = max(0, gone - back * 8)
    body = end - side - length
    left = held + body - (used + sum(lengths) + 7 >> 3)
    return left if left >= 0 else min(_MOST_KEPT, body)


def _ranges(read: Read, segment: Segment, begin: int, stop: int, offset: int) -> tuple[tuple[int, int], ...]:
    """The file ranges of the frames begin..stop-1, the first of which is at `offset`."""
    number = bisect_right(segment.starts, begin)
    run = segment.runs[number - 1]
    if stop <= run.first + run.frames:
        return ((offset, _offset(read, segment, run, stop)),)
    ranges = [(offset, run.end)]
    for each in segment.runs[number:]:
        if each.first >= stop:
            break
        ranges.append((each.anchors[0], _offset(read, segment, each, min(stop, each.first + each.frames))))
    return tuple(ranges)


class _Muted(NamedTuple):
    """The beginning of a clip some of whose first frames reach back to bytes that the source does not have."""

    copies: bytes  #: of the frames up to the last of those, which say nothing
    frames: int  #: how many they are
    ranges: tuple[tuple[int, int], ...]  #: file ranges of the frames behind them


def _mute(read: Read, segment: Segment, begin: int, stop: int, there: int, held: int) -> _Muted:
    """Copy the first frames of a clip, without what they say where they reach back further than a decoder of the source can.

    It had `held` bytes before the frame `begin`, and in the clip there are `there` bytes of main data in front of that. Those are the
    frames from `begin` on that lack bytes, and later ones that reach back to before the source. A copy of them has no side information,
    which decodes to silence, and keeps the main data, which the frames behind it need.
    """
    header = segment.header
    mpeg1, most = header.version == 3, header.max_main_data_begin
    # Bytes of main data in front of a frame in the source; decoders look back no further than `most`.
    number, before = (0, 0) if begin < segment.reach else (begin, most)
    copies: list[bytes] = []
    muted, lacks = 0, True
    while number < stop and (lacks or before < most):
        run = segment.runs[bisect_right(segment.starts, number) - 1]
        raw = read(MAX_FRAME_LENGTH, _offset(read, segment, run, number))
        if len(raw) < header.main_data_offset + 2:
            raise IndexError
        frame = raw[: segment.lengths[raw[2]]]
        side = 4 if frame[1] & 1 else 6
        body = frame[side + header.side_info_length :]
        if number >= begin:
            back = frame[side] << 1 | frame[side + 1] >> 7 if mpeg1 else frame[side]
            lacks = back > held and (lacks or back > before)
            held = _held(segment, frame, 0, len(frame), held)
            if lacks:
                # It asks for all bytes that exist, or ffmpeg would forget them.
                asked = (there << 7).to_bytes(2, "big") if mpeg1 else bytes((there,))
                asked = asked.ljust(header.side_info_length, b"\0")
                frame = frame[:4] + (_frame_crc(frame[2:4] + asked) if side == 6 else b"") + asked + body
                muted = number + 1 - begin
            copies.append(frame)
            there = min(most, there + len(body))
        before += len(body)
        number += 1
    begin += muted
    if begin == stop:
        return _Muted(b"".join(copies[:muted]), muted, ())
    run = segment.runs[bisect_right(segment.starts, begin) - 1]
    ranges = _ranges(read, segment, begin, stop, _offset(read, segment, run, begin))
    return _Muted(b"".join(copies[:muted]), muted, ranges)


def _frame_crc(data: bytes) -> bytes:
    """The CRC of a frame (clause 2.4.3.1) whose last two header bytes and side information are `data`."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x18005 if crc & 0x8000 else 0)
    return crc.to_bytes(2, "big")


def _follow(read: Read, segment: Segment, run: Run, first: int, last: int) -> tuple[int, bytes, list[int]]:
    """Bytes of a run, their file offset, and the places in them of the frames first..last (numbers within the segment).

    The bytes go on to the header behind the last of these frames.
    """
    lengths = segment.lengths
    first -= run.first
    last -= run.first
    anchor, following = first // ANCHOR_FRAMES, last // ANCHOR_FRAMES + 1
    base = run.anchors[anchor]
    bound = run.anchors[following] if following < len(run.anchors) else run.end
    window = read(bound + 4 - base, base)
    place = 2  # of the third byte of a header, which tells the frame's length
    for _ in range(anchor * ANCHOR_FRAMES, first):
        place += lengths[window[place]]
    place -= 2
    places = [place]
    for _ in range(first, last):
        place += lengths[window[place + 2]]
        places.append(place)
    return base, window, places


def _offset(read: Read, segment: Segment, run: Run, frame: int) -> int:
    """File offset of a frame of a run, or behind its last one."""
    frame -= run.first
    if frame == run.frames:
        return run.end
    anchor, behind = divmod(frame, ANCHOR_FRAMES)
    base: int = run.anchors[anchor]
    if not behind:
        return base
    # As `_follow`, without what only it needs: this is half of the frames that a cut steps over.
    bound = run.anchors[anchor + 1] if anchor + 1 < len(run.anchors) else run.end
    window = read(bound - base, base)
    lengths = segment.lengths
    place = 2
    for _ in range(behind):
        place += lengths[window[place]]
    return base + place - 2


def _main_data(segment: Segment, window: bytes, places: list[int], missing: int) -> bytes:
    """The main data areas of the frames at `places`, of which the last is where they end: of the nearest that have `missing` bytes."""
    areas: list[bytes] = []
    plain = 4 + segment.header.side_info_length
    end = places[-1]
    for place in places[-2::-1]:
        area = window[place + (plain if window[place + 1] & 1 else plain + 2) : end]
        areas.append(area)
        missing -= len(area)
        if missing <= 0:
            break
        end = place
    areas.reverse()
    return b"".join(areas)


@lru_cache(maxsize=64)
def _silent_fronts(second: int, rate: int, fourth: int) -> tuple[bytes, ...]:
    """All but the reservoir of a silent frame (all side information zero), for each length of a reservoir.

    The header bytes are those of the frame that follows, as `_start` finds them: ffmpeg wants the two alike.
    """
    header = FrameHeader.parse(bytes((0xFF, second, 0x10 | rate, fourth)))
    if header is None:
        raise IndexError
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
    per_frame = (length - front << 24) // (max(1, body) * length)
    start = min(max(0, (front << 24) // length - silents * per_frame), (1 << 24) - 1)
    step = ((1 << 24) - start) // 100
    return bytes([(start + step * percent) >> 16 for percent in _PERCENT])


def _seek_table(segment: Segment, begin: int, stop: int, silents: int, front: int, length: int) -> bytes:
    """The seek table from the remembered offsets, straight lines between them; garbage between runs is left out by guess."""
    run = segment.runs[bisect_right(segment.starts, begin) - 1]
    if stop > run.first + run.frames or begin == stop:
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
