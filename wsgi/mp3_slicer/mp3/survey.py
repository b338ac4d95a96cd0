"""The holes of a file, between its runs of frames: frames too few to follow, or alone, and frames of other layers.

A file is searched once, when it was walked, so that a description can name what a cut leaves out. Every search has a bound.
"""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from mp3_slicer.mp3.header import FrameHeader
from mp3_slicer.mp3.reader import Read

#: Bytes that are looked at in one hole, and in all; places in all that may look like frames.
_HOLE, _ALL, _PLACES = 1 << 17, 1 << 22, 20_000
#: Frames in a row that are no accident: two of Layer III, as decoders take them; more of the others, whose frames may be a few bytes.
_FEW, _MANY = 2, 4
#: Most pairs of values that a granule has (576 values).
_BIG_VALUES = 288
_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
# Kilobits per second by (is MPEG-1, layer bits): ISO 11172-3 clause 2.4.2.3, ISO 13818-3 clause 2.4.2.3.
_KILOBITS = {
    (True, 3): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


#: Version bits, sample rate, channels.
Kind = tuple[int, int, int]


class Row(NamedTuple):
    """Frames that follow each other."""

    frames: int
    end: int  #: offset behind the last of them
    changes: int  #: of sample rate, channels or version, from one to the next


class Found(NamedTuple):
    """The contents of the holes."""

    dropped_frames: int  #: frames of Layer III, too few in a row to be followed
    single_frames: int  #: frames of Layer III that stand alone
    other_layer_bytes: int  #: bytes of frames of Layer I or II
    changes: int  #: of sample rate, channels or version between the frames of Layer III


def survey(read: Read, holes: Iterable[tuple[int, int]], kinds: Collection[Kind]) -> Found:
    """Look at the bytes between the offsets of each hole. `kinds` are those of the frames around."""
    dropped = single = other = changes = 0
    left, places = _ALL, _PLACES
    for begin, end in holes:
        data = read(max(0, min(end - begin, _HOLE, left)), begin)
        left -= len(data)
        position = 0
        while places and (match := _SYNC.search(data, position)):
            places -= 1
            position = match.start()
            few = layer3_row(data, position)
            if few.frames >= _FEW:
                dropped, changes, position = dropped + few.frames, changes + few.changes, few.end
                continue
            row = other_row(data, position)
            if row.frames >= _MANY:
                other, position = other + row.end - position, row.end
                continue
            if few.frames and _is_single(data[position : few.end], kinds, fits=not position or few.end == end - begin):
                single, position = single + 1, few.end
                continue
            position += 1
    return Found(dropped, single, other, changes)


def _is_single(frame: bytes, kinds: Collection[Kind], *, fits: bool) -> bool:
    """Return whether bytes that begin with a header, as long as it says, are a frame and no accident.

    It is of a kind that the frames around have, or `fits`: it follows or precedes one of them. And its side information is possible
    (clause 2.4.1.7): of big values there are at most 288, no window is switched to type 0, and there are as many bits as it uses.
    """
    header = FrameHeader.parse(frame[:4])
    if header is None or not (fits or header.kind in kinds):
        return False
    mpeg1 = header.version == 3
    bits = 8 * header.side_info_length
    side = int.from_bytes(frame[header.main_data_offset - header.side_info_length : header.main_data_offset], "big")
    back = side >> bits - (9 if mpeg1 else 8)
    used = 0
    size = 59 if mpeg1 else 63
    rest = 25 if mpeg1 else 24  #: bits of a granule behind the flag that a window is switched
    for number in range((2 if mpeg1 else 1) * header.channels):
        granule = side >> size * number & (1 << size) - 1
        used += granule >> size - 12
        switched, block_type = granule >> rest & 1, granule >> rest - 2 & 3
        if (granule >> size - 21 & 0x1FF) > _BIG_VALUES or (switched and not block_type):
            return False
    return used <= 8 * (header.length - header.main_data_offset + back)


def layer3_row(data: bytes, place: int) -> Row:
    """The frames of Layer III, of whatever kind, that follow each other from an offset and are whole."""
    frames = changes = 0
    kind = None
    while (header := FrameHeader.parse(data[place : place + 4])) and place + header.length <= len(data):
        changes += kind not in {None, header.kind}
        kind = header.kind
        frames += 1
        place += header.length
    return Row(frames, place, changes)


def other_row(data: bytes, place: int) -> Row:
    """The frames of Layer I or II, of one version and rate, that follow each other from an offset and are whole.

    None where a header comes again within its own frame: a short pattern over and over makes frames of any length.
    """
    start, frames = place, 0
    while length := _other_length(data, place, start):
        if place + length > len(data) or data.find(data[place : place + 4], place + 1, place + length) >= 0:
            break
        frames += 1
        place += length
    return Row(frames, place, 0)


def _other_length(data: bytes, place: int, start: int) -> int:
    """Bytes of the frame of Layer I or II at `place`, 0 where there is none of the kind of the one at `start`."""
    if place + 4 > len(data) or data[place] != 0xFF or (data[place + 1] ^ data[start + 1]) & 0xFE:
        return 0
    second, third = data[place + 1], data[place + 2]
    version, layer = second >> 3 & 3, second >> 1 & 3
    if second < 0xE0 or version == 1 or layer < 2 or third >> 4 in {0, 15} or third >> 2 & 3 == 3:
        return 0
    if (third ^ data[start + 2]) & 0x0C:
        return 0
    bits = _KILOBITS[version == 3, layer][(third >> 4) - 1] * 1000
    rate = _RATES[version][third >> 2 & 3]
    padding = third >> 1 & 1
    return (12 * bits // rate + padding) * 4 if layer == 3 else 144 * bits // rate + padding
