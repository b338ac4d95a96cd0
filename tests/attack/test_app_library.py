"""A folder of very many names: a page of the library reads what it shows, whatever else lies beside it."""

import json
import os
import random
import threading
import time
import tracemalloc
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import pytest
from werkzeug.test import Client, TestResponse

from mp3_slicer.media import names as names_module
from mp3_slicer.media.library import Library
from mp3_slicer.media.names import FEW, NamesPendingError, StoredNames
from mp3_slicer.settings import Settings
from mp3_slicer.web.app import Slicer, create_app
from support.server import until

MANY = 100_000
#: Links of one file; file systems have a limit.
LINKS = 20_000
#: Bytes of memory that a page of one name may take, and a build whose runs have `SMALL_RUN` names. All names take 6 MB.
PAGE_BYTES, BUILD_BYTES, SMALL_RUN = 1_000_000, 3_000_000, 2_000


def fill(place: Path, wanted: list[str]) -> None:
    """Make empty files, as links of a few."""
    place.mkdir(exist_ok=True)
    for number, name in enumerate(wanted):
        if number % LINKS == 0:
            first = place / name
            first.touch()
        else:
            os.link(first, place / name)


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Names in no order, among them some that folders have."""
    draw = random.Random(1)
    made = [f"{number:x}{'.' * (number % 3)}.mp3" for number in range(MANY)]
    draw.shuffle(made)
    return made


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> Path:
    """A media folder with very many files, and with folders between them. Tests change nothing of it."""
    place = tmp_path_factory.mktemp("crowd")
    fill(place, names)
    for name in ("7f", "7f.mp3x", "zz"):
        fill(place / name, ["one.mp3", "two.mp3"])
    (place / "zz.txt").touch()
    os.mkfifo(place / "7f-pipe.mp3")
    return place


def app_of(media: Path, place: Path) -> Slicer:
    environ = {"SLICER_MEDIA": str(media)}
    environ |= {f"SLICER_{name}_DIR": str(place / name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")}
    return create_app(Settings.from_environ(environ))


def ask(app: Slicer, query: str) -> TestResponse:
    """The answer, however often one has to ask for it."""
    answers: list[TestResponse] = []

    def answered() -> bool:
        answers.append(Client(app).get(f"/library?{query}"))
        if answers[-1].status_code == 503:
            assert answers[-1].headers["Retry-After"] == "2"
            assert answers[-1].get_json()["type"] == "urn:slicer:problem:try-again"
        return answers[-1].status_code != 503

    until(answered, 60, "the names are sorted")
    assert answers[-1].status_code == 200
    return answers[-1]


def paths(answer: TestResponse) -> list[str]:
    return [source["path"] for source in json.loads(answer.data)["sources"]]


def test_pages_of_very_many_names(
    crowd: Path, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(crowd, tmp_path)
    ask(app, "limit=1")
    wanted = sorted([*names, *(f"{name}/{file}.mp3" for name in ("7f", "7f.mp3x", "zz") for file in ("one", "two"))])
    read: list[bytes] = []
    real_scandir, real_pread = os.scandir, os.pread
    sizes: list[int] = []
    monkeypatch.setattr(os, "scandir", lambda path: read.append(path) or real_scandir(path))
    monkeypatch.setattr(os, "pread", lambda fd, size, at: sizes.append(size) or real_pread(fd, size, at))
    tracemalloc.start()
    try:
        for start in (0, MANY // 2, MANY - 10):
            after = quote(wanted[start - 1]) if start else ""
            assert paths(ask(app, f"limit=1&after={after}")) == wanted[start : start + 1]
        assert tracemalloc.get_traced_memory()[1] < PAGE_BYTES
    finally:
        tracemalloc.stop()
    assert os.fsencode(crowd) + b"/" not in read
    assert sum(sizes) < 3 * 40 * 4096
    page = ask(app, f"limit=1000&after={quote(wanted[-1100])}")
    assert paths(page) == wanted[-1099:-99]
    assert paths(ask(app, json.loads(page.data)["next"].partition("?")[2])) == wanted[-99:]
    # What a library finds is what the names in the folder say, all of it.
    stored = StoredNames(os.fsencode(crowd), str(tmp_path / "index" / "names"))
    assert [os.fsdecode(name) for name in stored.of(b"", b"") if not name.endswith(b"/")] == sorted(names)
    assert paths(ask(app, "prefix=7f&limit=1000")) == [path for path in wanted if path.startswith("7f")][:1000]
    assert paths(ask(app, "prefix=7f/")) == ["7f/one.mp3", "7f/two.mp3"]
    assert paths(ask(app, "prefix=zzz")) == []


def test_sorting_takes_the_same_memory_for_any_number(
    crowd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names_module, "_RUN", SMALL_RUN)
    stored = StoredNames(os.fsencode(crowd), str(tmp_path / "names"))
    tracemalloc.start()
    try:
        stored._sort(os.fsencode(crowd) + b"/")
        assert tracemalloc.get_traced_memory()[1] < BUILD_BYTES
    finally:
        tracemalloc.stop()
    assert sum(1 for _ in stored.of(b"", b"")) == MANY + 3


def test_others_do_not_wait_while_one_sorts(crowd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, and in another one, which holds the lock."""
    end, begun = threading.Event(), threading.Event()
    real = names_module._runs

    def runs(*given: object) -> object:
        begun.set()
        end.wait(60)
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(names_module, "_runs", runs)
    stored = StoredNames(os.fsencode(crowd), str(tmp_path / "names"), wait_seconds=0)
    other = StoredNames(os.fsencode(crowd), str(tmp_path / "names"), wait_seconds=60)
    with pytest.raises(NamesPendingError):
        stored.of(b"", b"")
    assert begun.wait(10)
    begun.clear()
    before = threading.active_count()
    for _ in range(20):
        with pytest.raises(NamesPendingError):
            stored.of(b"", b"")
    assert threading.active_count() == before
    with pytest.raises(NamesPendingError):
        other.of(b"", b"")
    assert not begun.is_set()
    end.set()
    until(lambda: not stored._building.locked(), 60, "it is sorted")
    assert next(other.of(b"", b"")) == b"0.mp3"


def test_what_cannot_be_stored_is_not_tried_again_and_again(
    crowd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bytes] = []

    def fail(_: StoredNames, path: bytes) -> None:
        tried.append(path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoredNames, "_sort", fail)
    stored = StoredNames(os.fsencode(crowd), str(tmp_path / "names"), wait_seconds=60)
    for _ in range(5):
        with pytest.raises(NamesPendingError):
            stored.of(b"", b"")
    assert len(tried) == 1


# ------------------------------------------------------------------------------------------------------------- changes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A media folder that is just large."""
    media = tmp_path / "media"
    fill(media, [f"{number:05d}.mp3" for number in range(FEW + 1)])
    return media


def listed(library: Library, after: bytes = b"") -> list[bytes]:
    found: list[bytes] = []

    def looked() -> bool:
        found.clear()
        try:
            found.extend(entry.path for entry in islice(library.list(after=after), 3))
        except NamesPendingError:
            return False
        return True

    until(looked, 60, "the names are sorted")
    return list(found)


def test_a_folder_of_nothing_that_is_listed(tmp_path: Path) -> None:
    media = tmp_path / "media"
    fill(media, [f"{number}.txt" for number in range(FEW + 1)])
    assert listed(Library(str(media), str(tmp_path / "names"))) == []


def test_a_change_is_seen_and_what_is_gone_is_not_listed(place: Path, tmp_path: Path) -> None:
    library = Library(str(place), str(tmp_path / "names"))
    assert listed(library) == [b"00000.mp3", b"00001.mp3", b"00002.mp3"]
    (place / "00001.mp3").unlink()
    (place / "000.mp3").touch()
    assert b"00001.mp3" not in listed(library)
    until(lambda: listed(library) == [b"000.mp3", b"00000.mp3", b"00002.mp3"], 60, "the new one is listed")


def test_a_folder_that_always_changes_is_read_seldom(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names_module, "_PAUSE", 1e9)
    library = Library(str(place), str(tmp_path / "names"))
    listed(library)
    (inode,) = {entry.inode() for entry in os.scandir(tmp_path / "names") if entry.name != "lock"}
    for number in range(5):
        (place / f"new-{number}.mp3").touch()
        assert listed(library) == [b"00000.mp3", b"00001.mp3", b"00002.mp3"]
    assert {entry.inode() for entry in os.scandir(tmp_path / "names") if entry.name != "lock"} == {inode}


def test_a_change_within_the_same_tick_is_seen(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has the time that it had when it was sorted, and another name."""
    monkeypatch.setattr(names_module, "_PAUSE", 0)
    library = Library(str(place), str(tmp_path / "names"))
    now = time.time_ns()
    os.utime(place, ns=(now, now))
    listed(library)
    (place / "000.mp3").touch()
    os.utime(place, ns=(now, now))
    assert listed(library)[0] == b"000.mp3"


def test_an_unchanged_folder_is_read_once(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_PAUSE", 0)
    library = Library(str(place), str(tmp_path / "names"))
    os.utime(place, (1, 1))
    listed(library)
    read: list[object] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(path) or real(path))
    listed(library)
    assert not read


def test_a_folder_that_became_a_link_is_left_out(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is stored as that of a folder; the link leads out of the media."""
    monkeypatch.setattr(names_module, "_PAUSE", 1e9)
    fill(place / "000", ["a.mp3"])
    fill(tmp_path / "outside", ["secret.mp3"])
    library = Library(str(place), str(tmp_path / "names"))
    assert listed(library)[0] == b"000/a.mp3"
    (place / "000" / "a.mp3").unlink()
    (place / "000").rmdir()
    (place / "000").symlink_to(tmp_path / "outside")
    assert listed(library)[0] == b"00000.mp3"


@pytest.mark.parametrize("damage", [b"", b"x" * 8192, None])
def test_a_damaged_file_of_names_is_made_again(place: Path, tmp_path: Path, damage: bytes | None) -> None:
    library = Library(str(place), str(tmp_path / "names"))
    listed(library)
    (kept,) = (path for path in (tmp_path / "names").iterdir() if path.name != "lock")
    kept.write_bytes(kept.read_bytes()[:5000] if damage is None else damage)
    assert listed(library)[0] == b"00000.mp3"


def test_stored_names_are_those_of_the_folder(tmp_path: Path) -> None:
    """Of any tree, from any place in it, with any prefix, also where a folder's name goes on as a file's does."""
    draw = random.Random(4)
    media = tmp_path / "media"
    for _ in range(150):
        parts = ["".join(draw.choice("ab.-0é") for _ in range(draw.randint(1, 3))) for _ in range(draw.randint(1, 3))]
        folder = media.joinpath(*parts[:-1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{parts[-1]}.mp3").touch()
    plain, stored = Library(str(media)), Library(str(media))
    stored._names = StoredNames(os.fsencode(media), str(tmp_path / "names"), few=0, wait_seconds=60)
    every = [entry.path for entry in plain.list()]
    assert len(every) > 90
    assert every == sorted(every)
    for _ in range(200):
        after, prefix = (draw.choice([b"", *every])[: draw.randint(0, 9)] for _ in range(2))
        wanted = [path for path in every if path > after and path.startswith(prefix)]
        assert [entry.path for entry in plain.list(prefix, after)] == wanted
        assert [entry.path for entry in stored.list(prefix, after)] == wanted
