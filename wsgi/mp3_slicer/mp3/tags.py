"""The audio of a file, between the tags that may stand before and after it.

ID3v2 (id3.org, id3v2.4.0-structure), ID3v1 with its "TAG+" extension, APEv2 and Lyrics3 v1 and v2. Sizes in tags lie, so none is
followed past the end of the file, and their number is bounded. An APE tag is believed only if both of its ends exist: decoders look
for frames and not for its size, so one that lies would take away audio that they play.
"""

import struct
from dataclasses import dataclass

from mp3_slicer.mp3.reader import Read

_MAX_TAGS = 16
_MAX_APE_ITEMS = 1024
_APE_HAS_HEADER, _APE_HAS_NO_FOOTER = 1 << 31, 1 << 30
_LYRICS3_V1_LIMIT = 5100 + 11 + 9


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bytes of a file that may hold frames, and the names of the tags found before and behind them."""

    start: int
    end: int
    tags: tuple[str, ...]
    ends: tuple[int, ...]  #: of each tag behind, the last of the file first: the offset behind it


def audio_bounds(read: Read, size: int) -> Bounds:
    """Find tags at both ends of a file of `size` bytes. Reads a few hundred bytes, never moves the file position."""
    start, front = _skip_front(read, size)
    end, back, ends = _skip_back(read, start, size)
    return Bounds(start, end, (*front, *back), tuple(ends))


def _syncsafe(raw: bytes) -> int | None:
    """Four bytes of seven bits each (ID3v2.4 section 6.2), or None where a high bit is set."""
    if any(byte & 0x80 for byte in raw):
        return None
    return raw[0] << 21 | raw[1] << 14 | raw[2] << 7 | raw[3]


def _skip_front(read: Read, size: int) -> tuple[int, list[str]]:
    position, names = 0, []
    for _ in range(_MAX_TAGS):
        head = read(32, position)
        if head[:3] == b"ID3" and len(head) >= 10 and head[3] != 0xFF and head[4] != 0xFF:
            length = _syncsafe(head[6:10])
            # A size past the end is a lie: look for frames right behind the tag's own header.
            # The flag of a footer is one of version 4; before it means nothing, or something else.
            total = 10 if length is None else 10 + length + (10 if head[3] == 4 and head[5] & 0x10 else 0)
            names.append(f"ID3v2.{head[3]}")
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            total = _ape_front(read, head, position, size)
            names.append("APEv2")
        else:
            break
        if position + total > size:
            position += 10
            break
        position += total
    return position, names


def _skip_back(read: Read, start: int, end: int) -> tuple[int, list[str], list[int]]:
    names: list[str] = []
    ends: list[int] = []
    for _ in range(_MAX_TAGS):
        tail = read(min(160, end - start), max(start, end - 160))
        found = _id3v1(read, tail, start, end) or _apev2(read, tail, start, end) or _lyrics3(read, tail, start, end)
        if not found:
            break
        ends.append(end)
        end, name = found
        names.append(name)
    return end, names, ends


def _id3v1(read: Read, tail: bytes, start: int, end: int) -> tuple[int, str] | None:
    if len(tail) < 128 or tail[-128:-125] != b"TAG":
        return None
    extended = end - 128 - 227
    if extended >= start and read(4, extended) == b"TAG+":
        return extended, "ID3v1"
    return end - 128, "ID3v1"


def _apev2(read: Read, tail: bytes, start: int, end: int) -> tuple[int, str] | None:
    if len(tail) < 32 or tail[-32:-24] != b"APETAGEX":
        return None
    version, length, items, flags = struct.unpack("<4I", tail[-24:-8])
    begin = end - length - (32 if flags & _APE_HAS_HEADER else 0)
    if length < 32 or begin < start:
        return end - 32, "APEv2"
    headed = flags & _APE_HAS_HEADER
    believed = read(8, begin) == b"APETAGEX" if headed else _ape_items(read, begin, end - 32, items) == end - 32
    # Where the other end is not where it says, the footer alone is no audio.
    return begin if believed else end - 32, "APEv1" if version == 1000 else "APEv2"


def _ape_front(read: Read, head: bytes, position: int, size: int) -> int:
    """Bytes of an APE tag in front whose header is at `position`: of the header alone where its other end is not where it says."""
    length, items, flags = struct.unpack_from("<3I", head, 12)
    if not flags & _APE_HAS_NO_FOOTER:
        return 32 + length if length >= 32 and read(8, position + length) == b"APETAGEX" else 32
    end = _ape_items(read, position + 32, min(size, position + 32 + length), items)
    return 32 if end is None else end - position


def _ape_items(read: Read, position: int, end: int, count: int) -> int | None:
    """The offset behind `count` items of an APE tag (size, flags, key, zero, value), or None if they are none or go past `end`."""
    if count > _MAX_APE_ITEMS:
        return None
    for _ in range(count):
        head = read(8 + 256, position)
        key = head.find(b"\0", 8) - 8
        if not 2 <= key <= 255 or not all(0x20 <= byte <= 0x7E for byte in head[8 : 8 + key]):
            return None
        position += 8 + key + 1 + int.from_bytes(head[:4], "little")
        if position > end:
            return None
    return position


def _lyrics3(read: Read, tail: bytes, start: int, end: int) -> tuple[int, str] | None:
    if tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        begin = end - 15 - int(tail[-15:-9])
        if begin >= start and read(11, begin) == b"LYRICSBEGIN":
            return begin, "Lyrics3v2"
    if tail.endswith(b"LYRICSEND"):
        window = min(_LYRICS3_V1_LIMIT, end - start)
        place = read(window, end - window).rfind(b"LYRICSBEGIN")
        if place >= 0:
            return end - window + place, "Lyrics3v1"
    return None
