"""What is known before anything is decoded: the length of the result, what it takes, and whether that is allowed."""

from fractions import Fraction

import pytest

from mp3_slicer.mp3 import SpanOutsideError, SpanTooShortError
from mp3_slicer.render import FORMATS, Limits, OptionError, Plan, RenderRequest, TooLargeError, TooLongError, plan
from support.cutting import index_of
from unit.render.sounds import make


def planned(path: str, form: str, *pairs: tuple[str, str], limits: Limits | None = None) -> Plan:
    return plan(RenderRequest.parse(form, pairs), index_of(path), limits or Limits())


@pytest.mark.parametrize("form", FORMATS)
def test_the_result_has_the_planned_length(cbr: str, form: str) -> None:
    options = [("t", "1,3.0001"), ("t", "5,6.7"), ("crossfade", "0.3"), ("speed", "1.3"), ("fade", "0.2,0.2")]
    asked = planned(cbr, form, *options)
    with make(cbr, form, *options) as made:
        assert (made.samples, made.rate, made.channels) == (asked.output_frames, asked.output_rate, asked.channels)
        assert made.content_type == FORMATS[form].content_type
        low, high = (0.999, 1.001) if form == "wav" else (0.2, 1.1) if form == "flac" else (0.5, 1.5)
        assert low <= made.length / asked.estimate.output_bytes <= high


def test_limits(cbr: str) -> None:
    assert planned(cbr, "mp3", ("t", "1,3"), limits=Limits(span_seconds=Fraction(2))).frames == 88_200
    with pytest.raises(TooLongError, match=r"2\.001 s together and 2 s are allowed"):
        planned(cbr, "mp3", ("t", "1,3.001"), limits=Limits(span_seconds=Fraction(2)))
    with pytest.raises(TooLongError):
        planned(cbr, "mp3", ("t", "1,2"), ("t", "1,2.001"), limits=Limits(span_seconds=Fraction(2)))
    with pytest.raises(TooLargeError, match="352844 bytes and 352843 are allowed"):
        planned(cbr, "wav", ("t", "1,3"), limits=Limits(output_bytes=352_843))
    assert planned(cbr, "wav", ("t", "1,3"), limits=Limits(output_bytes=352_844))
    with pytest.raises(TooLargeError, match="memory"):
        planned(cbr, "wav", ("t", "1,3"), limits=Limits(memory_bytes=1 << 20))
    with pytest.raises(TooLongError, match=r"0\.1 s are allowed"):
        planned(cbr, "m4a", limits=Limits(work_seconds=Fraction(1, 10)))


def test_spans(cbr: str) -> None:
    with pytest.raises(SpanOutsideError):
        planned(cbr, "mp3", ("t", "20"))
    with pytest.raises(SpanTooShortError, match=r"0\.1 s is the shortest"):
        planned(cbr, "mp3", ("t", "1,1.0999"))
    with pytest.raises(SpanTooShortError, match=r"0\.5 s is the shortest"):
        planned(cbr, "mp3", ("t", "1,1.4"), limits=Limits(shortest_seconds=Fraction(1, 2)))
    assert planned(cbr, "mp3").frames == 882_000


@pytest.mark.parametrize(
    ("form", "pairs", "option"),
    [
        ("mp3", [("t", "1,2"), ("fade", "0.6,0.5")], "fade"),
        ("mp3", [("t", "1,3"), ("speed", "2"), ("fade", "0.6,0.5")], "fade"),
        ("mp3", [("t", "1,2"), ("t", "3,4"), ("crossfade", "1.1")], "crossfade"),
        ("mp3", [("t", "1,2"), ("t", "3,4"), ("t", "5,6"), ("crossfade", "0.6")], "crossfade"),
        ("mp3", [("bitrate", "24")], "bitrate"),
        ("mp3", [("rate", "22050"), ("bitrate", "320")], "bitrate"),
        ("ogg", [("bitrate", "32")], "bitrate"),
        ("opus", [("channels", "1"), ("bitrate", "320")], "bitrate"),
        ("m4a", [("rate", "8000"), ("channels", "1"), ("bitrate", "56")], "bitrate"),
    ],
)
def test_options_that_this_source_contradicts(cbr: str, form: str, pairs, option: str) -> None:
    with pytest.raises(OptionError) as caught:
        planned(cbr, form, *pairs)
    assert caught.value.option == option


def test_options_that_just_fit(cbr: str) -> None:
    assert planned(cbr, "mp3", ("t", "1,2"), ("fade", "0.5,0.5"))
    assert planned(cbr, "mp3", ("t", "1,2"), ("t", "3,4"), ("crossfade", "1")).frames == 44_100
    assert planned(cbr, "mp3", ("t", "1,2"), ("t", "3,4"), ("t", "5,6"), ("crossfade", "0.5")).frames == 88_200


def test_default_bitrates_are_among_those_there_are() -> None:
    for form in FORMATS.values():
        for rate in (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000):
            for channels in (1, 2):
                there_are = form.bitrates(form.output_rate(rate), channels)
                default = form.default_bitrate(form.output_rate(rate), channels)
                assert default in there_are if form.has_bitrate else default == 0 and not there_are
    assert FORMATS["mp3"].default_bitrate(44_100, 2) == 128
    assert FORMATS["opus"].default_bitrate(48_000, 1) == 64
