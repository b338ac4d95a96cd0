"""ID3v2 and ID3v1 (id3.org): the text frames that name a file, and its chapters (id3v2-chapters-1.0).

Sizes in tags lie, and what is compressed inflates: every number and every size is bounded. Frame headers are walked, and only the frames
that matter are read, so a large picture costs nothing.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mp3_slicer.tags.chapters import MOST_CHAPTERS, MOST_TITLE, MOST_URL, Chapter, ordered, plain

#: Bytes at an offset of a file: fewer behind its end.
Read = Callable[[int, int], bytes]

#: Frames that are walked, bytes of a frame that are read, of all of them together, and of a tag that must be read as a whole.
_MOST_FRAMES, _MOST_FRAME, _MOST_READ, _MOST_TAG = 4096, 64 << 10, 4 << 20, 4 << 20
_HEADER = 10
#: Bytes that are read at a time.
_BLOCK = 32 << 10
#: By the names of frames of versions 2.3, 2.4 and 2.2.
_FIELDS = {
    b"TIT2": "title", b"TPE1": "artist", b"TALB": "album", b"TDRC": "date", b"TYER": "date",
    b"TT2": "title", b"TP1": "artist", b"TAL": "album", b"TYE": "date",  # codespell:ignore
}  # fmt: skip
_WANTED = frozenset((*_FIELDS, b"CHAP"))
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")


class Names(NamedTuple):
    """What a tag calls a file; empty where it does not say."""

    title: str = ""
    artist: str = ""
    album: str = ""
    date: str = ""  #: as it stands there: a year, or a day as in ISO 8601


class Tags(NamedTuple):
    """What is read of the tags of a file."""

    names: Names
    chapters: tuple[Chapter, ...]


def in_blocks(read: Read) -> Read:
    """The same bytes in few and larger reads, for a source where each read is a request."""
    held: tuple[int, bytes] = (0, b"")

    def get(length: int, offset: int) -> bytes:
        nonlocal held
        start, data = held
        if offset < start or offset + length > start + len(data):
            start, data = held = offset, read(max(_BLOCK, length), offset)
        return data[offset - start : offset - start + length]

    return get


def read_tags(read: Read, size: int) -> Tags:
    """The tags of a file of `size` bytes. Whatever they hold, this returns; it raises what `read` raises."""
    found: dict[str, str] = {}
    chapters: list[Chapter] = []
    for name, data in _frames(read, size):
        field = _FIELDS.get(name)
        if field is not None:
            if field not in found and (text := plain(_text(data), MOST_TITLE)):
                found[field] = text
        elif len(chapters) < MOST_CHAPTERS and (chapter := _chapter(data)) is not None:
            chapters.append(chapter)
    for field, text in _version_1(read, size).items():
        found.setdefault(field, text)
    return Tags(Names(**found), ordered(chapters))


def _version_1(read: Read, size: int) -> dict[str, str]:
    """The fields of ID3v1: thirty bytes each, with blanks or zeros behind."""
    tail = read(128, size - 128) if size >= 128 else b""
    if tail[:3] != b"TAG" or len(tail) != 128:
        return {}
    parts = {"title": tail[3:33], "artist": tail[33:63], "album": tail[63:93], "date": tail[93:97]}
    texts = {name: plain(part.partition(b"\0")[0].decode("latin-1"), 30) for name, part in parts.items()}
    return {name: text for name, text in texts.items() if text}


def _syncsafe(raw: bytes) -> int:
    return raw[0] << 21 | raw[1] << 14 | raw[2] << 7 | raw[3]


class Tag(NamedTuple):
    """The tag at the beginning of a file."""

    version: int  #: 2, 3 or 4
    read: Read  #: its bytes by offsets
    begin: int  #: the offset of its first frame
    end: int


class Frame(NamedTuple):
    """Where a frame of a tag is."""

    name: bytes
    flags: int  #: of its format; 0 in version 2
    offset: int  #: of its content
    length: int


def opened(read: Read, size: int) -> Tag | None:
    """The tag at the beginning of a file of `size` bytes; None without one."""
    head = read(_HEADER, 0)
    if len(head) < _HEADER or head[:3] != b"ID3" or not 2 <= head[3] <= 4 or any(byte & 0x80 for byte in head[6:]):
        return None
    version, flags = head[3], head[5]
    end = min(size, _HEADER + _syncsafe(head[6:]))
    if version < 4 and flags & 0x80:
        # The whole tag was made free of what looks like a frame of audio.
        whole = head + read(min(end - _HEADER, _MOST_TAG), _HEADER).replace(b"\xff\x00", b"\xff")
        read, end = _reader(whole), len(whole)
    position = _HEADER
    if flags & 0x40 and version > 2:
        extended = read(4, position)
        if len(extended) < 4:
            return None
        position += _syncsafe(extended) if version == 4 else 4 + int.from_bytes(extended, "big")
    return Tag(version, read, position, end)


def _reader(data: bytes) -> Read:
    return lambda length, offset: data[offset : offset + length]


def _frames(read: Read, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each frame that matters, of the tag at the beginning."""
    tag = opened(read, size)
    left = _MOST_READ
    if tag is None:
        return
    for frame in walk(tag, _WANTED):
        data = tag.read(min(frame.length, _MOST_FRAME, left), frame.offset) if left > 0 else b""
        left -= len(data)
        data = unpacked(frame, data, tag.version, _MOST_FRAME)
        if data:
            yield frame.name, data


def walk(tag: Tag, wanted: frozenset[bytes]) -> Iterator[Frame]:
    """The frames of a tag with these names that lie in it as a whole and are not empty."""
    width = 6 if tag.version == 2 else 10
    position = tag.begin
    for _ in range(_MOST_FRAMES):
        head = tag.read(width, position) if position + width <= tag.end else b""
        if len(head) < width or head[0] == 0:
            return
        name = head[: 3 if tag.version == 2 else 4]
        raw = head[len(name) : 2 * len(name)]
        # Some programs write plain sizes into version 4, which only a high bit tells from others.
        is_plain = tag.version < 4 or any(byte & 0x80 for byte in raw)
        length = int.from_bytes(raw, "big") if is_plain else _syncsafe(raw)
        position += width
        if name in wanted and 0 < length <= tag.end - position:
            yield Frame(name, 0 if tag.version == 2 else head[9], position, length)
        position += length


def unpacked(frame: Frame, data: bytes, version: int, most: int) -> bytes:
    """Up to `most` bytes of the content of a frame, of its first bytes `data`; none of one that is encrypted or cannot be inflated."""
    flags = frame.flags
    if version == 2:
        return data
    if version == 3:
        compressed, encrypted, grouped, unsynchronised, long = flags & 0x80, flags & 0x40, flags & 0x20, 0, flags & 0x80
    else:
        compressed, encrypted, grouped = flags & 0x08, flags & 0x04, flags & 0x40
        unsynchronised, long = flags & 0x02, flags & 0x01
    if encrypted:
        return b""
    data = data[(1 if grouped else 0) + (4 if long else 0) :]
    if unsynchronised:
        data = data.replace(b"\xff\x00", b"\xff")
    if not compressed:
        return data
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return b""


def _text(data: bytes) -> str:
    """The first text of a text frame."""
    if not data:
        return ""
    encoding = _ENCODINGS[data[0]] if data[0] < len(_ENCODINGS) else "latin-1"
    return data[1:].decode(encoding, "replace").partition("\0")[0]


def _chapter(data: bytes) -> Chapter | None:
    """A chapter of a frame CHAP: its name, two times in milliseconds, two offsets, and frames of its own."""
    element, zero, rest = data.partition(b"\0")
    if not zero or len(rest) < 16:
        return None
    start, end = int.from_bytes(rest[:4], "big"), int.from_bytes(rest[4:8], "big")
    title = url = ""
    # All ones stand for a time that is told by an offset in bytes.
    if start == 0xFFFFFFFF:
        return None
    for name, content in _within(rest[16:]):
        if name == b"TIT2" and not title:
            title = plain(_text(content), MOST_TITLE)
        elif name == b"WXXX" and not url:
            url = plain(content[1:].rpartition(b"\0")[2].decode("latin-1"), MOST_URL)
    if not url.startswith(("https://", "http://")):
        url = ""
    return Chapter(start, end if start < end < 0xFFFFFFFF else None, title, url, plain(element.decode("latin-1"), 100))


def _within(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The frames in a frame, one level deep."""
    position = 0
    for _ in range(64):
        head = data[position : position + 10]
        if len(head) < 10 or head[0] == 0:
            return
        raw, begin = head[4:8], position + 10
        # Sizes of versions 3 and 4 are the same up to 127 bytes, and beyond only one of them may fit.
        for length in dict.fromkeys((_syncsafe(raw), int.from_bytes(raw, "big"))):
            behind = data[begin + length : begin + length + 4]
            if begin + length <= len(data) and (
                not behind or (behind.isalnum() and behind.isupper()) or behind[0] == 0
            ):
                break
        else:
            return
        yield head[:4], data[begin : begin + length]
        position = begin + length
