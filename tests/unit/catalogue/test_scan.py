"""One file that a parser does not expect costs that file alone: it is named, and the others are read."""

import importlib
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mp3_slicer.catalogue import Catalogue, Query
from mp3_slicer.catalogue import documents as documents_module
from mp3_slicer.catalogue.build import Outcome, update
from mp3_slicer.catalogue.documents import Document, Seen, Unread
from mp3_slicer.catalogue.scan import Listed, Scan, read_batch
from mp3_slicer.errors import reason_of
from mp3_slicer.media.indexing import index_batch
from mp3_slicer.media.library import Library
from mp3_slicer.media.protected import Protected
from mp3_slicer.media.store import IndexStore

VTT = "WEBVTT\n\n00:01.000 --> 00:03.000\nGood morning, harbour.\n"
#: The year 2400, which file systems have and a signed number of 64 bits, as nanoseconds, has not.
LATE = 13_569_465_600


class Folder:
    """A media folder, and its catalogue."""

    def __init__(self, place: Path, show: str) -> None:
        self.media, self.index = place / "media", place / "index"
        self.media.mkdir()
        self._show = show
        IndexStore(str(self.index), seconds=60).prepare()
        self.unread: list[Unread] = []

    def put(self, name: str, text: str | None = None) -> None:
        if text is None:
            shutil.copy(self._show, self.media / name)
        else:
            (self.media / name).write_text(text, encoding="utf-8")

    def update(self) -> Outcome:
        media = str(self.media)
        scan = Scan(partial(Library, media), partial(Protected, media), str(self.index), "windows-1252")
        listed = Listed(Library(media))
        assert list(listed.sources())

        def read(changed: list[Seen]) -> list[Document]:
            batch = read_batch(scan, changed)
            self.unread = batch.unread
            return batch.documents

        return update(str(self.index), media, listed.seen(), read)

    def search(self, text: str) -> list[str]:
        page = Catalogue(str(self.index), str(self.media)).search(Query.parse(text))
        return sorted(each.file.path.decode() for each in page.results)


@pytest.fixture
def folder(tmp_path: Path, cbr: str) -> Folder:
    folder = Folder(tmp_path, cbr)
    for name in ("first", "odd", "third"):
        folder.put(f"{name}.mp3")
        folder.put(f"{name}.vtt", VTT)
    return folder


def broken(real: Callable[..., object], unexpected: bytes) -> Callable[..., object]:
    """A parser with a defect, which shows where a file holds some bytes."""

    def parse(*given: object) -> object:
        if any(isinstance(each, bytes) and unexpected in each for each in given):
            raise KeyError("what the file holds")
        return real(*given)

    return parse


def test_a_sidecar_that_its_parser_does_not_expect(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package has a function of the module's name.
    module = importlib.import_module("mp3_slicer.transcripts.choose")
    monkeypatch.setattr(module, "read", broken(module.read, b"boom"))
    folder.put("odd.vtt", VTT + "boom")
    folder.put("odd.srt", VTT.replace("harbour", "lighthouse"))
    assert folder.update() == (3, 3, 0)
    (only,) = folder.unread
    assert (only.path, only.is_source) == (b"odd.vtt", False)
    assert "defect" in only.detail
    assert "KeyError in test_scan.py, line " in only.detail
    assert "holds" not in only.detail
    assert folder.search("harbour") == ["first.mp3", "third.mp3"]
    # The next sidecar is read instead.
    assert folder.search("lighthouse") == ["odd.mp3"]
    assert folder.update() == (3, 0, 0)


def test_tags_that_their_parser_does_not_expect(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = documents_module.read_tags
    monkeypatch.setattr(
        documents_module, "read_tags", lambda read, size: [][1] if read(4, 0) == b"odd!" else real(read, size)
    )
    (folder.media / "odd.mp3").write_bytes(b"odd!" + (folder.media / "odd.mp3").read_bytes())
    assert folder.update() == (3, 3, 0)
    assert [(each.path, each.is_source) for each in folder.unread] == [(b"odd.mp3", False)]
    assert folder.search("harbour") == ["first.mp3", "odd.mp3", "third.mp3"]


def test_a_source_that_cannot_be_read_is_named_and_read_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = documents_module.split
    texts = {"boom"}

    def split(cues: tuple[object, ...]) -> object:
        assert not any(text in str(cues) for text in texts)
        return real(cues)  # type: ignore[arg-type]

    monkeypatch.setattr(documents_module, "split", split)
    folder.put("odd.vtt", VTT + "boom")
    assert folder.update() == (2, 2, 0)
    assert [(each.path, each.is_source) for each in folder.unread] == [(b"odd.mp3", True)]
    texts.clear()
    assert folder.update() == (3, 1, 0)
    assert folder.unread == []


def test_an_index_that_its_parser_does_not_expect(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = IndexStore.get

    def get(store: IndexStore, source: object) -> object:
        assert not source.identity.path.endswith(b"odd.mp3")  # type: ignore[attr-defined]
        return real(store, source)  # type: ignore[arg-type]

    monkeypatch.setattr(IndexStore, "get", get)
    paths = [b"first.mp3", b"odd.mp3", b"third.mp3"]
    found = index_batch(
        lambda: Library(str(folder.media)), lambda: IndexStore(str(folder.index), seconds=60), 1 << 30, paths
    )
    assert [each.path for each in found if each.complaint] == [b"odd.mp3"]
    assert "AssertionError" in found[1].complaint
    # Its words are found all the same.
    assert folder.update() == (3, 3, 0)
    assert folder.search("harbour") == ["first.mp3", "odd.mp3", "third.mp3"]


def test_a_time_beyond_what_the_database_can_store(folder: Folder) -> None:
    for name in ("odd.mp3", "first.vtt"):
        os.utime(folder.media / name, (LATE, LATE))
    assert folder.update() == (3, 3, 0)
    assert folder.unread == []
    assert folder.search("harbour") == ["first.mp3", "odd.mp3", "third.mp3"]
    assert folder.update() == (3, 0, 0)
    known = Catalogue(str(folder.index), str(folder.media)).known([b"odd.mp3"])
    assert known[b"odd.mp3"].mtime_ns == LATE * 10**9


def test_a_sidecar_that_is_none_is_named(folder: Folder) -> None:
    folder.put("odd.vtt", "nothing at all")
    folder.put("third.txt", "notes, and no transcript")
    assert folder.update() == (3, 3, 0)
    assert folder.unread == [Unread(b"odd.vtt", "no line names the times of a cue", False)]


def test_reasons_are_one_sentence_without_what_the_file_holds() -> None:
    assert reason_of(OSError(5, "Input/output error")) == "Input/output error"
    assert reason_of(MemoryError()) == "there is too little memory to read it"
