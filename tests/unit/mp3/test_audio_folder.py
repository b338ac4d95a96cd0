"""The files of a folder of one's own (SLICER_TEST_AUDIO): each is cut exactly, or refused in a sentence."""

import random
import shutil
from pathlib import Path

from conftest import audio_files
from fuzz import cuts
from mp3_slicer.mp3 import Mp3Error
from support.cutting import index_of

SPANS = 12


def test_every_file_is_cut_exactly_or_refused(tmp_path: Path) -> None:
    for number, path in enumerate(audio_files()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert not check(path, folder), path
        shutil.rmtree(folder)


def check(path: str, folder: Path) -> list[str]:
    """What is wrong with clips of a file, in ffmpeg and mpg123, where these agree about it."""
    try:
        index = index_of(path)
    except Mp3Error as error:
        refused = str(error)
        assert refused
        return []
    segment = index.segments[0]
    shortest = segment.header.sample_rate // 10 + 1
    if segment.samples < 2 * shortest:
        return []
    draw = random.Random(Path(path).name)
    spans = [(0, shortest), (600, 600 + shortest), (segment.samples - shortest, segment.samples), (0, segment.samples)]
    for _ in range(SPANS):
        first = draw.randint(0, segment.samples - shortest)
        spans.append((first, draw.randint(first + shortest, segment.samples)))
    copy = folder / "source.mp3"
    copy.symlink_to(path)
    return cuts.check(copy, [span for span in spans if span[1] <= segment.samples])
