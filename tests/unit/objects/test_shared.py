"""Shared indexes whose store is away, and the settings that name their place."""

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from mp3_slicer.media.store import IndexStore
from mp3_slicer.objects.choose import indexes_of, library_of
from mp3_slicer.objects.claims import LEAST_BYTES
from mp3_slicer.settings import Settings, SettingsError
from support.crooked import Crooked, crooked
from support.cutting import index_of


@pytest.fixture
def origin(cbr: str) -> Iterator[Crooked]:
    with crooked(Path(cbr).read_bytes()) as server:
        yield server


@pytest.fixture
def settings(origin: Crooked, tmp_path: Path) -> Settings:
    """Media behind an origin, and shared indexes in a store."""
    return Settings(
        media=origin.url,
        objects_seconds=Fraction(1, 2),
        shared_indexes="s3://indexes/main",
        index_dir=str(tmp_path),
    )


def indexes(settings: Settings, store: str, warned: list[str]) -> IndexStore:
    changed = Settings(
        media=settings.media,
        objects_seconds=settings.objects_seconds,
        shared_indexes=settings.shared_indexes,
        index_dir=settings.index_dir,
        objects_endpoint=store,
    )
    made = indexes_of(changed, seconds=20, threads=2, warn=warned.append)
    made.prepare()
    return made


def test_a_store_that_is_down_costs_one_line(settings: Settings, cbr: str) -> None:
    warned: list[str] = []
    made = indexes(settings, "http://127.0.0.1:9", warned)
    for number in range(6):
        index, origin = made.find(library_of(settings).open(b"%d.mp3" % number))
        assert (origin, index.segments) == ("built", index_of(cbr).segments)
    assert warned == [
        "shared indexes cannot be read, going on without: the store cannot be reached: NewConnectionError",
        "shared indexes cannot be written, going on without: the store cannot be reached: NewConnectionError",
    ]


def test_a_store_that_stands_still_is_not_waited_for(settings: Settings, cbr: str) -> None:
    warned: list[str] = []
    with crooked(b"") as still:
        still.way = "*silent"
        made = indexes(settings, still.url.removesuffix("/media/"), warned)
        began = time.monotonic()
        assert made.find(library_of(settings).open(b"a.mp3"))[1] == "built"
        assert time.monotonic() - began < 10
        # The circuit breaker ends even this wait.
        began = time.monotonic()
        assert made.find(library_of(settings).open(b"b.mp3"))[1] == "built"
        assert made.find(library_of(settings).open(b"c.mp3"))[1] == "built"
        assert time.monotonic() - began < 5
    assert len(warned) <= 2


@pytest.mark.parametrize("way", ["404", "302", "500", "whole", "short", "gzip", "AccessDenied", "InvalidObjectState"])
def test_answers_that_are_no_index_cost_a_rebuild(settings: Settings, cbr: str, way: str) -> None:
    warned: list[str] = []
    with crooked(Path(cbr).read_bytes()) as wrong:
        wrong.way = "*" + way
        made = indexes(settings, wrong.url.removesuffix("/media/"), warned)
        assert made.find(library_of(settings).open(b"a.mp3"))[1] == "built"
        assert wrong.asked[0][""].startswith("/indexes/main/")


@pytest.mark.parametrize("status", [200, 204, 409, 412, 501])
def test_a_store_without_claims_costs_nothing_else(origin: Crooked, settings: Settings, status: int) -> None:
    origin.data *= LEAST_BYTES // len(origin.data) + 1
    with crooked(b"") as wrong:
        wrong.way, wrong.stores = "*404", status
        made = indexes(settings, wrong.url.removesuffix("/media/"), [])
        began = time.monotonic()
        assert made.find(library_of(settings).open(b"a.mp3"))[1] == "built"
        assert time.monotonic() - began < 10
        assert any(each.get("if-none-match") == "*" for each in wrong.asked)


@pytest.mark.parametrize(
    ("media", "place", "reason"),
    [
        ("s3://audio/shows", "https://store.example.org/x", "is not like s3://bucket/prefix"),
        ("s3://audio/shows", "s3://audio/shows", "is within the media"),
        ("s3://audio/shows", "s3://audio/shows/indexes/", "is within the media"),
        ("s3://audio", "s3://audio/indexes", "is within the media"),
        ("/", "s3://audio/indexes", "is for media in a store"),
    ],
)
def test_places_that_are_refused(media: str, place: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        Settings.from_environ({"SLICER_MEDIA": media, "SLICER_SHARED_INDEXES": place})


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"SLICER_SHARED_RESULTS": "s3://x"}, "is not like s3://bucket/prefix"),
        ({"SLICER_SHARED_RESULTS": "s3://results", "SLICER_RESULTS_BYTES": "0"}, "needs room on local disk"),
        ({"SLICER_SHARED_RESULTS": "s3://audio/results", "SLICER_MEDIA": "s3://audio"}, "is within the media"),
        ({"SLICER_SHARED_RESULTS": "s3://results", "SLICER_OBJECTS_ENDPOINT": "store"}, "OBJECTS_ENDPOINT is not like"),
    ],
)
def test_places_of_results_that_are_refused(more: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        Settings.from_environ({"SLICER_MEDIA": "/", **more})


@pytest.mark.parametrize("place", ["s3://audio/shows-indexes", "s3://audio/indexes/", "s3://other"])
def test_places_that_are_taken(place: str) -> None:
    settings = Settings.from_environ({"SLICER_MEDIA": "s3://audio/shows", "SLICER_SHARED_INDEXES": place})
    assert settings.shared_indexes == place
