"""Answers of a store that are not what they must be, each noticed before a byte of it counts; and how seldom one is asked."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from mp3_slicer.media.library import Catalog
from mp3_slicer.media.source import SourceArchivedError, SourceMissingError
from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import SECOND, SourceChangedError, Span, cut
from mp3_slicer.objects.address import Address
from mp3_slicer.objects.breaker import FAILURES
from mp3_slicer.objects.choose import library_of
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.source import ObjectSource
from mp3_slicer.settings import Settings, SettingsError
from support.crooked import Crooked, crooked
from support.cutting import cut_bytes, index_of


@pytest.fixture
def origin(cbr: str) -> Iterator[Crooked]:
    with crooked(Path(cbr).read_bytes()) as server:
        yield server


def library(origin: Crooked, **more: object) -> Catalog:
    settings = Settings(media=origin.url, objects_seconds=Fraction(1, 2), **more)  # type: ignore[arg-type]
    return library_of(settings, threads=2)


def opened(origin: Crooked) -> ObjectSource:
    source = library(origin).open(b"show.mp3")
    assert isinstance(source, ObjectSource)
    origin.asked.clear()
    return source


def clip_of(source: ObjectSource, span: Span) -> bytes:
    visit = source.ahead(span)
    return cut(visit, span).read(visit)


@pytest.fixture
def span(cbr: str) -> Span:
    return index_of(cbr).locate(3 * SECOND, 13 * SECOND)


def test_a_clip_is_one_request_and_the_same_bytes(origin: Crooked, cbr: str, span: Span) -> None:
    source = opened(origin)
    assert clip_of(source, span) == cut_bytes(cbr, span)[1]
    (fields,) = origin.asked
    assert fields["if-match"] == '"one"'
    assert fields["accept-encoding"] == "identity"
    low, high = map(int, fields["range"].removeprefix("bytes=").split("-"))
    assert high - low < 1.25 * len(cut_bytes(cbr, span)[1])


def test_a_connection_serves_many_requests(origin: Crooked, span: Span) -> None:
    source = opened(origin)
    for _ in range(5):
        clip_of(source, span)
        source.check_current()
        source.onward().read(source.size, 0)
    assert origin.connections == 1
    origin.way = "404"
    for _ in range(3):
        with pytest.raises(SourceChangedError):
            clip_of(source, span)
    assert origin.connections == 1


def test_an_index_is_one_stream_and_one_look_at_the_end(origin: Crooked, cbr: str, tmp_path: Path) -> None:
    store = IndexStore(str(tmp_path), seconds=20)
    store.prepare()
    source = opened(origin)
    index = store.get(source)
    assert index.segments == index_of(cbr).segments
    assert len(origin.asked) <= 2
    assert store.find(source)[1] == "disk"
    origin.etag = '"two"'
    assert store.find(opened(origin))[1] == "built"


def test_an_index_goes_on_after_its_time_is_up(origin: Crooked, cbr: str, tmp_path: Path) -> None:
    late = IndexStore(str(tmp_path), seconds=-1)
    late.prepare()
    with pytest.raises(IndexPendingError):
        late.get(opened(origin))
    assert IndexStore(str(tmp_path), seconds=20).get(opened(origin)).segments == index_of(cbr).segments


@pytest.mark.parametrize(
    "way", ["whole", "shifted", "no etag", "weak", "gzip", "long", "301", "302", "403", "503", "short", "silent"]
)
def test_an_answer_that_is_wrong_is_none(origin: Crooked, span: Span, way: str) -> None:
    source = opened(origin)
    origin.way = way
    with pytest.raises(StoreError) as caught:
        clip_of(source, span)
    # One retry where it may help.
    assert len(origin.asked) == (2 if way in {"503", "short", "silent"} else 1)
    assert not any("elsewhere" in fields[""] for fields in origin.asked)
    assert origin.url not in str(caught.value)


@pytest.mark.parametrize("way", ["whole", "no etag", "weak", "301", "AccessDenied"])
def test_an_object_is_not_opened_by_a_wrong_answer(origin: Crooked, way: str) -> None:
    origin.way = "*" + way
    with pytest.raises(StoreError):
        library(origin).open(b"show.mp3")


@pytest.mark.parametrize("way", ["other total", "404", "412", "416"])
def test_another_version_is_noticed(origin: Crooked, span: Span, way: str) -> None:
    source = opened(origin)
    origin.way = way
    with pytest.raises(SourceChangedError):
        clip_of(source, span)


def test_a_replaced_object_is_noticed_by_its_etag(origin: Crooked, span: Span) -> None:
    source = opened(origin)
    source.check_current()
    origin.etag = '"two"'
    for work in (lambda: clip_of(source, span), source.check_current):
        with pytest.raises(SourceChangedError):
            work()


def test_an_object_that_is_replaced_in_the_midst_of_an_answer(origin: Crooked, span: Span) -> None:
    """The rest is not taken from the other version: neither by a new try, nor by a stream that is taken up again."""
    source = opened(origin)
    origin.way = "replaced"
    with pytest.raises(SourceChangedError):
        clip_of(source, span)
    source = opened(origin)
    origin.way = "replaced"
    with pytest.raises(SourceChangedError):
        source.onward().read(source.size, 0)


def test_a_stream_that_ends_early_is_taken_up_again(origin: Crooked) -> None:
    source = opened(origin)
    origin.way = "once"
    assert source.onward().read(source.size, 0) == origin.data


def test_looks_back_and_skips_of_a_stream(origin: Crooked) -> None:
    """Whatever is asked for in whatever order, it is what the object holds."""
    origin.data = origin.data * 12  # more than is kept in memory
    source = opened(origin)
    reader = source.onward(source.size - 1000)
    size = source.size
    for offset in (
        0,
        size - 160,
        40,
        400_000,
        10,
        1_600_000,
        1_599_000,
        3_700_000,
        5,
        size - 900,
        size - 10,
        size,
        2_000_000,
    ):
        for count in (1, 4096, 100_000):
            assert reader.read(count, offset) == origin.data[offset : offset + count], (offset, count)


def test_if_match_is_given_up_where_a_right_one_is_refused(origin: Crooked, cbr: str, span: Span) -> None:
    source = opened(origin)
    origin.way = "drops"
    assert clip_of(source, span) == cut_bytes(cbr, span)[1]
    origin.asked.clear()
    assert clip_of(source, span) == cut_bytes(cbr, span)[1]
    assert ["if-match" in fields for fields in origin.asked] == [False]


def test_what_is_missing_and_what_is_in_an_archive(origin: Crooked) -> None:
    origin.way = "*404"
    with pytest.raises(SourceMissingError):
        library(origin).open(b"show.mp3")
    origin.way = "*InvalidObjectState"
    with pytest.raises(SourceArchivedError):
        library(origin).open(b"show.mp3")
    origin.asked.clear()
    for path in (b"show.wav", b"../show.mp3", b"a//show.mp3", b".show.mp3", b"\xff.mp3"):
        with pytest.raises(SourceMissingError):
            library(origin).open(path)
    assert not origin.asked


def test_the_lines_of_a_file_are_sent(origin: Crooked, tmp_path: Path) -> None:
    path = tmp_path / "header"
    path.write_text("Authorization: Bearer secret\n", encoding="ascii")
    library(origin, objects_header=str(path)).open(b"a b#?.mp3")
    (fields,) = origin.asked
    assert fields["authorization"] == "Bearer secret"
    assert fields[""] == "/media/a%20b%23%3F.mp3"


def test_a_store_that_stands_still_is_left_alone_after_some_failures(origin: Crooked) -> None:
    where = library(origin)
    origin.way = "*silent"
    for _ in range(FAILURES):
        with pytest.raises(StoreError):
            where.open(b"show.mp3")
    origin.asked.clear()
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(StoreError) as caught:
            where.open(b"show.mp3")
        assert caught.value.is_repeat
    assert time.monotonic() - began < 1
    assert not origin.asked
    origin.way = ""
    origin.released.set()
    _until_it_opens(lambda: where.open(b"show.mp3"))
    where.open(b"show.mp3")


def _until_it_opens(work: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            work()
            return
        except StoreError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_credentials_are_looked_for_again_once_they_have_ended(
    origin: Crooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = Settings(media="s3://bucket/prefix", objects_endpoint=origin.url.removesuffix("/media/"))
    where = library_of(settings)
    where.open(b"a b#.mp3")
    assert origin.asked[0][""] == "/bucket/prefix/a%20b%23.mp3"
    origin.asked.clear()
    origin.way = "*ExpiredToken"
    with pytest.raises(StoreError):
        where.open(b"show.mp3")
    assert len(origin.asked) == 2
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "two")
    where.open(b"show.mp3")
    assert len(origin.asked) == 4
    assert not any("secret" in text for fields in origin.asked for text in fields.values())


@pytest.mark.parametrize(
    ("media", "more", "url"),
    [
        ("s3://audio", {}, "https://audio.s3.eu-north-1.amazonaws.com/a.mp3"),
        ("s3://audio/shows/", {"objects_region": "us-west-2"}, "https://audio.s3.us-west-2.amazonaws.com/shows/a.mp3"),
        ("s3://au.dio/a#?%/b", {}, "https://s3.eu-north-1.amazonaws.com/au.dio/a%23%3F%25/b/a.mp3"),
        ("s3://audio", {"objects_endpoint": "http://[::1]:9000"}, "http://[::1]:9000/audio/a.mp3"),
        ("s3://audio", {"objects_endpoint": "https://x.org", "objects_style": "host"}, "https://audio.x.org/a.mp3"),
        ("https://x.org", {}, "https://x.org/a.mp3"),
        ("https://x.org:443/a%20b", {}, "https://x.org/a%20b/a.mp3"),
    ],
)
def test_where_an_object_is(media: str, more: dict[str, str], url: str) -> None:
    address = Address.of(Settings(media=media, **more), "eu-north-1")  # type: ignore[arg-type]
    assert address.url(address.target(b"a.mp3")) == url


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MEDIA", "s3://A_B/c"),
        ("MEDIA", "https://user:password@x.org/"),
        ("MEDIA", "https://x.org/a b"),
        ("MEDIA", "https://x.org/?a=1"),
        ("OBJECTS_ENDPOINT", "store.example.org"),
        ("OBJECTS_STYLE", "virtual"),
        ("OBJECTS_CA", "/nothing/here"),
        ("OBJECTS_SECONDS", "0"),
    ],
)
def test_settings_that_are_wrong_are_refused(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"SLICER_{name}") as caught:
        Settings.from_environ({"SLICER_MEDIA": "s3://audio", f"SLICER_{name}": text})
    assert "password" not in str(caught.value)
