"""Start and end are exact to the sample in what decoders make of a result, in every format."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mp3_slicer.mp3 import FileReader
from mp3_slicer.render import FORMATS, RenderRequest
from mp3_slicer.render.audio.render import render
from support import streams
from support.cutting import index_of, opened, span_of
from unit.render.sounds import LIMITS, bytes_of, decode, lag, make, mono, pcm_of, wav, whole

LOSSLESS = ("wav", "flac")
LOSSY = ("mp3", "ogg", "opus", "m4a")
SPANS = ("0,0.1", "3.333,3.5", "7.1234,9.9876", "19.8")


@pytest.mark.parametrize("kind", streams.STREAMS)
def test_samples_are_those_of_the_source(kind: str, stream: Callable[[str], str]) -> None:
    path = stream(kind)
    index = index_of(path)
    channels = index.segments[0].header.channels
    reference = whole(path)
    with_ffmpeg, _, _ = decode(Path(path).read_bytes(), "mp3")
    for text in (*SPANS, ",13.3"):
        asked = RenderRequest.parse("wav", [("t", text)]).spans[0]
        span = index.locate(asked.start, asked.end)
        with make(path, "wav", ("t", text)) as made:
            heard, rate, got_channels = wav(made.read())
        assert (rate, got_channels) == (index.segments[0].header.sample_rate, channels)
        assert len(heard) == (span.last - span.first) * channels == made.samples * channels
        if kind != "mpeg1-48-crc-cbr128":  # whose own tag this decoder does not see
            assert heard == reference[span.first * channels : span.last * channels]
        if kind != "mpeg2-24-joint-abr56":  # which ffmpeg hears otherwise than every other decoder
            theirs = with_ffmpeg[span.first * channels : span.last * channels]
            assert max(abs(a - b) for a, b in zip(heard, theirs, strict=True)) <= 1


@pytest.mark.parametrize("text", SPANS)
def test_flac_is_wav(cbr: str, text: str) -> None:
    assert pcm_of(cbr, "flac", ("t", text)) == pcm_of(cbr, "wav", ("t", text))


@pytest.mark.parametrize("form", LOSSY)
@pytest.mark.parametrize(
    "kind", ["mpeg1-44-stereo-cbr128", "mpeg1-48-joint-cbr320", "mpeg2-22-joint-cbr64", "mpeg25-8-mono-vbr5"]
)
def test_encoded_samples_are_where_they_were(form: str, kind: str, stream: Callable[[str], str]) -> None:
    """As alike as can be without a shift, at both ends."""
    path = stream(kind)
    channels = index_of(path).segments[0].header.channels
    options = [("t", "7.1234,9.9876")]
    heard = mono(pcm_of(path, form, *options), channels)
    rate = ("rate", "48000")
    wanted = mono(pcm_of(path, "wav", *options, *([rate] if form == "opus" else [])), channels)
    assert len(heard) == len(wanted)
    for begin in (200, len(wanted) - 6200):
        part = slice(begin, begin + 6000)
        assert lag(heard[part], wanted[part], 60) == 0


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("text", ["0,0.1", "1,1.1003", "3,3.17", "4,5.0001", "0.5,0.73"])
def test_any_length_is_exact(cbr: str, form: str, text: str) -> None:
    asked = RenderRequest.parse("wav", [("t", text)]).spans[0]
    span = index_of(cbr).locate(asked.start, asked.end)
    wanted = span.last - span.first
    if form == "opus":
        wanted = (wanted * 48_000 * 2 + 44_100) // (2 * 44_100)
    assert len(pcm_of(cbr, form, ("t", text))) == 2 * wanted


@pytest.mark.parametrize("rate", ["8000", "16000", "22050", "44100"])
def test_m4a_says_where_it_ends(cbr: str, rate: str) -> None:
    """The edit list leaves out what AAC puts in front, and has the length in samples, not in milliseconds."""
    with make(cbr, "m4a", ("t", "1,3.0007"), ("rate", rate)) as made:
        data = made.read()
    boxes = dict(_boxes(data))
    (timescale,) = struct.unpack(">I", boxes[b"mvhd"][12:16])
    count, duration, media_time = struct.unpack(">IIi", boxes[b"elst"][4:16])
    entries = struct.iter_unpack(">II", boxes[b"stts"][8:])
    assert (timescale, count, duration, media_time) == (int(rate), 1, made.samples, 1024)
    assert sum(number * length for number, length in entries) == 1024 + made.samples
    assert data.index(b"moov") < data.index(b"mdat"), "it can be played while it comes"


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + size]
        found.append((name, body))
        if name in {b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"}:
            found += _boxes(body)
        at += size
    return found


@pytest.mark.parametrize(
    "kind", ["mpeg1-44-stereo-cbr128", "mpeg1-32-mono-cbr64", "mpeg2-22-joint-cbr64", "mpeg25-8-mono-vbr5"]
)
def test_every_bitrate_of_mp3_has_its_header(kind: str, stream: Callable[[str], str]) -> None:
    path = stream(kind)
    header = index_of(path).segments[0].header
    for kbits in FORMATS["mp3"].bitrates(header.sample_rate, header.channels):
        with make(path, "mp3", ("t", "2,3.1"), ("bitrate", str(kbits))) as made:
            data = made.read()
        heads = [streams.header(data, at) for at in streams.frames(data)]
        assert {(head.kbits, head.rate, head.channels) for head in heads[1:] if head} == {
            (kbits, header.sample_rate, header.channels)
        }
        at = streams.xing_offset(data)
        assert at is not None
        assert data[at : at + 4] == b"Info"
        assert int.from_bytes(data[at + 8 : at + 12], "big") == len(heads) - 1
        assert int.from_bytes(data[at + 12 : at + 16], "big") == len(data)
        samples, _, _ = decode(data, "mp3")
        assert len(samples) == made.samples * header.channels


@pytest.mark.parametrize("form", [form for form in FORMATS.values() if form.has_bitrate], ids=lambda form: form.name)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 32_000, 44_100])
def test_the_bitrates_at_the_ends_can_be_made(cbr: str, form, rate: int, channels: int) -> None:
    if form.name == "opus" and rate != 44_100:
        return  # it has one rate
    for kbits in (form.bitrates(form.output_rate(rate), channels)[at] for at in (0, -1)):
        options = [("t", "1,2"), ("rate", str(rate)), ("channels", str(channels)), ("bitrate", str(kbits))]
        pcm_of(cbr, form.name, *[pair for pair in options if (form.name, pair[0]) != ("opus", "rate")])


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_request_gives_the_same_bytes(cbr: str, form: str) -> None:
    options = (("t", "2,4"), ("fade", "0.5,0.5"), ("normalize", "ebu:-20"), ("speed", "1.2"))
    assert bytes_of(cbr, form, *options) == bytes_of(cbr, form, *options)


def test_long_spans_are_decoded_in_pieces_without_a_seam(cbr: str) -> None:
    """Sixteen seconds are six blocks."""
    span = span_of(index_of(cbr), 1.5, 17.5)
    assert pcm_of(cbr, "wav", ("t", "1.5,17.5")) == whole(cbr)[2 * span.first : 2 * span.last]


def test_undecodable_frames_keep_the_time(cbr: str, write: Callable[[bytes], str]) -> None:
    """A file that begins within its reservoir: its first frames cannot be decoded, and the others stay where they are."""
    data = Path(cbr).read_bytes()
    places = streams.frames(data)
    path = write(data[places[60] :])
    span = index_of(path).locate(0, None)
    with make(path, "wav") as made:
        heard, _, _ = wav(made.read())
    assert made.samples == span.last - span.first
    source = whole(cbr)
    # The tag's frame is not counted, and its delay was 576 + 529 samples.
    begin = 2 * ((60 - 1) * 1152 - 1105)
    theirs = source[begin : begin + len(heard)]
    # Without its tag the file ends with what its encoder added.
    decodable = slice(2 * 1152 * 8, len(theirs))
    # Where the other decoder had to help, it may round otherwise; and it had to in the first block only.
    assert max(abs(a - b) for a, b in zip(heard[decodable], theirs[decodable], strict=True)) <= 1
    assert heard[2 * 8 * 44_100 : len(theirs)] == theirs[2 * 8 * 44_100 :]


def test_nothing_of_the_file_is_read_by_its_position(cbr: str) -> None:
    with opened(cbr) as fd:
        os.lseek(fd, 77, os.SEEK_SET)
        render(RenderRequest.parse("flac", [("t", "1,2")]), FileReader(fd), index_of(cbr), LIMITS).close()
        assert os.lseek(fd, 0, os.SEEK_CUR) == 77
