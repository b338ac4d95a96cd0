"""Sources at hand: the file under a path is the one that answers, descriptors and memory are bounded, nothing stays open for nothing."""

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mp3_slicer.media import shelf as shelf_module
from mp3_slicer.media.library import Library
from mp3_slicer.media.protected import Permit, Protected
from mp3_slicer.media.shelf import Shelf
from mp3_slicer.media.source import SourceMissingError, SourceTooLargeError
from mp3_slicer.media.store import IndexStore
from mp3_slicer.mp3 import NotMp3Error, SourceChangedError
from support.descriptors import descriptors

ANYBODY = Permit(signed=False)


class Room:
    """A media folder with a shelf for it."""

    def __init__(self, folder: Path, data: bytes, memory: int = 1 << 20, largest: int = 1 << 30) -> None:
        self.media = folder / "media"
        self.media.mkdir(exist_ok=True)
        self.data = data
        store = IndexStore(str(folder / "index"), seconds=20)
        store.prepare()
        self.shelf = Shelf(
            Library(str(self.media)), store, Protected(str(self.media)), memory_bytes=memory, largest=largest
        )

    def write(self, name: str, data: bytes | None = None) -> Path:
        path = self.media / name
        path.write_bytes(self.data if data is None else data)
        return path

    def descriptors(self) -> int:
        """How many files of the media folder this process has open."""
        gc.collect()
        return sum(f" {self.media}" in each for each in descriptors())


@pytest.fixture
def room(tmp_path: Path, cbr: str) -> Room:
    return Room(tmp_path, Path(cbr).read_bytes())


def test_a_source_stays_open_for_the_next_request(room: Room) -> None:
    room.write("a.mp3")
    first = room.shelf.take(b"a.mp3", ANYBODY)
    assert room.shelf.take(b"a.mp3", ANYBODY) is first
    first.check_current()
    assert room.descriptors() == 1


def test_a_replaced_source_is_noticed_and_dropped(room: Room) -> None:
    path = room.write("a.mp3")
    old = room.shelf.take(b"a.mp3", ANYBODY)
    os.replace(room.write("b.mp3", room.data[:100_000]), path)
    with pytest.raises(SourceChangedError):
        old.check_current()
    old.check_unchanged()  # the open file is still the old one, whole
    room.shelf.drop(b"a.mp3", old)
    new = room.shelf.take(b"a.mp3", ANYBODY)
    assert new.index.size == 100_000
    room.shelf.drop(b"a.mp3", old)  # too late: another one is there
    assert room.shelf.take(b"a.mp3", ANYBODY) is new
    del old
    assert room.descriptors() == 1


@pytest.mark.parametrize("change", ["gone", "shorter", "rewritten", "longer and rewritten"])
def test_every_change_but_growth_is_noticed(room: Room, change: str) -> None:
    path = room.write("a.mp3")
    opened = room.shelf.take(b"a.mp3", ANYBODY)
    if change == "gone":
        path.unlink()
    elif change == "shorter":
        os.truncate(path, 50_000)
    elif change == "rewritten":
        with path.open("r+b") as file:
            file.write(b"other")
        os.utime(path, (5, 5))
    else:
        path.write_bytes(b"other" * len(room.data))
    with pytest.raises(SourceChangedError):
        opened.check_current()
    if change != "gone":
        with pytest.raises(SourceChangedError):
            opened.check_unchanged()


def test_growth_does_not_disturb_who_reads(room: Room) -> None:
    path = room.write("a.mp3")
    opened = room.shelf.take(b"a.mp3", ANYBODY)
    with path.open("ab") as file:
        file.write(room.data)
    opened.check_unchanged()
    with pytest.raises(SourceChangedError):
        opened.check_current()  # for the next request there is more to cut


def test_refusals(room: Room, tmp_path: Path) -> None:
    room.write("text.mp3", b"text " * 1000)
    with pytest.raises(NotMp3Error):
        room.shelf.take(b"text.mp3", ANYBODY)
    with pytest.raises(SourceMissingError):
        room.shelf.take(b"nope.mp3", ANYBODY)
    small = Room(tmp_path, room.data, largest=1000)
    small.write("a.mp3")
    with pytest.raises(SourceTooLargeError, match="1000"):
        small.shelf.take(b"a.mp3", ANYBODY)
    assert room.descriptors() == 0


def test_memory_and_descriptors_are_bounded(tmp_path: Path, cbr: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(cbr).read_bytes()
    wide = Room(tmp_path, data)
    wide.write("x.mp3")
    size = wide.shelf.take(b"x.mp3", ANYBODY).index.nbytes
    del wide
    room = Room(tmp_path, data, memory=3 * size + size // 2)
    for number in range(8):
        room.write(f"{number}.mp3")
        room.shelf.take(b"%d.mp3" % number, ANYBODY)
        assert room.descriptors() == min(number + 1, 3)
    del room
    monkeypatch.setattr(shelf_module, "MAX_OPEN", 2)
    room = Room(tmp_path, data, memory=8 * size)
    for number in range(8):
        room.shelf.take(b"%d.mp3" % number, ANYBODY)
        assert room.descriptors() == min(number + 1, 2)
    tiny = Room(tmp_path, data, memory=10)
    tiny.shelf.take(b"1.mp3", ANYBODY).check_current()
    del room
    assert tiny.descriptors() == 0


def test_what_nobody_asks_for_is_closed(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.mp3", "b.mp3"):
        room.write(name)
    room.shelf.take(b"a.mp3", ANYBODY)
    monkeypatch.setattr(shelf_module, "IDLE_SECONDS", -1)
    room.shelf.take(b"b.mp3", ANYBODY)
    assert room.descriptors() == 0


def test_threads_take_and_drop_without_losing_a_descriptor(room: Room) -> None:
    for number in range(6):
        room.write(f"{number}.mp3")
    start = threading.Barrier(16)

    def work(seed: int) -> None:
        start.wait()
        for turn in range(60):
            path = b"%d.mp3" % ((seed * 7 + turn) % 6)
            opened = room.shelf.take(path, ANYBODY)
            assert os.pread(opened.source.fd, 10, 0) == room.data[:10]
            if turn % 5 == seed % 5:
                room.shelf.drop(path, opened)

    with ThreadPoolExecutor(16) as pool:
        for future in [pool.submit(work, seed) for seed in range(16)]:
            future.result()
    assert room.descriptors() <= 6
