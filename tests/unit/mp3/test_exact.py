"""The promise: what a decoder makes of a clip is what it makes of the source over the span, sample for sample."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mp3_slicer.mp3 import SECOND
from support import streams
from support.cutting import cut_bytes, cut_file, decoded, index_of, samples, span_of

CLIPS = 12
#: mpg123 keeps its filterbank in a ring of 16 slots. Where the clip enters it at another place than the source did, sums are taken
#: in another order, and a sample may differ in the last bits of its float: more on some processors than on others.
LAST_BITS = 1.5e-7


@pytest.mark.parametrize("kind", streams.STREAMS)
def test_random_spans_are_exact(kind: str, stream: Callable[[str], str], tmp_path: Path) -> None:
    path = stream(kind)
    index = index_of(path)
    segment = index.segments[0]
    whole = {decoder: decoded(path, decoder) for decoder in ("ffmpeg", "mpg123")}
    channels, per_frame = segment.header.channels, segment.header.samples
    assert len(whole["ffmpeg"]) == len(whole["mpg123"]) == segment.samples * channels
    seconds = float(index.seconds)
    draw = random.Random(kind)
    spans = [(0.0, 0.1), (0.0, None), (seconds - 0.1, None), (0.013, 1.0)]
    spans += [
        (start, start + draw.choice((0.1, 0.15, 0.4, 2.7)))
        for start in (draw.uniform(0, seconds - 3) for _ in range(CLIPS))
    ]
    clip_path = tmp_path / "clip.mp3"
    ring = 4 if per_frame == 1152 else 8
    same_place = 0
    for start, end in spans:
        span = span_of(index, start, end)
        clip, data = cut_bytes(path, span)
        clip_path.write_bytes(data)
        assert decoded(clip_path, "ffmpeg") == samples(whole["ffmpeg"], span), (start, end)
        heard = decoded(clip_path, "mpg123")
        wanted = samples(whole["mpg123"], span)
        # Frames before the span's first one, in the source and in the clip: the trimmed samples tell.
        delay = index_of(str(clip_path)).segments[0].skip
        if ((segment.skip + span.first) // per_frame - delay // per_frame) % ring == 0:
            same_place += 1
            assert heard == wanted, (start, end)
        else:
            assert len(heard) == len(wanted)
            assert max(abs(a - b) for a, b in zip(heard, wanted, strict=True)) <= LAST_BITS, (start, end)
        assert clip.samples == span.last - span.first
    assert same_place


@pytest.mark.parametrize("kind", ["mpeg1-44-joint-vbr2", "mpeg2-22-joint-cbr64", "mpeg1-44-mono-cbr32"])
def test_clip_of_a_clip_is_exact(kind: str, stream: Callable[[str], str], tmp_path: Path) -> None:
    path = stream(kind)
    whole = decoded(path, "ffmpeg")
    outer = cut_file(path, 3.21, 9.87, tmp_path / "outer.mp3")
    inner = cut_file(str(tmp_path / "outer.mp3"), 1.003, 4.5, tmp_path / "inner.mp3")
    channels = outer.segment.header.channels
    first = (outer.first + inner.first) * channels
    assert decoded(tmp_path / "inner.mp3", "ffmpeg") == whole[first : first + (inner.last - inner.first) * channels]


def test_neighbouring_clips_join_without_a_seam(cbr: str, tmp_path: Path) -> None:
    whole = decoded(cbr, "ffmpeg")
    joined = whole[:0]
    for number in range(7):
        cut_file(cbr, 2 + number * 0.777, 2 + (number + 1) * 0.777, tmp_path / "part.mp3")
        joined += decoded(tmp_path / "part.mp3", "ffmpeg")
    span = span_of(index_of(cbr), 2, 2 + 7 * 0.777)
    assert joined == samples(whole, span)


def test_original_frames_are_untouched(cbr: str) -> None:
    source = Path(cbr).read_bytes()
    clip, data = cut_bytes(cbr, span_of(index_of(cbr), 5, 8))
    assert data[len(clip.head) :] in source


def test_tag_says_what_is_there(stream: Callable[[str], str], tmp_path: Path) -> None:
    for kind in ("mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg25-11-mono-cbr40"):
        path = stream(kind)
        clip, data = cut_bytes(path, span_of(index_of(path), 4.2, 11))
        offset = streams.xing_offset(data)
        assert offset is not None
        assert data[offset : offset + 4] == (b"Xing" if "vbr" in kind else b"Info")
        assert int.from_bytes(data[offset + 8 : offset + 12], "big") == clip.frames == len(streams.frames(data)) - 1
        assert int.from_bytes(data[offset + 12 : offset + 16], "big") == len(data)
        toc = data[offset + 16 : offset + 116]
        places = streams.frames(data)[1:]
        for percent, value in enumerate(toc):
            truth = places[min(len(places) - 1, percent * len(places) // 100)] * 256 / len(data)
            # Two frames and one step of the table off at most.
            assert abs(value - truth) <= 1 + 3 * 1441 * 256 / len(data), (kind, percent)
        assert list(toc) == sorted(toc)
        end = offset + 154
        crc = 0
        for byte in data[:end]:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        assert int.from_bytes(data[end : end + 2], "big") == crc


def test_cost_does_not_grow_with_the_offset(cbr: str) -> None:
    """Planning reads headers around both ends and nothing between."""
    index = index_of(cbr)
    for start, end in ((1, 2), (1, 19), (17, 18)):
        clip, _ = cut_bytes(cbr, index.locate(start * SECOND, end * SECOND))
        assert len(clip.ranges) == 1
        assert len(clip.head) < 2000
