"""What holds for every input, tried on many: nothing fails oddly, and independent parsers agree."""

import os
import random
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mp3_slicer.mp3 import FileReader, Mp3Error, build_whole_index, cut
from mp3_slicer.mp3.crc16 import crc16
from mp3_slicer.mp3.cut import _LAYOUTS, _SUMS
from mp3_slicer.mp3.header import FrameHeader
from mp3_slicer.mp3.infotag import InfoTag, build, parse, plan
from support import streams
from support.cutting import index_of

FRAME_START = st.builds(
    lambda second, third, fourth: bytes((0xFF, second, third, fourth)),
    st.integers(0xE0, 0xFF),
    st.integers(0, 255),
    st.integers(0, 255),
)


@settings(max_examples=1000)
@given(st.one_of(FRAME_START, st.binary(min_size=4, max_size=4)))
def test_headers_agree_with_another_parser(raw: bytes) -> None:
    mine, other = FrameHeader.parse(raw), streams.header(raw)
    wanted = other is not None and other.layer == 3 and other.kbits > 0
    assert (mine is not None) == wanted
    if mine and other:
        assert (mine.length, mine.sample_rate, mine.channels) == (other.size, other.rate, other.channels)
        assert (mine.bitrate, mine.samples) == (other.kbits * 1000, other.samples)


@given(st.binary(max_size=400))
def test_crc_is_the_bitwise_one(data: bytes) -> None:
    data += bytes(len(data) % 2)
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    assert crc16(data) == crc
    half = len(data) // 4 * 2
    assert crc16(data[half:], crc16(data[:half])) == crc


def test_crc_refuses_half_words() -> None:
    with pytest.raises(struct.error):
        crc16(b"abc")


@given(
    FRAME_START.filter(lambda raw: FrameHeader.parse(raw) is not None),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 4095),
    st.integers(0, 4095),
    st.booleans(),
)
def test_tags_read_back_as_written(raw: bytes, frames: int, delay: int, padding: int, constant: bool) -> None:
    header = FrameHeader.parse(raw)
    assert header
    head, length = plan(header)
    toc = bytes(range(100))
    frame = build(
        header,
        head,
        length,
        constant=constant,
        encoder=b"LAME clip",
        frames=frames,
        length=7,
        delay=delay,
        padding=padding,
        toc=toc,
    )
    written = FrameHeader.parse(frame[:4])
    assert written
    assert written.kind == header.kind
    assert written.length == len(frame) == length
    assert parse(written, frame) == InfoTag("Info" if constant else "Xing", frames, "LAME clip", delay, padding)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_are_cut_or_refused(cbr: str, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes flipped, removed, doubled: an index or one of our errors, and clips of the length they promise."""
    content = bytearray(Path(cbr).read_bytes()[:60_000])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        size = data.draw(st.integers(0, 3000))
        change = data.draw(st.sampled_from(["flip", "remove", "insert", "head"]))
        if change == "flip":
            content[at] ^= data.draw(st.integers(1, 255))
        elif change == "remove":
            del content[at : at + size]
        elif change == "insert":
            content[at:at] = content[: size // 2]
        else:
            content[at : at + 4] = data.draw(FRAME_START)
        if not content:
            return
    path = tmp_path / "damaged.mp3"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        try:
            index = build_whole_index(FileReader(fd))
            span = index.locate(data.draw(st.integers(0, 10**9)), data.draw(st.integers(10**9 + 1, 4 * 10**9)))
            clip = cut(FileReader(fd), span)
        except Mp3Error as error:
            raised = str(error)
            assert raised
            return
        whole = clip.read(FileReader(fd))
        assert len(whole) == clip.length
        assert len(streams.frames(whole)) == clip.frames + 1
        assert index_of(str(path)) == index
    finally:
        os.close(fd)


@pytest.mark.parametrize("key", _LAYOUTS)
def test_all_lengths_of_a_frame_are_added_up_at_once(key: int) -> None:
    front, granules = _LAYOUTS[key]
    shift, low, mask, divisor = _SUMS[key]
    rng = random.Random(key)
    bits = front + (9 if key > 1152 else 8)
    for side in (0, (1 << bits) - 1, *(rng.getrandbits(bits) for _ in range(200))):
        lengths = [side >> each & 0xFFF for shifts in granules for each in shifts]
        assert (side >> low & mask) % divisor == sum(lengths)
        assert side >> shift == side >> front
