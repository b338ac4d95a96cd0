"""Kinds of files that editors, recorders and joiners make: what a clip of them must decode to, and what is said of them."""

import random
import struct
from array import array
from collections.abc import Callable
from itertools import pairwise
from operator import sub
from pathlib import Path

import pytest

from fuzz import cuts, structure
from mp3_slicer.media.describe import describe
from mp3_slicer.mp3 import FileReader, NotMp3Error, Span, SpanTooShortError, UnsupportedMp3Error, cut
from support import decoders, streams
from support.cutting import cut_bytes, index_of, opened

Write = Callable[..., str]
#: Samples of the shortest clip at 44.1 kHz.
SHORT = 4410


@pytest.fixture(scope="session")
def data(cbr: str) -> bytes:
    return Path(cbr).read_bytes()


@pytest.fixture(scope="session")
def audio(data: bytes) -> bytes:
    """The frames alone."""
    return data[streams.frames(data)[1] :]


def switched(data: bytes, third: int, fourth: int, chosen: Callable[[int], bool]) -> bytes:
    """Change bits of the third and the fourth header byte of some frames."""
    changed = bytearray(data)
    for number, offset in enumerate(streams.frames(data)):
        if chosen(number):
            changed[offset + 2] ^= third
            changed[offset + 3] ^= fourth
    return bytes(changed)


# ---------------------------------------------------------------------------------------- header bits that change

BITS = {
    "mode": (0, 0x40),
    "copyright": (0, 8),
    "original": (0, 4),
    "emphasis": (0, 3),
    "private": (1, 0),
    "all": (1, 0x4F),
}


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("where", ["from 100 on", "every other", "100 alone"])
def test_header_bits_may_change_anywhere(name: str, where: str, data: bytes, cbr: str, write: Write) -> None:
    """None of these bits changes what is heard in this stream, so a clip sounds as that of the unchanged file."""
    choose = {"from 100 on": lambda n: n >= 100, "every other": lambda n: n % 2 == 0, "100 alone": lambda n: n == 100}
    path = write(switched(data, *BITS[name], choose[where]))
    (segment,) = index_of(path).segments
    border = 99 * 1152 - segment.skip
    spans = [(border + frame * 1152 + more, SHORT) for frame in range(-2, 4) for more in (0, 700)]
    spans += [(0, SHORT), (600, SHORT), (border - SHORT, SHORT), (border - SHORT + 1, SHORT)]
    spans += [(segment.samples - SHORT, SHORT), (border - 20_000, 40_000)]
    clips = []
    for number, (first, length) in enumerate(spans):
        clips.append(write(cut_bytes(path, Span(segment, first, first + length))[1], f"{number}.mp3"))
    (whole,) = decoders.ffmpeg([cbr])
    player = decoders.Mpg123()
    its = player(cbr)
    for clip, heard, (first, length) in zip(clips, decoders.ffmpeg(clips), spans, strict=True):
        assert heard == whole[2 * first : 2 * (first + length)], first
        assert near(player(clip), its[2 * first : 2 * (first + length)]), first
    player.close()


def near(one: "array[float]", other: "array[float]") -> bool:
    return len(one) == len(other) and max(map(abs, map(sub, one, other)), default=0.0) < 4e-6


def test_the_first_frames_may_differ_at_the_start(audio: bytes, write: Write) -> None:
    """ffmpeg takes the first frame of such a file for junk, and mpg123 plays it: it is audio."""
    path = write(switched(audio, 0, 8, lambda number: number == 0))
    (segment,) = index_of(path).segments
    assert (segment.frames, segment.skip) == (len(streams.frames(audio)), 0)
    plain = write(audio, "plain.mp3")
    (whole,) = decoders.ffmpeg([plain])
    clips = [
        write(cut_bytes(path, Span(segment, first, 9000))[1], f"{first}.mp3")
        for first in (0, 528, 529, 600, 1152, 1681)
    ]
    for clip, heard in zip(clips, decoders.ffmpeg(clips), strict=True):
        assert heard == whole[2 * int(Path(clip).stem) : 18_000], clip


# ---------------------------------------------------------------------------------- main data that nobody has


@pytest.mark.parametrize(
    "kind",
    [
        "mpeg1-44-stereo-cbr128",
        "mpeg1-44-joint-vbr2",
        "mpeg1-44-mono-cbr32",
        "mpeg1-48-crc-cbr128",
        "mpeg2-22-joint-cbr64",
        "mpeg25-11-mono-cbr40",
    ],
)
def test_a_stream_that_begins_within_its_reservoir(kind: str, stream: Callable[[str], str], tmp_path: Path) -> None:
    content = Path(stream(kind)).read_bytes()
    offsets = streams.frames(content)
    for begin in (60, 151):
        path = tmp_path / f"from{begin}.mp3"
        path.write_bytes(content[offsets[begin] : offsets[begin + 60]])
        frame = index_of(str(path)).segments[0].header.samples
        short = 4 * frame
        spans = [(first, first + short) for first in (0, 1, 528, 529, frame, 2 * frame + 100, 4 * frame, 8 * frame)]
        assert not cuts.check(path, [*spans, (0, 50 * frame)])


def test_frames_that_are_lost_are_not_noise(data: bytes, tmp_path: Path) -> None:
    """Behind a hole a frame asks for bytes that others had used: ffmpeg mutes it, and so it is in a clip that begins there."""
    offsets = streams.frames(data)
    for lost in (1, 2, 5):
        path = tmp_path / f"lost{lost}.mp3"
        path.write_bytes(data[offsets[1] : offsets[40]] + data[offsets[40 + lost] : offsets[100]])
        spans = [(39 * 1152 + more, 39 * 1152 + more + SHORT) for more in range(-2304, 4608, 576)]
        assert not cuts.check(path, spans)


@pytest.mark.parametrize(
    "kind",
    ["mpeg1-44-stereo-cbr128", "mpeg1-44-mono-cbr32", "mpeg1-48-crc-cbr128", "mpeg2-22-joint-cbr64"],
)
def test_frames_that_are_lost_behind_the_first_ones(kind: str, stream: Callable[[str], str], tmp_path: Path) -> None:
    """A frame reaches back to before the source: decoders mute it, also those that count all bytes in front, used or not."""
    content = Path(stream(kind)).read_bytes()
    offsets = streams.frames(content)
    tried = 0
    for kept in (1, 2, 3):
        first, last = offsets[1], offsets[1 + kept]
        there = sum(len(area(content, offset)) for offset in offsets[1 : 1 + kept])
        number = next((n for n in range(20, 400) if back(content, offsets[n]) > there), None)
        if number is None:
            continue
        tried += 1
        path = tmp_path / f"kept{kept}.mp3"
        path.write_bytes(content[first:last] + content[offsets[number] : offsets[number + 40]])
        frame = index_of(str(path)).segments[0].header.samples
        begins = (0, 1, 528, 529, 600, frame, frame + 600, 2 * frame, 3 * frame, 4 * frame)
        assert not cuts.check(path, [(begin, begin + 4 * frame) for begin in begins]), kept
    assert tried


def area(data: bytes, offset: int) -> bytes:
    """The main data area of a frame."""
    head = streams.header(data, offset)
    assert head is not None
    return data[offset + 4 + 2 * head.crc + structure.side_length(head) : offset + head.size]


def back(data: bytes, offset: int) -> int:
    """How far back the main data of a frame begins (main_data_begin)."""
    head = streams.header(data, offset)
    assert head is not None
    side = offset + 4 + 2 * head.crc
    return int.from_bytes(data[side : side + 2], "big") >> (7 if head.version == "1" else 8)


# ---------------------------------------------------------------------------- tags whose count is not the frames


def tagged(data: bytes, more: int, padding: int) -> bytes:
    """A claim of some more frames than there are, and a padding."""
    changed = bytearray(streams.xing_lying(data, frames=len(streams.frames(data)) - 1 + more))
    at = streams.xing_offset(data)
    assert at is not None
    trim = int.from_bytes(changed[at + 141 : at + 144], "big") & ~0xFFF | padding
    changed[at + 141 : at + 144] = trim.to_bytes(3, "big")
    return bytes(changed)


@pytest.mark.parametrize(("more", "padding"), [(1, 1929), (1, 600), (2, 3000), (1, 100), (30, 4000), (0, 1929)])
def test_more_frames_claimed_than_there_are(more: int, padding: int, data: bytes, write: Write) -> None:
    path = write(tagged(data, more, padding))
    (segment,) = index_of(path).segments
    (whole,) = decoders.ffmpeg([path])
    player = decoders.Mpg123()
    assert len(whole) == len(player(path)) == 2 * segment.samples
    player.close()
    last = segment.samples
    assert not cuts.check(Path(path), [(last - SHORT, last), (last - 20_000, last), (0, last)])


@pytest.mark.parametrize("more", [-1, -2, -300])
def test_fewer_frames_claimed_than_there_are(more: int, data: bytes, write: Write) -> None:
    """Decoders leave samples out in the middle, the padding of whatever the tag was made for; they are audio, and are there."""
    path = write(tagged(data, more, 1260))
    (segment,) = index_of(path).segments
    (whole,) = decoders.ffmpeg([path])
    assert segment.samples == segment.frames * 1152 - segment.skip
    assert len(whole) // 2 == segment.samples - (1260 - 529)
    gap = (segment.frames + more) * 1152 - segment.skip
    before = Span(segment, gap - 731 - SHORT, gap - 731)
    behind = Span(segment, gap, gap + min(SHORT, segment.samples - gap))
    clips = [write(cut_bytes(path, span)[1], f"{span.first}.mp3") for span in (before, behind)]
    one, other = decoders.ffmpeg(clips)
    assert one == whole[2 * before.first : 2 * before.last]
    assert other == whole[2 * (behind.first - 731) : 2 * (behind.last - 731)]
    assert not cuts.check(Path(path), [(gap - 3000, min(gap + 2000, segment.samples))])
    assert describe(index_of(path))["damage"]["claimed_frames"] == segment.frames + more


# --------------------------------------------------------------------------------------------- tags that lie


@pytest.mark.parametrize(("version", "flags", "footer"), [(2, 0x10, 0), (3, 0x10, 0), (4, 0x10, 10), (4, 0, 0)])
def test_only_id3v24_has_a_footer(version: int, flags: int, footer: int, data: bytes, write: Write) -> None:
    front = b"ID3" + bytes((version, 0, flags, 0, 0, 0, 100)) + bytes(100)
    index = index_of(write(front + b"3DI".ljust(footer, b"\0")[:footer] + data))
    assert index.info is not None
    assert index.seconds == 20
    assert index.damage.leading_bytes == 0


@pytest.mark.parametrize("size", [33, 40_000, 1 << 20])
@pytest.mark.parametrize("flags", [0, 1 << 31])
@pytest.mark.parametrize("version", [1000, 2000])
def test_an_ape_tag_that_lies_takes_nothing(size: int, flags: int, version: int, data: bytes, write: Write) -> None:
    plain = index_of(write(data, "plain.mp3")).segments[0]
    footer = b"APETAGEX" + struct.pack("<IIII", version, size, 1, flags) + bytes(8)
    assert index_of(write(data + footer)).segments[0].frames == plain.frames
    header = b"APETAGEX" + struct.pack("<IIII", version, size, 1, flags | 1 << 29) + bytes(8)
    assert index_of(write(header + data)).segments == index_of(write(bytes(32) + data)).segments


def test_an_ape_tag_without_a_header_is_known_by_its_items(data: bytes, write: Write) -> None:
    items = (
        struct.pack("<II", 3, 0) + b"Title\0abc" + struct.pack("<II", 2000, 2) + b"Cover\0" + b"\xff\xfb\x90\x64" * 500
    )
    footer = b"APETAGEX" + struct.pack("<IIII", 1000, len(items) + 32, 2, 0) + bytes(8)
    index = index_of(write(data + items + footer))
    assert (index.end, index.tags) == (len(data), ("APEv1",))
    front = b"APETAGEX" + struct.pack("<IIII", 2000, len(items), 2, 3 << 29) + bytes(8) + items
    index = index_of(write(front + data))
    assert index.info is not None
    assert index.damage.leading_bytes == 0


# ---------------------------------------------------------------------------------------------- the axis of time


@pytest.mark.parametrize(
    "front",
    [
        b"",
        bytes(3000),
        b"junk",
        b"ID3\x03\0\0\0\0\0\x64" + bytes(100),
        b"ID3\x03\0\0\0\0\0\x64" + bytes(400),
        b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 5 << 29) + bytes(8) + b"APETAGEX" + bytes(24),
    ],
    ids=["none", "zeros", "junk", "id3", "id3-and-padding", "ape"],
)
def test_time_begins_behind_the_tag_frame_wherever_it_is(front: bytes, data: bytes, write: Write) -> None:
    (segment,) = index_of(write(front + data)).segments
    assert (segment.skip, segment.samples) == (1105, 882_000)


@pytest.mark.parametrize(
    ("encoder", "skip"),
    [(b"LAME3.100", 1105), (b"Lavc58.13", 1105), (b"GOGO3.02 ", 0), (b"mp3packer", 0), (bytes(9), 0)],
)
def test_only_delays_of_known_encoders_count(encoder: bytes, skip: int, data: bytes, write: Write) -> None:
    at = streams.xing_offset(data)
    assert at is not None
    (segment,) = index_of(write(data[: at + 120] + encoder + data[at + 129 :])).segments
    assert segment.skip == skip


# ----------------------------------------------------------------------------------------------- what is said


def damage(path: str) -> dict[str, int]:
    return describe(index_of(path))["damage"]


def test_junk_in_front_is_named(data: bytes, audio: bytes, write: Write) -> None:
    assert damage(write(b"junk" * 100 + audio))["leading_bytes"] == 400
    assert damage(write(b"junk" * 100 + data))["leading_bytes"] == 400
    first, second = streams.frames(data)[:2]
    assert damage(write(data[:second] + bytes(77) + data[second:]))["leading_bytes"] == 77 + first
    assert damage(write(streams.with_id3v2(data, 5000)))["leading_bytes"] == 0


def test_frames_too_few_to_follow_are_named(data: bytes, write: Write) -> None:
    offsets = streams.frames(data)
    two = data[offsets[50] : offsets[52]]
    hole = b"lost" * 100
    found = damage(write(data[: offsets[200]] + hole + two + hole + two + hole + data[offsets[200] :]))
    assert (found["gaps"], found["dropped_frames"], found["other_layer_bytes"]) == (1, 4, 0)
    assert damage(write(data[: offsets[200]] + hole + data[offsets[200] :]))["dropped_frames"] == 0


@pytest.mark.parametrize(
    "kind", ["mpeg1-44-stereo-cbr128", "mpeg1-48-crc-cbr128", "mpeg2-22-joint-cbr64", "mpeg25-11-mono-cbr40"]
)
def test_frames_alone_in_a_hole_are_named(kind: str, stream: Callable[[str], str], write: Write) -> None:
    content = Path(stream(kind)).read_bytes()
    offsets = streams.frames(content)
    one, hole = content[offsets[50] : offsets[51]], b"lost" * 100
    front, behind = content[: offsets[200]], content[offsets[200] :]
    assert damage(write(front + hole + behind))["dropped_frames"] == 0
    assert damage(write(front + hole + one + hole + behind))["dropped_frames"] == 1
    found = damage(write(front + hole + one + hole + one + hole + behind + hole + one + hole))
    assert (found["gaps"], found["gap_bytes"], found["dropped_frames"]) == (1, 1200 + 2 * len(one), 3)
    assert damage(write(front + hole + one[:-1]))["dropped_frames"] == 0


def test_a_frame_of_another_kind_alone_is_named_beside_a_run(data: bytes, write: Write) -> None:
    offsets = streams.frames(data)
    changed = bytearray(data)
    changed[offsets[200] + 3] |= 0xC0
    found = damage(write(bytes(changed)))
    assert (found["gaps"], found["gap_bytes"], found["dropped_frames"]) == (1, offsets[201] - offsets[200], 1)
    mono = bytes(changed[offsets[200] : offsets[201]])
    for hole in (b"lost" + mono, mono + b"lost"):
        assert damage(write(data[: offsets[200]] + hole + data[offsets[200] :]))["dropped_frames"] == 1
    assert damage(write(data[: offsets[200]] + b"lost" + mono + b"lost" + data[offsets[200] :]))["dropped_frames"] == 0


#: Fields of the first granule's side information in MPEG-1 with two channels: their first bit, and how many bits they have.
LENGTH, BIG_VALUES, SWITCHED, BLOCK_TYPE = (20, 12), (32, 9), (53, 1), (54, 2)


@pytest.mark.parametrize(
    "fields",
    [{BIG_VALUES: 289}, {SWITCHED: 1, BLOCK_TYPE: 0}, {LENGTH: 4095, (79, 12): 4095}],
    ids=["big-values", "block-type", "length"],
)
def test_what_only_begins_like_a_frame_is_not_named(
    fields: dict[tuple[int, int], int], data: bytes, write: Write
) -> None:
    """Its side information says what no encoder says: more values than there are, a window of type 0, more bits than there are."""
    offsets = streams.frames(data)
    frame = data[offsets[50] : offsets[51]]
    side = int.from_bytes(frame[4:36], "big")
    for (first, size), value in fields.items():
        shift = 256 - first - size
        side = side & ~((1 << size) - 1 << shift) | value << shift
    for made, count in ((frame, 1), (frame[:4] + side.to_bytes(32, "big") + frame[36:], 0)):
        hole = b"lost" * 30 + made + b"lost" * 30
        assert damage(write(data[: offsets[200]] + hole + data[offsets[200] :]))["dropped_frames"] == count


def test_noise_in_a_hole_is_no_frame(data: bytes, write: Write) -> None:
    offsets = streams.frames(data)
    noise = random.Random(3).randbytes(120_000)
    assert damage(write(data[: offsets[200]] + noise + data[offsets[200] :]))["dropped_frames"] == 0


def test_a_stretch_of_layer_ii_is_named(data: bytes, stream_folder: str, write: Write) -> None:
    other = streams.layer2(streams.source(44_100, 2, stream_folder, 20))
    whole = streams.header(other)
    assert whole is not None
    offsets = streams.frames(data)
    found = damage(write(data[: offsets[200]] + other[:30_000] + data[offsets[200] :]))
    assert 30_000 - 2 * whole.size < found["other_layer_bytes"] <= 30_000
    assert found["gap_bytes"] == 30_000


@pytest.mark.parametrize("count", [20, 400])
@pytest.mark.parametrize("with_tag", [False, True])
def test_mono_and_stereo_by_turns_are_refused(count: int, with_tag: bool, data: bytes, write: Write) -> None:
    """Also where the last frame, up to the end of the file, could pass for audio."""
    tag, frames = data[: streams.frames(data)[1]], []
    for begin, end in pairwise(streams.frames(data)[1 : count + 2]):
        frames.append(bytearray(data[begin:end]))
        if len(frames) % 2:
            frames[-1][3] |= 0xC0
    for tail in (b"", b"junk", bytes(frames[0][:100])):
        with pytest.raises(UnsupportedMp3Error, match="change from frame to frame"):
            index_of(write((tag if with_tag else b"") + b"".join(frames) + tail))


def test_two_frames_are_audio_and_too_short(audio: bytes, write: Write) -> None:
    two = audio[: streams.frames(audio)[2]]
    for content in (two, two + b"text behind it", two + audio[len(two) : len(two) + 100], b"text before it" + two):
        path = write(content)
        (segment,) = index_of(path).segments
        assert segment.frames == 2
        with opened(path) as fd, pytest.raises(SpanTooShortError, match="shortest"):
            cut(FileReader(fd), Span(segment, 0, segment.samples), minimum=SHORT)


@pytest.mark.parametrize("whole", [1, 2, 3, 4])
@pytest.mark.parametrize("rest", [0, 4, 30])
def test_a_few_frames_up_to_the_end_are_audio(whole: int, rest: int, audio: bytes, write: Write) -> None:
    """Behind a hole mpg123 plays them, also where the file ends within another frame."""
    offsets = streams.frames(audio)
    path = write(audio[: offsets[100]] + b"lost" * 10 + audio[offsets[110] : offsets[110 + whole] + rest])
    (segment,) = index_of(path).segments
    assert segment.frames == 100 + whole
    assert damage(path)["unread_bytes"] == rest
    player = decoders.Mpg123(gapless=False)
    assert len(player(path)) >= 2 * 1152 * segment.frames
    player.close()


@pytest.mark.parametrize(
    "content",
    [
        "some text of two bytes for each letter, and more of it\n".encode("utf-16") * 500,
        b"\xff\xfe\x54\x00" * 20_000,
        b"\xff\xfd\x90\x00" * 20_000,
        b"\xff\xff\xc4\x00" * 20_000,
        b"\xff\xfe\x10\x00" + random.Random(5).randbytes(60_000),
        bytes(range(256)) * 400,
    ],
    ids=["utf-16", "pattern", "pattern-ii", "pattern-i", "one-header", "all-bytes"],
)
def test_text_and_binaries_are_no_layer_i(content: bytes, write: Write) -> None:
    with pytest.raises(NotMp3Error, match="no MP3 audio"):
        index_of(write(content))


def test_structures_are_streams_with_their_parts() -> None:
    for path in structure.CORPUS.glob("*.mp3"):
        made = structure.parse(path.read_bytes())
        assert len(made.frames) == len(streams.frames(path.read_bytes())) - bool(made.tag)
