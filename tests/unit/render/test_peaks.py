"""Waveforms: each pixel's lowest and highest sample exactly, in the format that audiowaveform writes."""

import json
import struct
from array import array
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.mp3 import FileReader, SpanOutsideError
from mp3_slicer.render import Limits, OptionError, PeaksRequest, PeaksTimeoutError, TooLargeError
from mp3_slicer.render.options import MAX_PIXELS
from mp3_slicer.render.peaks import Peaks, peaks
from support.cutting import index_of, opened
from unit.render.sounds import pcm_of

LIMITS = Limits(work_seconds=Fraction(60))


def made(path: str, form: str, *pairs: tuple[str, str], limits: Limits = LIMITS, partial: bytes = b"") -> Peaks:
    with opened(path) as fd:
        return peaks(PeaksRequest.parse(form, pairs), FileReader(fd), index_of(path), limits, partial=partial)


def slow(samples: "array[int]", channels: int, zoom: int) -> list[int]:
    mixed = [sum(samples[at : at + channels]) // channels for at in range(0, len(samples), channels)]
    pixels = [mixed[at : at + zoom] for at in range(0, len(mixed), zoom)]
    return [value for pixel in pixels for value in (min(pixel), max(pixel))]


@pytest.mark.parametrize("kind", ["mpeg1-44-stereo-cbr128", "mpeg1-32-mono-cbr64", "mpeg2-22-joint-cbr64"])
@pytest.mark.parametrize("zoom", [2, 256, 1000, 44_100, 300_000, 1 << 30])
def test_every_pixel_is_exact(kind: str, zoom: int, stream: Callable[[str], str]) -> None:
    path = stream(kind)
    channels = index_of(path).segments[0].header.channels
    for span in ("0", "0.5,19.1234"):
        if zoom == 2 and span == "0":
            continue  # a long list that says nothing new
        samples = pcm_of(path, "wav", ("t", span))
        found = made(path, "json", ("t", span), ("zoom", str(zoom)))
        assert found.values.tolist() == slow(samples, channels, zoom)
        assert found.zoom == zoom


@pytest.mark.parametrize("pixels", [1, 7, 640, 1000, 4410])
def test_a_width_in_pixels(cbr: str, pixels: int) -> None:
    found = made(cbr, "json", ("t", "3,3.1"), ("pixels", str(pixels)))
    assert found.zoom == max(2, -(-4410 // pixels))
    assert found.pixels == -(-4410 // found.zoom) <= pixels
    assert made(cbr, "json").zoom == 882


@pytest.mark.parametrize("bits", [8, 16])
def test_json(cbr: str, bits: int) -> None:
    found = made(cbr, "json", ("t", "1,4"), ("zoom", "512"))
    document = json.loads(found.encode("json", bits))
    assert list(document) == ["version", "channels", "sample_rate", "samples_per_pixel", "bits", "length", "data"]
    assert [document[name] for name in list(document)[:-1]] == [2, 1, 44_100, 512, bits, 259]
    wanted = slow(pcm_of(cbr, "wav", ("t", "1,4")), 2, 512)
    assert document["data"] == [int(value / 256) for value in wanted] if bits == 8 else wanted


@pytest.mark.parametrize("bits", [8, 16])
def test_dat(cbr: str, bits: int) -> None:
    found = made(cbr, "dat", ("t", "1,4"), ("zoom", "512"))
    data = found.encode("dat", bits)
    assert struct.unpack("<iIiiIi", data[:24]) == (2, 1 if bits == 8 else 0, 44_100, 512, 259, 1)
    values = list(struct.unpack(f"<{2 * 259}{'b' if bits == 8 else 'h'}", data[24:]))
    assert values == json.loads(found.encode("json", bits))["data"]


@given(st.lists(st.integers(-32_768, 32_767), max_size=60))
def test_eight_bits_are_rounded_towards_zero(values: list[int]) -> None:
    data = json.loads(Peaks(8000, 2, array("h", values)).encode("json", 8))["data"]
    assert data == [int(value / 256) for value in values]


def test_long_waveforms_become_text_in_parts() -> None:
    values = array("h", [-1, 1]) * 100_000
    assert json.loads(Peaks(8000, 2, values).encode("json", 16))["data"] == values.tolist()


def test_it_goes_on_from_where_the_time_was_up(cbr: str) -> None:
    whole = made(cbr, "json", ("zoom", "256"))
    partial, rounds = b"", 0
    while True:
        try:
            found = made(cbr, "json", ("zoom", "256"), limits=Limits(work_seconds=Fraction(1, 100)), partial=partial)
            break
        except PeaksTimeoutError as error:
            assert len(error.partial) > len(partial)
            partial, rounds = error.partial, rounds + 1
    assert rounds
    assert found == whole
    # What was kept of something longer, or was cut off, does no harm.
    assert made(cbr, "json", ("zoom", "256"), partial=whole.values.tobytes() + bytes(400)) == whole
    assert made(cbr, "json", ("zoom", "256"), partial=partial[:1003]) == whole


@pytest.mark.parametrize("width", [("zoom", "20000"), ("zoom", "300000"), ("pixels", "1")])
def test_a_coarse_pixel_shows_a_part_of_its_audio(cbr: str, width: tuple[str, str]) -> None:
    found, exact = made(cbr, "json", width, ("coarse", "1")), made(cbr, "json", width)
    assert (found.coarse, found.zoom, found.pixels) == (True, exact.zoom, exact.pixels)
    # The last pixel may be so short that all of it is heard.
    for at in range(found.pixels):
        low, high = found.values[2 * at : 2 * at + 2]
        assert exact.values[2 * at] <= low <= high <= exact.values[2 * at + 1]
    first = pcm_of(cbr, "wav", ("t", "0"))
    assert found.values != exact.values
    # Of the first pixel: two frames in the middle of each half.
    zoom, channels = found.zoom, index_of(cbr).segments[0].header.channels
    heard: list[int] = []
    for half in range(2):
        length = min(zoom, len(first) // channels)
        begin = half * (length // 2) + (length // 2 - 2304) // 2
        heard += slow(first[begin * channels : (begin + 2304) * channels], channels, 2304)
    assert found.values[:2].tolist() == [min(heard), max(heard)]
    document = json.loads(found.encode("json", 8))
    assert list(document)[4:7] == ["bits", "coarse", "length"]
    assert document["coarse"] is True


def test_a_coarse_waveform_is_exact_where_pixels_are_short(cbr: str) -> None:
    found = made(cbr, "json", ("zoom", "4608"), ("coarse", "1"))
    assert found == made(cbr, "json", ("zoom", "4608"))
    assert "coarse" not in json.loads(found.encode("json", 8))


def test_a_coarse_waveform_goes_on_from_where_the_time_was_up(cbr: str) -> None:
    whole = made(cbr, "json", ("zoom", "5000"), ("coarse", "1"))
    partial, rounds = b"", 0
    while True:
        limits = Limits(work_seconds=Fraction(1, 200))
        try:
            found = made(cbr, "json", ("zoom", "5000"), ("coarse", "1"), limits=limits, partial=partial)
            break
        except PeaksTimeoutError as error:
            # On a busy machine so short a time may be over before it begins.
            assert len(error.partial) >= len(partial)
            partial, rounds = error.partial, rounds + 1
    assert rounds
    assert found == whole


@pytest.mark.parametrize(
    ("form", "pairs", "option"),
    [
        ("png", [], "format"),
        ("json", [("width", "5")], "width"),
        ("json", [("pixels", "5"), ("pixels", "5")], "pixels"),
        ("json", [("pixels", "5"), ("zoom", "5")], "zoom"),
        ("json", [("pixels", "0")], "pixels"),
        ("json", [("pixels", str(MAX_PIXELS + 1))], "pixels"),
        ("json", [("pixels", "-5")], "pixels"),
        ("json", [("pixels", "5.0")], "pixels"),
        ("json", [("zoom", "1")], "zoom"),
        ("json", [("zoom", "9" * 99)], "zoom"),
        ("json", [("bits", "24")], "bits"),
        ("json", [("coarse", "2")], "coarse"),
        ("json", [("t", "2,1")], "t"),
        ("json", [("t", "1"), ("t", "2")], "t"),
    ],
)
def test_refused_by_name(form: str, pairs: list[tuple[str, str]], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        PeaksRequest.parse(form, pairs)
    assert caught.value.option == option
    assert caught.value.allowed


def test_limits(cbr: str) -> None:
    with pytest.raises(TooLargeError, match="441000 pixels"):
        made(cbr, "json", ("zoom", "2"), limits=Limits(output_bytes=6_000_000))
    with pytest.raises(SpanOutsideError):
        made(cbr, "json", ("t", "20"))
