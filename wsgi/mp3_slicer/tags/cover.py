"""Covers: the picture of a tag (ID3v2.2 to 2.4), or of a file beside its source, told by its first bytes and never by its name."""

from typing import NamedTuple

from mp3_slicer.tags.id3 import Frame, Read, Tag, opened, unpacked, walk

#: Bytes of a picture, of a tag with what is said of it there.
MOST_COVER = 4 << 20
#: What the names of pictures beside a source end in.
COVER_ENDINGS = (b".jpg", b".jpeg", b".png", b".webp")
#: Bytes of a frame in which the picture must begin, and bytes by which its kind is told.
_HEAD, SNIFFED = 1024, 12
#: Pictures of a tag that are looked at, and the type of a front cover.
_MOST_PICTURES, _FRONT = 16, 3
_NAMES = frozenset((b"APIC", b"PIC"))


class Cover(NamedTuple):
    """A picture."""

    content_type: str
    data: bytes


def content_type_of(data: bytes) -> str | None:
    """The type of a picture that browsers show and that runs nothing; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def has_cover(read: Read, size: int) -> bool:
    """Return whether the tag of a file has a picture; little of it is read. It raises what `read` raises."""
    tag = opened(read, size)
    return tag is not None and bool(_candidates(tag))


def read_cover(read: Read, size: int) -> Cover | None:
    """The picture of the tag of a file: the front cover, or else the first. Whatever the tag holds, this returns.

    It raises what `read` raises.
    """
    tag = opened(read, size)
    if tag is None:
        return None
    for frame in _candidates(tag):
        data = unpacked(frame, tag.read(frame.length, frame.offset), tag.version, MOST_COVER + 1)
        begin = _begin(data, tag.version)
        picture = data[begin[1] :] if begin else b""
        kind = content_type_of(picture)
        if kind and len(data) <= MOST_COVER:
            return Cover(kind, picture)
    return None


def _candidates(tag: Tag) -> list[Frame]:
    """The frames with a picture, those with a front cover first."""
    found: list[tuple[bool, Frame]] = []
    for frame in walk(tag, _NAMES):
        if frame.length > MOST_COVER:
            continue
        head = unpacked(frame, tag.read(min(frame.length, _HEAD), frame.offset), tag.version, _HEAD)
        begin = _begin(head, tag.version)
        if begin and content_type_of(head[begin[1] :]):
            found.append((begin[0] != _FRONT, frame))
        if len(found) == _MOST_PICTURES:
            break
    return [frame for _, frame in sorted(found, key=lambda each: each[0])]


def _begin(data: bytes, version: int) -> tuple[int, int] | None:
    """The type of a picture and where in its frame it begins; None where that cannot be told."""
    if version == 2:
        position = 4
    else:
        position = data.find(b"\0", 1, _HEAD) + 1
        if not position:
            return None
    kind = data[position : position + 1]
    if not kind:
        return None
    position += 1
    if data[0] in (1, 2):
        # The text ends with a zero of two bytes, which begins at an even distance.
        end = position
        while data[end : end + 2] != b"\0\0":
            end += 2
            if end >= min(len(data), _HEAD):
                return None
        return kind[0], end + 2
    end = data.find(b"\0", position, _HEAD)
    return None if end < 0 else (kind[0], end + 1)
