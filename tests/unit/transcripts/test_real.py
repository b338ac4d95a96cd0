"""Transcripts of others: of each file of a folder, something can be read, and it can be written and read again."""

import os
from pathlib import Path

import pytest

from mp3_slicer.transcripts import ENDINGS, read, write

FOLDER = os.environ.get("SLICER_TEST_TRANSCRIPTS")
FILES = sorted(path for path in Path(FOLDER).rglob("*") if path.suffix.encode() in ENDINGS) if FOLDER else []


@pytest.mark.skipif(not FILES, reason="SLICER_TEST_TRANSCRIPTS names no folder of transcripts")
@pytest.mark.parametrize("path", FILES or [Path()], ids=lambda path: path.name)
def test_a_real_transcript_is_read(path: Path) -> None:
    found = read(path.suffix.encode(), path.read_bytes(), "windows-1252")
    assert found.cues, found.flaws
    again = read(b".vtt", write(found.cues, "vtt"), "utf-8")
    assert not again.flaws
    assert [cue[:2] for cue in again.cues] == [cue[:2] for cue in found.cues]
