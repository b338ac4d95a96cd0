"""Names and chapters of tags, and tags that lie."""

import json
import struct
import zlib
from collections.abc import Callable
from functools import partial

import pytest

from mp3_slicer.tags import MOST_CHAPTERS, Names, chapter_of, in_blocks, read_chapters_json, read_tags, write_chapters
from mp3_slicer.tags.chapters import Chapter


def syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(name: bytes, content: bytes, version: int = 4, flags: int = 0) -> bytes:
    if version == 2:
        return name + len(content).to_bytes(3, "big") + content
    size = syncsafe(len(content)) if version == 4 else struct.pack(">I", len(content))
    return name + size + flags.to_bytes(2, "big") + content


def tag(frames: bytes, version: int = 4, flags: int = 0) -> bytes:
    return b"ID3" + bytes((version, 0, flags)) + syncsafe(len(frames)) + frames


def chapter(element: bytes, start: int, end: int, title: str, version: int = 4) -> bytes:
    inner = frame(b"TIT2", b"\3" + title.encode(), version) if title else b""
    times = struct.pack(">IIII", start, end, 0xFFFFFFFF, 0xFFFFFFFF)
    return frame(b"CHAP", element + b"\0" + times + inner, version)


def reader(data: bytes, asked: list[int] | None = None) -> Callable[[int, int], bytes]:
    def read(length: int, offset: int) -> bytes:
        if asked is not None:
            asked.append(length)
        return data[offset : offset + length]

    return read


def tags(data: bytes):
    return read_tags(reader(data), len(data))


V1 = b"TAG" + b"Old title".ljust(30) + b"Old artist".ljust(30, b"\0") + b"".ljust(30, b"\0") + b"1999" + bytes(31)


@pytest.mark.parametrize("version", [3, 4])
def test_names_in_every_encoding(version: int) -> None:
    build = partial(frame, version=version)
    data = tag(
        build(b"TIT2", b"\1" + "Ein Büchlein".encode("utf-16"))
        + build(b"TPE1", b"\3" + "Künstler\0anderer".encode())
        + build(b"TALB", b"\0" + "Älbum \n x".encode("latin-1"))
        + build(b"TDRC" if version == 4 else b"TYER", b"\0" + b"2024-05-06"),
        version,
    )
    assert tags(data + bytes(200)).names == Names("Ein Büchlein", "Künstler", "Älbum x", "2024-05-06")


def test_version_2_and_version_1() -> None:
    assert tags(tag(frame(b"TT2", b"\0Short", 2), 2)).names.title == "Short"
    assert tags(b"\xff\xfb" * 100 + V1).names == Names("Old title", "Old artist", "", "1999")
    assert tags(tag(frame(b"TIT2", b"\3New")) + V1).names == Names("New", "Old artist", "", "1999")


def test_a_whole_tag_without_what_looks_like_frames() -> None:
    content = frame(b"TIT2", b"\1" + "x".encode("utf-16"), 3)
    data = tag(content.replace(b"\xff", b"\xff\x00"), 3, flags=0x80)
    assert tags(data).names.title == "x"


def test_chapters_in_order_with_ends_and_names() -> None:
    long = "A long title " * 20
    data = tag(
        frame(b"APIC", bytes(100_000))
        + chapter(b"toc1", 60_000, 60_000, long.strip())
        + chapter(b"intro", 0, 30_000, "Intro")
    )
    asked: list[int] = []
    found = read_tags(reader(data, asked), len(data)).chapters
    assert [(each.start, each.end, each.title, each.element) for each in found] == [
        (0, 30_000, "Intro", "intro"),
        (60_000, None, long.strip(), "toc1"),
    ]
    assert sum(asked) < 10_000, "a picture is not read"
    assert chapter_of(found, "chapter-1") is chapter_of(found, "intro") is found[0]
    for name in ("chapter-0", "chapter-3", "chapter-", "chapter-１", "x", ""):
        assert chapter_of(found, name) is None


def test_chapters_of_version_3_with_plain_sizes() -> None:
    long = "t" * 200
    assert [each.title for each in tags(tag(chapter(b"a", 0, 1, long, 3), 3)).chapters] == [long]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3",
        tag(b"")[:9],
        tag(frame(b"TIT2", b"")),
        tag(frame(b"TIT2", b"\3x"))[:-1],
        tag(b"TIT2" + b"\xff" * 6 + b"x"),
        tag(b"CHAP" + syncsafe(3) + bytes(2) + b"a\0b"),
        tag(frame(b"TIT2", b"x", flags=0x08)),
        b"ID3\4\0\x40" + syncsafe(10) + b"\x7f\x7f\x7f\x7f" + bytes(6),
        b"ID3\4\0\0\x7f\x7f\x7f\x7f",
    ],
)
def test_tags_that_lie_say_nothing(data: bytes) -> None:
    assert tags(data) == (Names(), ())


def test_what_inflates_is_bounded() -> None:
    packed = zlib.compress(b"\0" + b"a" * (64 << 20))
    found = tags(tag(frame(b"TIT2", struct.pack(">I", 0)[:4] + packed, flags=0x09)))
    assert len(found.names.title) <= 500


def test_blocks_give_the_same_bytes_in_few_reads() -> None:
    data = tag(frame(b"APIC", bytes(100_000)) + chapter(b"c", 1, 2, "x") * 900) + V1
    asked: list[int] = []
    assert read_tags(in_blocks(reader(data, asked)), len(data)) == tags(data)
    assert len(asked) < 20


def test_frames_beyond_number_are_not_read() -> None:
    many = chapter(b"c", 1, 2, "x") * 5000
    asked: list[int] = []
    data = tag(many)
    assert len(read_tags(reader(data, asked), len(data)).chapters) <= MOST_CHAPTERS
    assert len(asked) < 10_000


# -------------------------------------------------------------------------------------------------------------- sidecars


def test_chapters_of_a_sidecar() -> None:
    data = json.dumps(
        {
            "version": "1.2.0",
            "chapters": [
                {"startTime": 60.5, "title": "Two", "url": "https://example.org/"},
                {"startTime": "0", "title": "One\n", "url": "javascript:alert(1)"},
                {"startTime": "never"},
                7,
                {"startTime": 1e9},
            ],
        }
    ).encode()
    chapters, flaw = read_chapters_json(data, "windows-1252")
    assert chapters == (Chapter(0, 60_500, "One"), Chapter(60_500, None, "Two", "https://example.org/"))
    assert flaw == "3 of its chapters have no time that can be read"
    assert json.loads(write_chapters(chapters)) == {
        "version": "1.2.0",
        "chapters": [
            {"startTime": 0.0, "endTime": 60.5, "title": "One", "id": "chapter-1"},
            {"startTime": 60.5, "title": "Two", "url": "https://example.org/", "id": "chapter-2"},
        ],
    }


@pytest.mark.parametrize(
    ("encoding", "flaw"),
    [
        *((name, "") for name in ("utf-8", "utf-8-sig", "utf-16")),
        ("windows-1252", "it is not UTF-8; it is read as windows-1252"),
        ("gb18030", "it is not UTF-8; it is read as gb18030"),
    ],
)
def test_chapters_in_the_encodings_of_transcripts(encoding: str, flaw: str) -> None:
    title = "Ärger" if encoding != "gb18030" else "第一章"
    text = json.dumps({"chapters": [{"startTime": 1, "title": title}]}, ensure_ascii=False)
    fallback = encoding if flaw else "windows-1252"
    assert read_chapters_json(text.encode(encoding), fallback) == ((Chapter(1000, None, title),), flaw)
    assert read_chapters_json("{é".encode("latin-1"), "windows-1252") == (
        (),
        "it is not UTF-8; it is read as windows-1252; it is not JSON",
    )


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it has no list of chapters"),
        (b'{"chapters": {}}', "it has no list of chapters"),
        (b" " * (1 << 20) + b"{}", "it is larger than 1 MiB"),
        (json.dumps({"chapters": [{"startTime": 1}] * 1001}).encode(), "it has more than 1000 chapters"),
    ],
)
def test_a_sidecar_of_chapters_that_is_broken(data: bytes, flaw: str) -> None:
    assert read_chapters_json(data, "windows-1252")[1] == flaw
