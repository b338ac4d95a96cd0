"""The files of a folder of one's own (SLICER_TEST_AUDIO): each is cut exactly, or refused in a sentence."""

import random
from pathlib import Path

from conftest import audio_files
from slicer.mp3 import Mp3Error
from support import streams
from support.cutting import cut_bytes, decoded, index_of, samples, span_of


def test_every_file_is_cut_exactly_or_refused(tmp_path: Path) -> None:
    for path in audio_files():
        check(path, tmp_path)


def check(path: str, tmp_path: Path) -> None:
    try:
        index = index_of(path)
    except Mp3Error as error:
        refused = str(error)
        assert refused
        return
    assert index.seconds > 0
    if len(index.segments) > 1 or index.gaps:
        return  # decoders disagree about what the whole is
    seconds = float(index.seconds)
    if seconds < 0.2:
        return
    whole = streams.decode_ffmpeg(path, strict=False)
    draw = random.Random(Path(path).name)
    for _ in range(12):
        start = draw.uniform(0, seconds - 0.11)
        span = span_of(index, start, start + draw.uniform(0.1, max(0.11, (seconds - start))))
        _, data = cut_bytes(path, span)
        clip = tmp_path / "clip.mp3"
        clip.write_bytes(data)
        assert decoded(clip, "ffmpeg") == samples(whole, span), path
