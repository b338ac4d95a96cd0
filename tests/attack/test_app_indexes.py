"""Indexes larger than the memory for them: read in parts, once for many clips, and cut as others are."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mp3_slicer.media import indexfile
from mp3_slicer.media.indexfile import StoredAnchors
from mp3_slicer.media.library import Library
from mp3_slicer.media.protected import UNSIGNED, Protected
from mp3_slicer.media.shelf import Shelf
from mp3_slicer.media.source import open_file
from mp3_slicer.media.store import IndexStore
from mp3_slicer.mp3 import SECOND, build_whole_index, cut


@pytest.mark.parametrize("kind", ["mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg25-8-mono-vbr5"])
def test_an_index_in_parts_is_the_index(stream: Callable[[str], str], tmp_path: Path, kind: str) -> None:
    small, large = (IndexStore(str(tmp_path / "index"), seconds=20, whole_bytes=size) for size in (0, 1 << 30))
    small.prepare()
    with open_file(stream(kind)) as source:
        whole = build_whole_index(source)
        # As it is built, and as it is found.
        for index in (small.get(source), small.get(source)):
            assert all(isinstance(run.anchors, StoredAnchors) for part in index.segments for run in part.runs)
            assert index == whole
            assert indexfile.dump(source.identity, index) == indexfile.dump(source.identity, whole)
            for start, end in ((0, 20), (3, 4), (18, None)):
                spans = [each.locate(start * SECOND, end and end * SECOND) for each in (index, whole)]
                clips = [cut(source, span).read(source) for span in spans]
                assert clips[0] == clips[1]
            assert index.nbytes < 3000
        assert not isinstance(large.get(source).segments[0].runs[0].anchors, StoredAnchors)


def test_it_is_read_once_for_many_clips(cbr: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less memory than its anchors would take."""
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(cbr, media / "show.mp3")
    with open_file(cbr) as source:
        memory = build_whole_index(source).nbytes - 1
    store = IndexStore(str(tmp_path / "index"), seconds=20, whole_bytes=memory // 4)
    store.prepare()
    loads: list[int] = []
    real = indexfile.load
    monkeypatch.setattr(indexfile, "load", lambda *given: loads.append(1) or real(*given))
    shelf = Shelf(Library(str(media)), store, Protected(str(media)), memory_bytes=memory, largest=1 << 30)
    for _ in range(50):
        shelf.take(b"show.mp3", UNSIGNED).check_current()
    assert len(loads) == 1
    # Deleting what is in the folder is safe at any time.
    for name in os.listdir(tmp_path / "index"):
        if name != "locks":
            os.unlink(tmp_path / "index" / name)
    opened = shelf.take(b"show.mp3", UNSIGNED)
    assert cut(opened.source, opened.index.locate(SECOND, 2 * SECOND)).read(opened.source)
