"""Indexes that slicers share in a bucket of a real store (SeaweedFS): an object is walked once, and nothing there can do harm."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mp3_slicer.media import indexfile
from mp3_slicer.media.library import Entry
from mp3_slicer.media.store import IndexStore
from mp3_slicer.objects.census import Census
from mp3_slicer.objects.choose import indexes_of, library_of
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.shared import BucketIndexes
from mp3_slicer.settings import Settings
from support.cutting import cut_bytes, index_of, span_of
from support.exposition import parse, value
from support.server import Server, folder, serving, until
from support.store import Store

SHARED = "s3://audio/indexes"


@pytest.fixture
def settings(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings for this process, of a machine that has no indexes yet."""
    for name, text in store.environ.items():
        monkeypatch.setenv(name, text)
    return Settings.from_environ(
        {
            **store.environ,
            "SLICER_MEDIA": store.media,
            "SLICER_SHARED_INDEXES": SHARED,
            "SLICER_INDEX_DIR": str(tmp_path),
        }
    )


@pytest.fixture
def machine(settings: Settings) -> Callable[[], IndexStore]:
    """Make the indexes of one more machine."""

    def new() -> IndexStore:
        made = indexes_of(Settings.from_environ({**settings.to_environ(), "SLICER_INDEX_DIR": folder()}), seconds=60)
        made.prepare()
        return made

    return new


def environ_of(store: Store, place: str, **more: str) -> dict[str, str]:
    return {**store.environ, "SLICER_SHARED_INDEXES": SHARED, "SLICER_INDEX_DIR": f"{place}/index", **more}


def lookups(server: Server, outcome: str) -> float:
    return value(parse(server.get("/metrics")[2].decode()), "slicer_index_lookups_total", outcome=outcome)


def until_counted(server: Server, outcome: str) -> None:
    until(lambda: lookups(server, outcome) == 1, 30, "the index is counted")


def test_of_two_servers_one_walks_an_object(store: Store, cbr: str) -> None:
    data = Path(cbr).read_bytes() * 6
    store.put("two.mp3", data)
    bodies = []
    for number in range(2):
        place = folder()
        with serving(store.media, "--cpus", "1", environ=environ_of(store, place)) as running:
            status, _, body = running.get("/clips/two.mp3?t=3,13")
            assert status == 200
            bodies.append(body)
            until_counted(running, ("built", "shared")[number])
            assert lookups(running, ("shared", "built")[number]) == 0
            found = parse(running.get("/metrics")[2].decode())
            is_whole = value(found, "slicer_store_bytes_total") >= len(data)
            assert is_whole == (number == 0)
            assert value(found, "slicer_shared_requests_total", outcome="2xx") >= 1
            # Then it lies on local disk.
            if number:
                assert len(IndexStore(f"{place}/index", seconds=1).names()) == 1
    assert bodies[0] == bodies[1]


def _damage(how: str, data: bytes, other: bytes) -> bytes:
    middle = len(data) // 2
    return {
        "cut short": data[:middle],
        "changed": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "empty": b"",
        "of another object": other,
        "of another format": data.replace(b"slicer index %d" % indexfile.FORMAT_VERSION, b"slicer index 0", 1),
        "foreign": b"<html>" * 1000,
        "too large": b"x" * (17 << 20),
    }[how]


@pytest.mark.parametrize(
    "how", ["cut short", "changed", "empty", "of another object", "of another format", "foreign", "too large"]
)
def test_what_is_wrong_costs_a_rebuild(
    store: Store,
    settings: Settings,
    machine: Callable[[], IndexStore],
    cbr: str,
    stream: Callable[[str], str],
    how: str,
) -> None:
    store.put("right.mp3", Path(cbr).read_bytes())
    store.put("other.mp3", Path(stream("mpeg1-44-joint-vbr2")).read_bytes())
    library = library_of(settings)
    source, other = library.open(b"right.mp3"), library.open(b"other.mp3")
    one = machine()
    one.find(source)
    one.find(other)
    name, other_name = (one.name_of(each.identity.path) for each in (source, other))
    assert isinstance(one.shared, BucketIndexes)
    data, foreign = one.shared.get(name), one.shared.get(other_name)
    assert data is not None
    assert foreign is not None
    assert machine().find(source)[1] == "shared"
    key = one.shared._key(name).decode()
    assert store.ask("PUT", f"/audio/indexes/{key}", _damage(how, data, foreign)) == 200
    index, origin = machine().find(source)
    assert (origin, index.segments) == ("built", index_of(cbr).segments)
    # And it is right again.
    index, origin = machine().find(source)
    assert (origin, index.segments) == ("shared", index_of(cbr).segments)


def test_the_index_of_a_replaced_object_is_not_taken(
    store: Store, settings: Settings, machine: Callable[[], IndexStore], cbr: str, stream: Callable[[str], str]
) -> None:
    library = library_of(settings)
    for kind in ("mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2"):
        store.put("again.mp3", Path(stream(kind)).read_bytes())
        source = library.open(b"again.mp3")
        assert machine().find(source)[1] == "built"
        index, origin = machine().find(source)
        assert (origin, index.segments) == ("shared", index_of(stream(kind)).segments)


def test_without_access_to_write_one_line_is_logged(store: Store, reader: Mapping[str, str], cbr: str) -> None:
    want = cut_bytes(cbr, span_of(index_of(cbr), 3, 13))[1]
    for number in range(3):
        store.put(f"only/{number}.mp3", Path(cbr).read_bytes())
    with serving(store.media, "--cpus", "1", environ=environ_of(store, folder(), **reader)) as running:
        for number in range(3):
            assert running.get(f"/clips/only/{number}.mp3?t=3,13")[2] == want
        said = "shared indexes cannot be written, going on without: the store answers 403 AccessDenied"
        until(lambda: said in running.log(), 30, "the log tells it")
        # One for each process, and this server has one for clips.
        assert running.log().count("shared indexes") == 1
        assert "secret" not in running.log()


def test_a_bucket_that_is_not_there_is_done_without(store: Store, reader: Mapping[str, str], cbr: str) -> None:
    store.put("alone.mp3", Path(cbr).read_bytes())
    more = {**reader, "SLICER_SHARED_INDEXES": "s3://nothing-here/x"}
    with serving(store.media, "--cpus", "1", environ=environ_of(store, folder(), **more)) as running:
        want = cut_bytes(cbr, span_of(index_of(cbr), 3, 13))[1]
        assert running.get("/clips/alone.mp3?t=3,13")[2] == want
        until(lambda: "shared indexes cannot be" in running.log(), 30, "the log tells it")


def command(store: Store, media: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "mp3_slicer", "index", media, "--jobs", "1"]
    return subprocess.run(run, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def media(store: Store, cbr: str) -> Iterator[str]:
    """Media of three objects, alone below their prefix."""
    names = ["index/a.mp3", "index/ä b#.mp3", "index/sub/c.mp3"]
    store.delete("index/sub/d.mp3")
    for name in names:
        store.put(name, Path(cbr).read_bytes())
    yield f"{store.media}/index"
    for name in names:
        store.delete(name)


def test_the_command_fills_and_cleans(store: Store, media: str) -> None:
    place = folder()
    environ = environ_of(store, place, SLICER_SHARED_INDEXES="s3://audio/filled")
    local = IndexStore(f"{place}/index", seconds=1)
    plain = {name: text for name, text in environ.items() if name != "SLICER_SHARED_INDEXES"}
    assert command(store, media, plain).returncode == 0
    done = command(store, media, environ)
    assert done.stdout.splitlines() == [
        "0 indexed, 3 already indexed, 0 refused, 0 obsolete indexes removed",
        "s3://audio/filled: 3 indexes shared, 0 not",
        "catalogue: 3 files, 0 of them read, 0 removed",
    ]
    # Media above share the prefix and the folder on disk: nothing of theirs is touched.
    assert command(store, f"{media}/sub", environ).stdout.startswith("0 indexed, 1 already")
    store.put("index/sub/d.mp3", b"")
    other = command(store, f"{media}/sub", environ_of(store, folder(), SLICER_SHARED_INDEXES="s3://audio/filled"))
    assert other.returncode == 1
    assert "1 indexes shared, 0 not" in other.stdout
    assert len(local.names()) == 3
    store.delete("index/a.mp3")
    gone = command(store, media, environ)
    assert gone.stdout.startswith("0 indexed, 2 already indexed, 1 refused, 2 obsolete indexes removed\n"), gone
    assert len(local.names()) == 2
    assert command(store, media, environ).stdout.startswith("0 indexed, 2 already indexed, 1 refused, 0 obsolete")


def test_the_command_goes_on_without_access_to_write(store: Store, reader: Mapping[str, str], media: str) -> None:
    environ = environ_of(store, folder(), SLICER_SHARED_INDEXES="s3://audio/refused", **reader)
    done = command(store, media, environ)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[1] == (
        "s3://audio/refused: 0 indexes shared, 3 not (the store answers 403 AccessDenied)"
    )
    assert done.stderr == ""


def test_nothing_is_removed_unless_the_list_is_complete(
    store: Store, settings: Settings, machine: Callable[[], IndexStore], cbr: str
) -> None:
    for name in ("one.mp3", "two.mp3"):
        store.put(f"census/{name}", Path(cbr).read_bytes())
    settings = Settings.from_environ({**settings.to_environ(), "SLICER_MEDIA": f"{store.media}/census"})
    library = library_of(settings)
    indexes = indexes_of(settings, seconds=60)
    indexes.prepare()
    for name in (b"one.mp3", b"two.mp3"):
        indexes.find(library.open(name))
    assert isinstance(indexes.shared, BucketIndexes)
    entries = list(library.list())
    assert len(entries) == 2

    def broken() -> Iterator[Entry]:
        yield entries[0]
        raise StoreError("the store stopped within a list")

    census = Census(library, indexes)
    with pytest.raises(StoreError):
        list(census.counted(broken()))
    assert census.remove() == 0
    census = Census(library, indexes)
    assert next(census.counted(entries[:1])) == entries[0]
    assert census.remove() == 0, "the list was not read to its end"
    census = Census(library, indexes)
    assert list(census.counted([])) == []
    assert census.remove() == 0, "an empty list"
    # What appears while the list is read stays, wherever the list was by then.
    census = Census(library, indexes)
    listed = census.counted(entries[:1])
    store.put("census/a.mp3", Path(cbr).read_bytes())
    indexes.find(library.open(b"a.mp3"))
    assert list(listed) == entries[:1]
    assert census.remove() == 2
    assert len(indexes.names()) == 2
    assert indexes.shared.names() == indexes.names()


@pytest.mark.parametrize(
    ("who", "line"),
    [
        ("owner", "shared indexes can be read and written"),
        ("reader", "shared indexes read only: the store answers 403"),
    ],
)
def test_the_doctor_asks_for_them(store: Store, cbr: str, who: str, line: str, request: pytest.FixtureRequest) -> None:
    more = request.getfixturevalue("reader") if who == "reader" else {}
    store.put("show.mp3", Path(cbr).read_bytes())
    run = [sys.executable, "-m", "mp3_slicer", "doctor", store.media]
    environ = {**os.environ, **environ_of(store, folder(), **more)}
    done = subprocess.run(run, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert f"ok {line}" in " ".join(done.stdout.split()), done.stdout + done.stderr
