"""Files as they come: tagged, damaged, joined, lying, of other kinds. Each is cut or refused in one clear sentence."""

import itertools
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mp3_slicer.mp3 import (
    FileReader,
    NotMp3Error,
    SourceChangedError,
    SpanCrossesSegmentsError,
    SpanOutsideError,
    SpanTooShortError,
    UnsupportedMp3Error,
    build_index,
    cut,
    walk,
)
from support import streams
from support.cutting import cut_bytes, cut_file, decoded, index_of, opened, samples, span_of

Write = Callable[..., str]

#: Seconds within which every refusal must come. Milliseconds in truth; a loaded machine must not fail the test.
PROMPT = 2.0


@pytest.fixture(scope="session")
def data(cbr: str) -> bytes:
    return Path(cbr).read_bytes()


def test_tags_around_the_audio_change_nothing(data: bytes, cbr: str, write: Write) -> None:
    plain = index_of(cbr)
    for make, names in (
        (lambda d: streams.with_id3v2(d, 300_000), {"ID3v2.4", "ID3v2.3"}),
        (streams.with_id3v1, {"ID3v1"}),
        (streams.with_apev2, {"APEv2"}),
        (streams.with_lyrics3, {"Lyrics3v2", "ID3v1"}),
        (
            lambda d: streams.with_id3v1(streams.with_apev2(streams.with_id3v2(d, 4000))),
            {"ID3v1", "APEv2", "ID3v2.4", "ID3v2.3"},
        ),
    ):
        index = index_of(write(make(data)))
        assert index.seconds == plain.seconds
        assert index.gaps == ()
        assert index.tags
        assert set(index.tags) <= names


def test_a_lying_id3_size_does_not_hide_the_audio(data: bytes, write: Write) -> None:
    for size in (b"\x7f\x7f\x7f\x7f", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff"):
        index = index_of(write(b"ID3\x04\x00\x00" + size + data))
        assert index.seconds == 20


def test_a_lost_end_leaves_the_whole_frames(data: bytes, write: Write) -> None:
    index = index_of(write(streams.truncated(data, 100_001)))
    frames = index.segments[0].frames
    assert index.segments[0].samples == frames * 1152 - index.segments[0].skip  # the padding was in what is lost
    assert index.info is not None
    assert index.info.frames != frames
    assert 0 < index.end - index.walked < 418


@pytest.mark.parametrize("junk", [b"\0" * 3000, b"\xff" * 5000, b"not audio " * 300, random.Random(3).randbytes(9999)])
def test_garbage_between_frames_is_skipped(data: bytes, junk: bytes, cbr: str, write: Write, tmp_path: Path) -> None:
    path = write(streams.garbage_between(data, 100_000, junk))
    index = index_of(path)
    assert len(index.gaps) == 1
    assert index.gaps[0][1] == len(junk)
    plain = index_of(cbr)
    assert index.segments[0].frames == plain.segments[0].frames
    # The garbage is not in a clip across it, which is the clip of the file without garbage, byte for byte behind the seek table.
    span, wanted = span_of(index, 2, 12), span_of(plain, 2, 12)
    clip, got = cut_bytes(path, span)
    assert len(clip.ranges) == 2
    assert got == cut_bytes(cbr, wanted)[1]
    for start in range(5, 8):
        assert (
            cut_bytes(path, span_of(index, start, start + 0.5))[1]
            == cut_bytes(cbr, span_of(plain, start, start + 0.5))[1]
        )
    # Just behind the gap the reservoir is filled from before it.
    border = (index.segments[0].runs[1].first * 1152 - index.segments[0].skip) / 44_100
    for frames in range(4):
        at = border + frames * 1152 / 44_100
        assert cut_bytes(path, span_of(index, at, at + 0.3))[1] == cut_bytes(cbr, span_of(plain, at, at + 0.3))[1]


def test_joined_files_of_one_kind_are_one_stream(data: bytes, write: Write, tmp_path: Path) -> None:
    path = write(streams.concatenated(data, data))
    index = index_of(path)
    assert len(index.segments) == 1
    assert (
        index.segments[0].frames == 2 * index_of(write(data, "one.mp3")).segments[0].frames + 1
    )  # the second tag is a frame now
    cut_file(path, 15, 25, tmp_path / "clip.mp3")
    assert len(decoded(tmp_path / "clip.mp3", "ffmpeg")) == 10 * 44_100 * 2


@pytest.mark.parametrize("number", [100, 600])
def test_a_frame_that_claims_another_rate_is_not_of_the_run(data: bytes, number: int, write: Write) -> None:
    """One frame by itself, met where frames are followed one by one and where they are in strides."""
    frames = streams.frames(data)
    assert len(frames) > number + 100
    # 48 kHz instead of 44.1.
    broken = bytearray(data)
    broken[frames[number] + 2] ^= 0x04
    (segment,) = index_of(write(bytes(broken))).segments
    first, second = segment.runs
    assert first.end == frames[number]
    assert second.anchors[0] == frames[number + 1]
    assert segment.frames == len(frames) - 2  # nor is the one with the tag


@pytest.mark.parametrize("other", ["mpeg2-22-joint-cbr64", "mpeg1-32-mono-cbr64", "mpeg1-48-joint-cbr320"])
def test_a_change_of_rate_or_channels_makes_segments(
    data: bytes, other: str, stream: Callable[[str], str], write: Write, tmp_path: Path
) -> None:
    second = Path(stream(other)).read_bytes()
    path = write(data + second)
    index = index_of(path)
    assert len(index.segments) == 2
    border = float(index.segments[0].seconds)
    with pytest.raises(SpanCrossesSegmentsError, match="change"):
        span_of(index, border - 1, border + 1)
    with pytest.raises(SpanCrossesSegmentsError):
        span_of(index, 1, None)
    assert span_of(index, 1, border).last == index.segments[0].samples
    span = cut_file(path, border + 2, border + 5, tmp_path / "clip.mp3")
    # The second segment alone, its tag frame a frame of silence as decoders of the joined file have it.
    start = streams.frames(second)[0]
    alone = write(second[start:], "alone.mp3")
    xing = streams.xing_offset(second)
    assert xing is not None
    Path(alone).write_bytes(second[start:xing] + b"none" + second[xing + 4 :])
    whole = streams.decode_ffmpeg(alone, strict=False)
    assert decoded(tmp_path / "clip.mp3", "ffmpeg") == samples(whole, span)


def test_a_count_that_lies_is_not_believed(data: bytes, write: Write) -> None:
    truth = index_of(write(data, "truth.mp3")).segments[0]
    for count in (5, 100_000, 0xFFFFFFFF):
        segment = index_of(write(streams.xing_lying(data, frames=count))).segments[0]
        assert segment.frames == truth.frames
        assert segment.skip == truth.skip
        assert segment.samples == truth.frames * 1152 - truth.skip


def test_vbri_is_a_tag_and_no_audio(data: bytes, write: Write) -> None:
    index = index_of(write(streams.with_vbri(data)))
    assert index.info is not None
    assert index.info.name == "VBRI"
    assert index.segments[0].skip == 0


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", NotMp3Error, "empty"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10), NotMp3Error, "tags and no audio"),
        (b"plain text, nothing else\n" * 4000, NotMp3Error, "no MP3"),
        (bytes(100_000), NotMp3Error, "no MP3"),
        (b"\xff" * 3_000_000, NotMp3Error, "no MP3"),
        (b"\xff\xfb" * 1_500_000, NotMp3Error, "no MP3"),
        (b"\xff\xfb\x90\x00" * 700_000, UnsupportedMp3Error, "damaged"),
        (random.Random(1).randbytes(2_000_000), NotMp3Error, "no MP3"),
        (streams.layer1(40), NotMp3Error, "Layer I,"),
    ],
    ids=["empty", "tag-only", "text", "zeros", "ff", "sync-only", "false-frames", "random", "layer1"],
)
def test_what_is_no_mp3_is_refused_at_once(content: bytes, error: type[Exception], words: str, write: Write) -> None:
    path = write(content)
    started = time.monotonic()
    with pytest.raises(error, match=words):
        index_of(path)
    assert time.monotonic() - started < PROMPT


def test_a_tail_without_audio_is_not_read_to_its_end(data: bytes, write: Write) -> None:
    path = write(data)
    with open(path, "r+b") as file:
        file.truncate(4 << 30)  # sparse: gigabytes of zeros that take no room
    started = time.monotonic()
    index = index_of(path)
    assert time.monotonic() - started < PROMPT
    assert index.segments[0].frames == index_of(write(data, "plain.mp3")).segments[0].frames


def test_too_many_changes_are_refused(data: bytes, stream: Callable[[str], str], write: Write) -> None:
    one, two = data[:4180], Path(stream("mpeg1-32-mono-cbr64")).read_bytes()
    places = streams.frames(two)
    with pytest.raises(UnsupportedMp3Error, match="change more than 64"):
        index_of(write((one[streams.frames(one)[1] : streams.frames(one)[6]] + two[places[1] : places[6]]) * 40))


def test_layer_ii_and_free_format_are_named(stream_folder: str, write: Write) -> None:
    wav = streams.source(44_100, 2, stream_folder, 20)
    with pytest.raises(NotMp3Error, match="Layer II,"):
        index_of(write(streams.layer2(wav)))
    with pytest.raises(UnsupportedMp3Error, match="free-format"):
        index_of(write(streams.free_format(wav)))


def test_spans_that_cannot_be(cbr: str) -> None:
    index = index_of(cbr)
    with pytest.raises(SpanOutsideError, match="20 s"):
        span_of(index, 20, 21)
    with opened(cbr) as fd, pytest.raises(SpanTooShortError, match="0 samples"):
        cut(FileReader(fd), span_of(index, 3, 3.000001))
    with opened(cbr) as fd, pytest.raises(SpanTooShortError, match="4410"):
        cut(FileReader(fd), span_of(index, 3, 3.05), minimum=4410)
    assert span_of(index, 19, 1000).last == index.segments[0].samples


def test_times_round_to_the_nearest_sample_halves_up(cbr: str) -> None:
    index = index_of(cbr)
    assert index.locate(0, 11_337).last == 0
    assert index.locate(0, 11_338).last == 1  # half a sample is 11337.868 ns
    assert index.locate(1_000_000_000, 2_000_000_000)[1:] == (44_100, 88_200)


def test_a_file_that_grew_is_walked_on(data: bytes, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    full = index_of(write(data))
    for size in (30_000, 150_000, len(data) - 1, len(data)):
        path = write(data[:size], "grows.mp3")
        before = index_of(path)
        with open(path, "ab") as file:
            file.write(data[size:])
        with opened(path) as fd:
            after = build_index(FileReader(fd), previous=before)
        assert after == full
    # A file of other content is walked anew, whatever the old index says.
    path = write(data[:40_000], "other.mp3")
    before = index_of(path)
    other = streams.with_id3v2(data, 5000)
    Path(path).write_bytes(other)
    with opened(path) as fd:
        assert build_index(FileReader(fd), previous=before) == index_of(path)
        assert build_index(FileReader(fd), previous=before).start != before.start


def test_growth_of_a_damaged_file_is_walked_anew(data: bytes, write: Write) -> None:
    """What was judged by where the file ended must be judged again."""
    for cut_at in (150_000, 100_500, 101_000, 103_003):
        path = write(streams.garbage_between(data, 100_000, b"junk" * 100)[:cut_at])
        before = index_of(path)
        with open(path, "ab") as file:
            file.write(data[cut_at:])
        with opened(path) as fd:
            assert build_index(FileReader(fd), previous=before) == index_of(path)


@pytest.mark.parametrize("had", [9_000, 20_000, 29_000])
def test_a_tag_that_was_not_whole_yet_is_no_audio_once_it_is(data: bytes, write: Write, had: int) -> None:
    """A file that is being copied into the folder: what is there of its tag so far holds what looks like frames."""
    whole = streams.with_id3v2(data, 30_000)
    path = write(whole[:had])
    before = index_of(path)
    Path(path).write_bytes(whole)
    with opened(path) as fd:
        after = build_index(FileReader(fd), previous=before)
    assert after == index_of(path)
    assert after.start > 30_000 > before.start


def test_a_tag_that_came_later_may_claim_what_was_audio(data: bytes, write: Write) -> None:
    """An APEv2 footer says how far back its tag goes: here to a place before the last frame that was there."""
    held = bytearray(data)
    held[30_000:30_008] = b"APETAGEX"  # its header, within the bytes of a frame
    path = write(bytes(held[:100_000]))
    before = index_of(path)
    footer = b"APETAGEX" + struct.pack("<IIII", 2000, len(data) - 30_000, 1, 1 << 31) + bytes(8)
    Path(path).write_bytes(held + footer)
    fresh = index_of(path)
    assert fresh.end == 30_000
    with opened(path) as fd:
        assert build_index(FileReader(fd), previous=before) == fresh


def test_a_damaged_file_costs_few_patterns(write: Write) -> None:
    """Each of its parts has other lengths of frames first; a pattern for each would cost more than all the walking."""

    def frames(bitrate: int, count: int) -> bytes:
        head = bytes((0xFF, 0xE3, bitrate << 4 | 8, 0xC0))
        parsed = streams.header(head)
        assert parsed
        return head.ljust(parsed.size, b"\0") * count

    parts = []
    for order in itertools.islice(itertools.permutations((1, 2, 3, 4, 5)), 30):
        parts.append(b"".join(frames(bitrate, 30 + 15 * place) for place, bitrate in enumerate(order)))
        parts[-1] += frames(order[0], 20) + bytes(7)
    walk._stride.cache_clear()
    index = index_of(write(b"".join(parts)))
    assert len(index.segments[0].runs) == 30
    assert walk._stride.cache_info().misses <= 2


def test_the_letters_of_a_tag_within_the_last_frame_are_audio(data: bytes, write: Write) -> None:
    """A clip may end in a frame that has them by chance; decoders play it, and a clip of that clip has it too."""
    frames = streams.frames(data)
    whole = bytearray(data[: frames[200]])
    whole[-128:-125] = b"TAG"
    path = write(bytes(whole))
    index = index_of(path)
    assert index.segments[0].frames == 199
    assert index.tags == ()
    assert index.end == index.size
    assert len(decoded(path, "ffmpeg")) // 2 == index.segments[0].samples
    tagged = index_of(write(streams.with_id3v1(bytes(whole))))
    assert (tagged.tags, tagged.segments) == (("ID3v1",), index.segments)
    # Where no frame ends behind it, it is a tag.
    assert index_of(write(bytes(whole[:-417] + whole[-400:]))).tags == ("ID3v1",)


def test_a_file_changed_within_and_longer_is_walked_anew(data: bytes, write: Write) -> None:
    """Start and end are as they were, and there is more behind: only samples from within tell that it is another file."""
    path = write(data)
    before = index_of(path)
    middle = len(data) // 2
    Path(path).write_bytes(data[:middle] + bytes(20_000) + data[middle + 20_000 :] + data[-50_000:])
    with opened(path) as fd:
        after = build_index(FileReader(fd), previous=before)
    assert after == index_of(path)
    assert after.gaps


def test_a_walk_out_of_time_goes_on_later(stream: Callable[[str], str], write: Write) -> None:
    path = write(Path(stream("mpeg1-48-joint-cbr320")).read_bytes() * 4)
    full = index_of(path)
    with opened(path) as fd:
        part = build_index(FileReader(fd), deadline=time.monotonic() - 1)
        assert not part.complete
        assert part.walked < full.walked
        assert build_index(FileReader(fd), previous=part) == full


def test_a_source_that_shrinks_is_noticed(data: bytes, write: Write) -> None:
    path = write(data)
    index = index_of(path)
    with opened(path) as fd:
        clip = cut(FileReader(fd), span_of(index, 1, 15))
        Path(path).write_bytes(data[:100_000])
        with pytest.raises(SourceChangedError, match="shorter"):
            clip.read(FileReader(fd))
        with pytest.raises(SourceChangedError):
            cut(FileReader(fd), span_of(index, 14, 15))


def test_any_range_of_a_clip_reads_alone(data: bytes, write: Write) -> None:
    path = write(streams.garbage_between(data, 100_000, b"junk" * 500))
    index = index_of(path)
    draw = random.Random(4)
    with opened(path) as fd:
        clip = cut(FileReader(fd), span_of(index, 3, 12))
        whole = clip.read(FileReader(fd))
        for _ in range(300):
            start = draw.randrange(clip.length)
            stop = draw.randint(start, clip.length)
            assert clip.read(FileReader(fd), start, stop) == whole[start:stop]
            assert b"".join(clip.pieces(FileReader(fd), start, stop, 1000)) == whole[start:stop]


def test_a_stream_that_begins_within_its_reservoir_is_exact_behind_it(
    data: bytes, write: Write, tmp_path: Path
) -> None:
    """Recordings of radio streams start anywhere: their first frames lack data that no one has."""
    path = write(data[streams.frames(data)[50] :])
    whole = streams.decode_ffmpeg(path, strict=False)
    span = cut_file(path, 0.2, 5, tmp_path / "clip.mp3")
    assert decoded(tmp_path / "clip.mp3", "ffmpeg") == samples(whole, span)
    cut_file(path, 0, 5, tmp_path / "clip.mp3")
    assert len(streams.decode_ffmpeg(str(tmp_path / "clip.mp3"), strict=False)) == 5 * 44_100 * 2
