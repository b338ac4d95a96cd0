"""The index store: one build however many ask, nothing half-written, whatever is doubtful made anew."""

import os
import shutil
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from mp3_slicer.media import indexfile, store
from mp3_slicer.media.source import open_file
from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import Index, NotMp3Error, build_whole_index


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "index")


def new_store(folder: str, seconds: float = 20) -> IndexStore:
    made = IndexStore(folder, seconds=seconds)
    made.prepare()
    return made


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the builds, and makes each slow enough that others come while it runs."""
    calls: list[int] = []
    real = store.build_index

    def counted(fd: int, **options: object) -> Index:
        calls.append(fd)
        time.sleep(0.1)
        return real(fd, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "build_index", counted)
    return calls


def test_many_threads_build_once(cbr: str, folder: str, builds: list[int]) -> None:
    made = new_store(folder)
    start = threading.Barrier(16)

    def ask() -> Index:
        with open_file(cbr) as source:
            start.wait()
            return made.get(source)

    with ThreadPoolExecutor(16) as pool:
        answers = [future.result() for future in [pool.submit(ask) for _ in range(16)]]
    assert len(builds) == 1
    with open_file(cbr) as source:
        assert all(answer == build_whole_index(source) for answer in answers)


def ask_alone(folder: str, path: str) -> tuple[int, bool]:
    calls = 0
    real = store.build_index

    def counted(fd: int, **options: object) -> Index:
        nonlocal calls
        calls += 1
        time.sleep(0.3)
        return real(fd, **options)  # type: ignore[arg-type]

    store.build_index = counted
    with open_file(path) as source:
        equal = new_store(folder).get(source) == build_whole_index(source)
    return calls, equal


def test_many_processes_build_once(cbr: str, folder: str) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        found = [future.result() for future in [pool.submit(ask_alone, folder, cbr) for _ in range(8)]]
    assert sum(calls for calls, _ in found) == 1
    assert all(equal for _, equal in found)


def test_kept_on_disk_for_the_next_process(cbr: str, folder: str, builds: list[int]) -> None:
    with open_file(cbr) as source:
        first = new_store(folder)
        assert not first.is_indexed(source)
        index = first.get(source)
        assert first.is_indexed(source)
        assert new_store(folder).get(source) == index
    assert len(builds) == 1
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "version", "shape"])
def test_a_damaged_file_is_made_anew(cbr: str, folder: str, builds: list[int], damage: str) -> None:
    with open_file(cbr) as source:
        index = new_store(folder).get(source)
        (path,) = (Path(folder, name) for name in os.listdir(folder) if name != "locks")
        data = bytearray(path.read_bytes())
        if damage == "cut":
            data = data[:-100]
        elif damage == "flip":
            data[len(data) // 2] ^= 1
        elif damage == "empty":
            data = bytearray()
        elif damage == "text":
            data = bytearray(b"not an index")
        elif damage == "shape":
            # Whole and wrong: what another version of the form would look like.
            data = bytearray(b"slicer index 1\n2\n{}")
            data += zlib.crc32(data).to_bytes(4, "big")
        else:
            data[: len(b"slicer index 1")] = b"slicer index 0"
        path.write_bytes(data)
        assert new_store(folder).get(source) == index
    assert len(builds) == 2
    assert indexfile.load(path.read_bytes()) is not None


def test_every_index_reads_back_as_written(stream: Callable[[str], str]) -> None:
    for kind in ("mpeg1-44-joint-vbr2", "mpeg25-8-mono-vbr5", "mpeg1-44-untagged-cbr128"):
        with open_file(stream(kind)) as source:
            index = build_whole_index(source)
            assert indexfile.load(indexfile.dump(source.identity, index)) == (source.identity, index)


def test_another_file_under_the_name_is_indexed_anew(cbr: str, folder: str, tmp_path: Path, builds: list[int]) -> None:
    data = Path(cbr).read_bytes()
    path = tmp_path / "show.mp3"
    made = new_store(folder)
    path.write_bytes(data)
    with open_file(str(path)) as source:
        whole = made.get(source)
    (tmp_path / "new").write_bytes(data[: len(data) // 2])
    os.replace(tmp_path / "new", path)
    with open_file(str(path)) as source:
        assert made.get(source).seconds < whole.seconds
    assert len(builds) == 2


def test_a_file_that_grew_goes_on_from_the_old_index(
    cbr: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(cbr).read_bytes()
    path = tmp_path / "live.mp3"
    path.write_bytes(data[:200_000])
    made = new_store(folder)
    with open_file(str(path)) as source:
        made.get(source)
    with path.open("ab") as file:
        file.write(data[200_000:])
    given: list[Index | None] = []
    real = store.build_index

    def watched(fd: int, *, previous: Index | None, deadline: float, told: object) -> Index:
        given.append(previous)
        return real(fd, previous=previous, deadline=deadline)

    monkeypatch.setattr(store, "build_index", watched)
    with open_file(str(path)) as source:
        grown = made.get(source)
        assert grown == build_whole_index(source)
    assert given[0] is not None
    assert given[0].size == 200_000


def test_a_file_rewritten_in_place_is_indexed_anew(
    cbr: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same size, same first and last frames, other bytes between: only the time of change tells."""
    data = bytearray(Path(cbr).read_bytes())
    path = tmp_path / "show.mp3"
    path.write_bytes(data)
    made = new_store(folder)
    with open_file(str(path)) as source:
        before = made.get(source)
    data[100_000:101_000] = bytes(1000)
    path.write_bytes(data)
    os.utime(path, (1, 1))
    with open_file(str(path)) as source:
        after = made.get(source)
        assert after == build_whole_index(source)
    assert after.gaps
    assert not before.gaps


def test_out_of_time_is_pending_and_goes_on(cbr: str, folder: str, tmp_path: Path) -> None:
    path = tmp_path / "long.mp3"
    path.write_bytes(Path(cbr).read_bytes() * 6)
    made = new_store(folder, seconds=-1)
    with open_file(str(path)) as source:
        with pytest.raises(IndexPendingError):
            made.get(source)
        assert not made.is_indexed(source)
        assert new_store(folder).get(source) == build_whole_index(source)


def test_errors_are_remembered_and_raised_anew(folder: str, tmp_path: Path, builds: list[int]) -> None:
    path = tmp_path / "text.mp3"
    path.write_text("no audio " * 1000)
    made = new_store(folder)
    with open_file(str(path)) as source:
        raised = []
        for _ in range(3):
            with pytest.raises(NotMp3Error) as caught:
                made.get(source)
            raised.append(caught.value)
    assert len(builds) == 1
    assert len({id(error) for error in raised}) == 3


def test_without_a_place_to_write_it_still_answers(cbr: str, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    made = new_store(str(folder))
    for name in os.listdir(folder):
        os.rmdir(folder / name)
    os.rmdir(folder)
    folder.write_text("a file where the folder was")
    with open_file(cbr) as source:
        assert made.get(source) == build_whole_index(source)


def test_a_folder_taken_away_comes_back(cbr: str, folder: str) -> None:
    made = new_store(folder)
    shutil.rmtree(folder)
    with open_file(cbr) as source:
        made.get(source)
        assert made.is_indexed(source)
    assert made.is_writable()


def test_what_a_killed_process_left_is_swept(folder: str) -> None:
    new_store(folder)
    left = Path(folder, "abc.tmp")
    left.write_bytes(b"half")
    new_store(folder)
    assert left.exists()  # somebody may be writing it
    os.utime(left, (0, 0))
    new_store(folder)
    assert not left.exists()


def test_indexes_of_files_that_are_gone_are_pruned(cbr: str, folder: str, tmp_path: Path) -> None:
    made = new_store(folder)
    (tmp_path / "media").mkdir()
    path = tmp_path / "media" / "gone.mp3"
    path.write_bytes(Path(cbr).read_bytes())
    for each in (cbr, str(path)):
        with open_file(each) as source:
            made.get(source)
    path.unlink()
    assert made.prune(str(tmp_path / "elsewhere")) == 0
    assert made.prune(str(tmp_path / "media")) == 1
    assert made.prune(str(tmp_path / "media")) == 0
    with open_file(cbr) as source:
        assert made.is_indexed(source)
