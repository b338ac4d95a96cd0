"""What takes bytes or text from outside, each as a function of bytes: it returns, whatever the bytes, or it has a defect.

To add one, write a function with `@target` here that hands the bytes on, lets the documented errors pass, and asserts what must hold of
what comes back; and put some files for it into the folder of its name below tests/fuzz/corpus.
"""

import os
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from fuzz.memory import file_of
from mp3_slicer.catalogue import Query, QueryError
from mp3_slicer.catalogue.fold import placed, tokens
from mp3_slicer.catalogue.parts import pack, unpack
from mp3_slicer.catalogue.places import find as find_places
from mp3_slicer.catalogue.places import marked
from mp3_slicer.media import indexfile
from mp3_slicer.mp3 import FileReader, Mp3Error, build_whole_index, infotag
from mp3_slicer.mp3.header import MAX_FRAME_LENGTH, FrameHeader
from mp3_slicer.mp3.tags import audio_bounds
from mp3_slicer.render import RENDER_OPTIONS, OptionError, PeaksRequest, RenderRequest
from mp3_slicer.render.formats import FORMATS
from mp3_slicer.tags import content_type_of, has_cover, read_chapters_json, read_cover, read_tags, write_chapters
from mp3_slicer.timespan import TimeSpan, TimeSpanError
from mp3_slicer.transcripts import FORMS, MOST_CUES, Cue, read, read_points, snapped, within, write
from mp3_slicer.transcripts.cues import clean
from mp3_slicer.web.conditional import evaluate
from mp3_slicer.web.disposition import attachment
from mp3_slicer.web.options import parse_pairs
from mp3_slicer.web.prefer import preferred
from mp3_slicer.web.problems import Problem

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}
_RENDER_OPTIONS = frozenset(RENDER_OPTIONS)
_HEADERS = (
    "HTTP_RANGE",
    "HTTP_IF_RANGE",
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_UNMODIFIED_SINCE",
)


def target(function: Target) -> Target:
    """Have a function fuzzed under its name."""
    TARGETS[function.__name__] = function
    return function


@target
def header(data: bytes) -> None:
    """The four bytes of a frame."""
    found = FrameHeader.parse(data[:4])
    if found:
        assert 24 <= found.length <= MAX_FRAME_LENGTH
        assert found.main_data_offset <= found.length
        assert found.version_name in {"1", "2", "2.5"}


@target
def tag(data: bytes) -> None:
    """Xing, Info, LAME and VBRI in the first frame."""
    found = FrameHeader.parse(data[:4])
    if found:
        info = infotag.parse(found, data[: found.length])
        if info:
            assert info.name in {"Xing", "Info", "VBRI"}
            assert 0 <= info.skip <= infotag.MAX_TRIM + infotag.DECODER_DELAY
            assert len(info.encoder) <= 9


@target
def bounds(data: bytes) -> None:
    """ID3v2, ID3v1, APEv2 and Lyrics3 around the audio."""
    with file_of(data) as fd:
        found = audio_bounds(FileReader(fd).read, len(data))
    assert found.start >= 0
    assert found.end <= len(data)
    assert len(found.tags) <= 32


@target
def index(data: bytes) -> None:
    """The walk over a file."""
    with file_of(data) as fd, suppress(Mp3Error):
        assert build_whole_index(FileReader(fd)) == build_whole_index(FileReader(fd))


@target
def index_file(data: bytes) -> None:
    """An index on disk whose lengths and checksum are right and whose content, a line of JSON and bytes, is not."""
    text, _, body = data.partition(b"\n")
    whole = b"slicer index %d\n%d\n" % (indexfile.FORMAT_VERSION, len(text)) + text + body
    found = indexfile.load(whole + zlib.crc32(whole).to_bytes(4, "big"))
    if found:
        assert indexfile.load(indexfile.dump(*found)) == found


@target
def time(data: bytes) -> None:
    """The `t` of a URL."""
    with suppress(TimeSpanError):
        span = TimeSpan.parse(_text(data))
        assert 0 <= span.start < (span.end or 10**30)
        assert TimeSpan.parse(span.canonical) == span


@target
def conditions(data: bytes) -> None:
    """Range, If-Range and the other conditions: a header in each line."""
    environ = {"REQUEST_METHOD": "GET"}
    environ.update(zip(_HEADERS, data.decode("latin-1").split("\n"), strict=False))
    if not environ.get("HTTP_RANGE"):
        environ.pop("HTTP_RANGE", None)
    outcome = evaluate(environ, etag='"abc"', modified=1_000_000_000, length=1000)
    assert outcome.status in {200, 206, 304, 412, 416}
    assert 0 <= outcome.start <= outcome.stop <= 1000


@target
def query(data: bytes) -> None:
    """A query string, as WSGI has it."""
    try:
        pairs = parse_pairs(data.decode("latin-1"), _RENDER_OPTIONS, frozenset({"t"}))
    except Problem as problem:
        assert problem.status == 400
    else:
        assert {name for name, _ in pairs} <= _RENDER_OPTIONS


@target
def render(data: bytes) -> None:
    """The options of a render: the first byte chooses the format, the others are a query."""
    name = sorted(FORMATS)[data[0] % len(FORMATS)] if data else "ogg"
    with suppress(OptionError, Problem):
        request = RenderRequest.parse(name, _pairs(data[1:]))
        assert RenderRequest.parse(name, _pairs(request.canonical.encode())).canonical == request.canonical


@target
def peaks(data: bytes) -> None:
    """The options of a waveform."""
    with suppress(OptionError, Problem):
        request = PeaksRequest.parse("dat", _pairs(data))
        assert PeaksRequest.parse("dat", _pairs(request.canonical.encode())) == request


@target
def prefer(data: bytes) -> None:
    """The Prefer field."""
    found = preferred({"HTTP_PREFER": data.decode("latin-1")})
    assert found.wait is None or 0 <= found.wait < 10**6
    assert re.fullmatch("[a-z0-9=, -]*", found.applied[1])


@target
def download(data: bytes) -> None:
    """The name of a download, and the header that it becomes."""
    for value in (attachment(_text(data), b"show.mp3", "1,2"), attachment("", data + b".mp3", "1,2")):
        assert re.fullmatch(r"attachment; filename=\"[ -!#-\[\]-~]+\"(; filename\*=UTF-8''[!-~]+)?", value), value


def _transcript(ending: bytes, data: bytes) -> None:
    """A sidecar: its cues are in order, each with an end behind its start, and can be written and cut to a span."""
    found = read(ending, data, "windows-1252")
    starts = [cue.start for cue in found.cues]
    assert starts == sorted(starts)
    assert len(starts) <= MOST_CUES
    assert all(cue.text and cue.start < cue.end for cue in found.cues)
    start, end = snapped(found.cues, 1500, 2500)
    assert start <= 1500
    assert end is None or end >= 2500
    for form in FORMS:
        write(within(found.cues, 1500, 2500), form)
    if ending == b".vtt":
        again = read(b".vtt", write(found.cues, "vtt"), "windows-1252").cues
        assert [each[:2] for each in again] == [each[:2] for each in found.cues]


@target
def vtt(data: bytes) -> None:
    """WebVTT, and SRT by the same reader."""
    _transcript(b".vtt", data)


@target
def words(data: bytes) -> None:
    """Transcripts in JSON."""
    _transcript(b".json", data)


@target
def ohms(data: bytes) -> None:
    """OHMS XML."""
    points, _ = read_points(data)
    assert all(each.start >= 0 for each in points)
    _transcript(b".xml", data)


@target
def marks(data: bytes) -> None:
    """Text with times."""
    _transcript(b".txt", data)


@target
def chapters(data: bytes) -> None:
    """A sidecar of chapters."""
    found, flaw = read_chapters_json(data, "windows-1252")
    assert found or flaw or b"[" in data
    assert all(each.end is None or each.start < each.end for each in found)
    again, flaw = read_chapters_json(write_chapters(found), "windows-1252")
    assert (again, flaw) == (found, "")


@target
def id3(data: bytes) -> None:
    """Names and chapters of tags."""
    with file_of(data) as fd:
        found = read_tags(partial(os.pread, fd), len(data))
    assert all(len(name) <= 500 and "\n" not in name for name in found.names)
    assert all(each.end is None or each.start < each.end for each in found.chapters)


@target
def cover(data: bytes) -> None:
    """The picture of a tag."""

    def read_from(length: int, offset: int) -> bytes:
        return data[offset : offset + length]

    found = read_cover(read_from, len(data))
    if found:
        assert has_cover(read_from, len(data))
        assert content_type_of(found.data) == found.content_type


@target
def search(data: bytes) -> None:
    """A query in the first line, and what is said in the others: each a cue."""
    first, *lines = data.decode("utf-8", "replace").split("\n")
    cues = [Cue(number * 1000, number * 1000 + 900, clean(line) or "x") for number, line in enumerate(lines)]
    again = unpack(pack(cues)) if cues else []
    assert [each[:2] for each in again] == [each[:2] for each in cues]
    for cue in again:
        words = list(placed(cue.text))
        assert [word.text for word in words] == tokens(cue.text)
        assert all(0 <= word.start < word.end <= len(cue.text) for word in words)
    with suppress(QueryError):
        query = Query.parse(first)
        assert 1 <= len(query.terms) <= 10
        found = find_places(again, query.terms, 5)
        assert find_places(again, query.terms, 1) == found[:1]
        for place in found:
            text = " ".join(each.text for each in again[place.first : place.last + 1])
            assert "".join(piece for piece, _ in marked(text, query.terms)) == text


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _pairs(data: bytes) -> list[tuple[str, str]]:
    return parse_pairs(data.decode("latin-1"), _RENDER_OPTIONS | {"pixels", "zoom", "bits"}, frozenset({"t"}))
