"""Pictures of tags, of every version and of none: bounded, and told by their first bytes."""

import zlib

import pytest

from mp3_slicer.tags import MOST_COVER, Cover, content_type_of, has_cover, read_cover
from unit.tags.test_tags import frame, tag

JPEG, PNG = b"\xff\xd8\xff\xe0" + bytes(range(1, 200)), b"\x89PNG\r\n\x1a\n" + b"x" * 3000
WEBP = b"RIFF\0\1\0\0WEBPVP8 " + b"y" * 50


def apic(picture: bytes, kind: int = 3, encoding: int = 0, mime: bytes = b"image/jpeg", text: bytes = b"\0") -> bytes:
    return bytes([encoding]) + mime + b"\0" + bytes([kind]) + text + picture


def covered(data: bytes, size: int | None = None) -> Cover | None:
    def read(length: int, offset: int) -> bytes:
        return data[offset : offset + length]

    length = len(data) if size is None else size
    found = read_cover(read, length)
    assert has_cover(read, length) == (found is not None)
    return found


@pytest.mark.parametrize(("picture", "kind"), [(JPEG, "jpeg"), (PNG, "png"), (WEBP, "webp")])
@pytest.mark.parametrize("version", [3, 4])
def test_a_picture_is_told_by_its_bytes(picture: bytes, kind: str, version: int) -> None:
    data = tag(frame(b"APIC", apic(picture, mime=b"text/html"), version), version=version)
    assert covered(data) == Cover(f"image/{kind}", picture)


def test_a_picture_of_version_2() -> None:
    assert covered(tag(frame(b"PIC", b"\0PNG\3front\0" + PNG, 2), version=2)) == Cover("image/png", PNG)


def test_the_front_cover_is_the_one() -> None:
    data = tag(frame(b"APIC", apic(JPEG, kind=4)) + frame(b"APIC", apic(PNG, kind=3)))
    assert covered(data) == Cover("image/png", PNG)
    assert covered(tag(frame(b"APIC", apic(JPEG, kind=4)) + frame(b"APIC", apic(b"text", kind=3)))) is not None


def test_descriptions_in_every_encoding() -> None:
    for encoding, text in ((0, b"front\0"), (1, "à front".encode("utf-16") + b"\0\0"), (2, b"\0a\1\0\0\0"), (3, b"\0")):
        assert covered(tag(frame(b"APIC", apic(JPEG, encoding=encoding, text=text)))) == Cover("image/jpeg", JPEG)


def test_what_is_no_picture_that_may_be_shown() -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    for content in (
        *(
            apic(svg, mime=b"image/svg+xml"),
            apic(b"GIF89a"),
            apic(b""),
            apic(b"https://example.org/a.jpg", mime=b"-->"),
        ),
        *(b"\0", b"\0image/jpeg", b"\0image/jpeg\0", b"\0image/jpeg\0\3", b"\1a\0\3\0", apic(JPEG, text=b"x" * 2000)),
    ):
        assert covered(tag(frame(b"APIC", content))) is None
    assert covered(b"") is None
    assert covered(JPEG) is None
    assert content_type_of(b"RIFF") is None


def test_a_picture_beyond_the_limit_and_one_cut_short() -> None:
    assert covered(tag(frame(b"APIC", apic(JPEG + bytes(MOST_COVER))))) is None
    whole = tag(frame(b"APIC", apic(PNG)))
    assert covered(whole[:-100]) is None


def test_a_compressed_picture_inflates_no_further() -> None:
    def packed(content: bytes) -> bytes:
        data = len(content).to_bytes(4, "big") + zlib.compress(content)
        return b"APIC" + len(data).to_bytes(4, "big") + b"\0\x80" + data

    assert covered(tag(packed(apic(PNG)), version=3)) == Cover("image/png", PNG)
    bomb = tag(packed(apic(JPEG + bytes(200 << 20))), version=3)
    assert read_cover(lambda length, offset: bomb[offset : offset + length], len(bomb)) is None
