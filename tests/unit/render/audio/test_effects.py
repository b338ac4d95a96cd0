"""What each effect does to the samples, and that it does it at the right place."""

import math
from array import array
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.render import OptionError, ToolError
from mp3_slicer.render.audio.effects import ChannelsPcm, FadePcm, GainPcm, JoinedPcm
from mp3_slicer.render.audio.filters import filtered
from mp3_slicer.render.audio.pcm import PartPcm, Pcm
from mp3_slicer.render.audio.scratch import Scratch
from mp3_slicer.render.audio.silence import without_silence
from mp3_slicer.render.frames import frames_after
from mp3_slicer.render.limits import Deadline
from unit.render.sounds import highest, lag, make, mono, pcm_of, rms, wav, write_mp3

RATE = 44_100


class Listed(Pcm):
    """Samples that are known, in blocks of any sizes."""

    def __init__(self, samples: list[int], channels: int = 1, sizes: tuple[int, ...] = (7, 64, 1000), rate: int = 1000):
        super().__init__(rate, channels, len(samples) // channels)
        self._data = array("h", samples).tobytes()
        self._sizes = sizes

    def blocks(self) -> Iterator[bytes]:
        at = turn = 0
        while at < len(self._data):
            size = self._sizes[turn % len(self._sizes)] * self.frame_bytes
            yield self._data[at : at + size]
            at, turn = at + size, turn + 1


def samples_of(pcm: Pcm) -> list[int]:
    samples = array("h", b"".join(pcm.blocks())).tolist()
    assert len(samples) == pcm.frames * pcm.channels
    assert array("h", b"".join(pcm.blocks())).tolist() == samples, "it can be had again"
    return samples


SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=5).map(tuple)


@given(st.integers(1, 400), st.data(), SIZES, st.integers(1, 2))
def test_a_fade_is_a_straight_line(frames: int, data: st.DataObject, sizes: tuple[int, ...], channels: int) -> None:
    first = data.draw(st.integers(0, frames))
    last = data.draw(st.integers(0, frames - first))
    heard = samples_of(FadePcm(Listed([20_000] * frames * channels, channels, sizes), first, last))
    for at in range(frames):
        gain = 1.0
        if at < first:
            gain = (at + 0.5) / first
        if at >= frames - last:
            gain = (frames - at - 0.5) / last
        steps = 4 / max(1, first if at < first else last)
        for value in heard[at * channels : (at + 1) * channels]:
            assert abs(value - 20_000 * gain) <= 20_000 * (steps if gain < 1 else 0) + 1


@given(st.lists(st.integers(-32_768, 32_767), min_size=40, max_size=300), SIZES, st.data())
def test_blocks_do_not_show_in_a_fade(samples: list[int], sizes: tuple[int, ...], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(samples)))
    last = data.draw(st.integers(0, len(samples) - first))
    assert samples_of(FadePcm(Listed(samples, 1, sizes), first, last)) == samples_of(
        FadePcm(Listed(samples, 1, (1000,)), first, last)
    )


@given(st.lists(st.integers(-30_000, 30_000), min_size=1, max_size=200), SIZES, st.data())
def test_a_part_is_a_slice(samples: list[int], sizes: tuple[int, ...], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(samples) - 1))
    last = data.draw(st.integers(first + 1, len(samples)))
    assert samples_of(PartPcm(Listed(samples, 1, sizes), first, last)) == samples[first:last]


@given(st.lists(st.integers(20, 120), min_size=1, max_size=4), st.integers(0, 10), SIZES)
def test_joined_parts_overlap(lengths: list[int], overlap: int, sizes: tuple[int, ...]) -> None:
    parts = [Listed([1000 * (number + 1)] * length, 1, sizes) for number, length in enumerate(lengths)]
    heard = samples_of(JoinedPcm(parts, overlap))
    assert len(heard) == sum(lengths) - overlap * (len(lengths) - 1)
    at = 0
    for number, length in enumerate(lengths):
        value = 1000 * (number + 1)
        inner = heard[at + (overlap if number else 0) : at + length - (overlap if number < len(lengths) - 1 else 0)]
        assert set(inner) <= {value}
        at += length - overlap
        mixed = heard[at : at + overlap] if number < len(lengths) - 1 else []
        assert all(value - 3 <= sample <= value + 1003 for sample in mixed), "no hole and no bump between them"
        assert mixed == sorted(mixed)


@given(st.lists(st.tuples(st.integers(-32_768, 32_767), st.integers(-32_768, 32_767)), min_size=1, max_size=99), SIZES)
def test_channels(pairs: list[tuple[int, int]], sizes: tuple[int, ...]) -> None:
    flat = [value for pair in pairs for value in pair]
    assert samples_of(ChannelsPcm(Listed(flat, 2, sizes), 1)) == [(left + right) // 2 for left, right in pairs]
    one = [left for left, _ in pairs]
    assert samples_of(ChannelsPcm(Listed(one, 1, sizes), 2)) == [value for value in one for _ in range(2)]


@pytest.mark.parametrize("decibels", [-60.0, -6.0, -0.5, 3.0, 12.0])
def test_gain(decibels: float) -> None:
    samples = [round(8000 * math.sin(at / 7)) for at in range(2000)]
    heard = samples_of(GainPcm(Listed(samples), decibels))
    factor = 10 ** (decibels / 20)
    assert max(abs(a - min(32_767, max(-32_768, b * factor))) for a, b in zip(heard, samples, strict=True)) <= 1


def test_what_is_too_loud_is_clipped_and_not_wrapped() -> None:
    assert samples_of(GainPcm(Listed([30_000, -30_000]), 6)) == [32_767, -32_768]


@pytest.mark.parametrize("decibels", ["-12", "-3", "3.5"])
def test_gain_of_a_render(tone: str, decibels: str) -> None:
    before, after = pcm_of(tone, "wav", ("t", "1,2")), pcm_of(tone, "wav", ("t", "1,2"), ("gain", decibels))
    assert rms(after) - rms(before) == pytest.approx(float(decibels), abs=0.1)


@pytest.mark.parametrize("form", ["wav", "mp3", "ogg"])
def test_fades_of_a_render(tone: str, form: str) -> None:
    left = pcm_of(tone, form, ("t", "1,4"), ("fade", "0.5,1"))[::2]
    full = rms(pcm_of(tone, form, ("t", "1,4"))[::2])
    for middle, gain in ((0.125, 0.25), (0.25, 0.5), (0.4, 0.8), (1.0, 1.0), (1.9, 1.0), (2.5, 0.5), (2.8, 0.2)):
        around = left[round((middle - 0.01) * RATE) : round((middle + 0.01) * RATE)]
        assert rms(around) - full == pytest.approx(20 * math.log10(gain), abs=0.4)
    assert highest(left[:20]) < -50
    assert highest(left[-20:]) < -50


def test_channels_of_a_render(cbr: str) -> None:
    both = pcm_of(cbr, "wav", ("t", "3,4"))
    one = pcm_of(cbr, "wav", ("t", "3,4"), ("channels", "1"))
    assert one.tolist() == [(a + b) // 2 for a, b in zip(both[::2], both[1::2], strict=True)]
    assert pcm_of(cbr, "wav", ("t", "3,4"), ("channels", "2")) == both


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 48_000])
def test_rate(tone: str, rate: int) -> None:
    with make(tone, "wav", ("t", "1,3.0001"), ("rate", str(rate))) as made:
        samples, got, _ = wav(made.read())
    assert got == made.rate == rate
    source = 88_204  # samples of 2.0001 s at 44.1 kHz
    assert made.samples == (2 * source * rate + RATE) // (2 * RATE)
    left = samples[::2]
    wanted = pcm_of(tone, "wav", ("t", "1,3.0001"))[::2]
    # The sine goes through the same values at the same times, up to the very end.
    for at in range(50, made.samples - 50, 997):
        there = at * RATE / rate
        low = int(there)
        between = wanted[low] + (wanted[low + 1] - wanted[low]) * (there - low)
        assert abs(left[at] - between) < 400
    assert abs(rms(left) - rms(wanted)) < 0.1


def test_rate_lets_nothing_through_that_it_cannot_hold(tmp_path) -> None:
    high = write_mp3(
        str(tmp_path / "high.mp3"), [0.5 * math.sin(at * 2 * math.pi * 7000 / RATE) for at in range(RATE)], RATE
    )
    assert rms(pcm_of(high, "wav", ("t", "0.2,0.8"), ("rate", "8000"))) < -50


@pytest.mark.parametrize("speed", ["0.5", "0.75", "1.25", "1.999", "2"])
def test_speed(tone: str, speed: str) -> None:
    """Another duration, to the sample, and the same pitch."""
    with make(tone, "wav", ("t", "1,5"), ("speed", speed)) as made:
        samples, rate, _ = wav(made.read())
    assert made.samples == frames_after(4 * RATE, RATE, Fraction(speed), RATE) == round(4 * RATE / float(speed))
    left = samples[::2]
    inner = left[rate // 4 : -rate // 4]
    crossings = sum(1 for a, b in pairwise(inner) if a < 0 <= b)
    assert crossings / (len(inner) / rate) == pytest.approx(1000, rel=0.01)
    assert rms(left[:2000]) == pytest.approx(rms(inner), abs=1.5), "it starts at once"
    assert rms(left[-1500:]) > rms(inner) - 6, "and goes on to the end"


def test_speed_keeps_marks_in_their_places(island: str) -> None:
    left = pcm_of(island, "wav", ("speed", "1.5"))
    loud = [at for at, value in enumerate(left) if abs(value) > 1000]
    assert loud[0] / RATE == pytest.approx(2 / 1.5, abs=0.03)
    assert loud[-1] / RATE == pytest.approx(4 / 1.5, abs=0.03)


def test_several_spans_are_joined_in_their_order(cbr: str) -> None:
    parts = [pcm_of(cbr, "wav", ("t", text)) for text in ("9,9.5", "2,2.7001", "4,5")]
    assert pcm_of(cbr, "wav", ("t", "9,9.5"), ("t", "2,2.7001"), ("t", "4,5")) == parts[0] + parts[1] + parts[2]


def test_crossfade_of_a_render(cbr: str) -> None:
    a, b = pcm_of(cbr, "wav", ("t", "9,10")), pcm_of(cbr, "wav", ("t", "2,3"))
    joined = pcm_of(cbr, "wav", ("t", "9,10"), ("t", "2,3"), ("crossfade", "0.25"))
    overlap = 11_025
    assert len(joined) == len(a) + len(b) - 2 * overlap
    assert joined[: len(a) - 2 * overlap] == a[: len(a) - 2 * overlap]
    assert joined[len(a) :] == b[2 * overlap :]
    tail, head = a[-2 * overlap :], b[: 2 * overlap]
    for at in range(0, 2 * overlap, 131):
        share = (at // 2 + 0.5) / overlap
        assert abs(joined[len(a) - 2 * overlap + at] - (tail[at] * (1 - share) + head[at] * share)) < 40


def test_trim(island: str) -> None:
    """Silence is taken off in windows of 10 ms."""
    with make(island, "wav", ("trim", "-40")) as made:
        heard, _, _ = wav(made.read())
    assert 2 * RATE <= made.samples <= 2 * RATE + 882 + 1105
    source = pcm_of(island, "wav")
    begin = lag_of(source, heard)
    assert 1.98 * RATE < begin <= 2 * RATE
    assert begin % 441 == 0
    assert source[begin : begin + len(heard)] == heard


def lag_of(source: array, part: array) -> int:
    wanted = part[:5000].tobytes()
    at = source.tobytes().index(wanted)
    return at // 2


def test_trim_is_of_each_span(island: str) -> None:
    one = pcm_of(island, "wav", ("t", "0,3"), ("trim", "-40"))
    assert len(pcm_of(island, "wav", ("t", "0,3"), ("t", "0,3"), ("trim", "-40"))) == 2 * len(one)


def test_trim_of_silence_says_so(island: str) -> None:
    with pytest.raises(OptionError, match="nothing is as loud") as caught:
        make(island, "wav", ("t", "0,1"), ("trim", "-40"))
    assert caught.value.option == "trim"


@given(st.integers(0, 500), st.integers(1, 500), st.integers(0, 500), SIZES)
def test_trim_finds_what_is_loud(before: int, loud: int, after: int, sizes: tuple[int, ...]) -> None:
    samples = [0] * before + [9000] * loud + [0] * after
    kept = without_silence(Listed(samples, 1, sizes), Fraction(-40))
    heard = samples_of(kept)
    assert heard.count(9000) == loud
    assert len(heard) - loud < 2 * 10


def test_effects_after_trim_know_the_length(island: str) -> None:
    assert rms(pcm_of(island, "wav", ("trim", "-40"), ("fade", "1,1"))[:2000]) < -40
    with pytest.raises(OptionError, match="longer than the result"):
        make(island, "wav", ("trim", "-40"), ("fade", "2,2"))
    with pytest.raises(OptionError, match="too long for span 1"):
        make(island, "wav", ("t", "0,3"), ("t", "0,3"), ("trim", "-40"), ("crossfade", "2"))


def test_streams_of_other_kinds_are_joined(cbr: str, stream, tmp_path) -> None:
    """A file whose rate and channels change: spans of both sides are brought to the first one's."""
    from support.cutting import index_of

    other = stream("mpeg2-22-joint-cbr64")
    third = stream("mpeg1-32-mono-cbr64")
    path = tmp_path / "changes.mp3"
    path.write_bytes(b"".join(Path(each).read_bytes() for each in (cbr, other, third)))
    index = index_of(str(path))
    assert len(index.segments) == 3
    begins = [float(sum(segment.seconds for segment in index.segments[:number])) for number in range(3)]
    texts = [f"{begin + 5:.3f},{begin + 6:.3f}" for begin in begins]
    heard = pcm_of(str(path), "wav", *[("t", text) for text in texts])
    assert len(heard) == 2 * 3 * RATE
    first = pcm_of(str(path), "wav", ("t", texts[0]))
    assert heard[: 2 * RATE] == first
    # The same sound in each, but for the place in the others' own encoding.
    wanted = mono(first, 2)[2000:6000]
    for number in (1, 2):
        part = mono(heard[2 * RATE * number : 2 * RATE * (number + 1)], 2)[2000:6000]
        assert rms(part) == pytest.approx(rms(wanted), abs=6)
    assert lag(wanted, wanted, 10) == 0


def test_filters_give_the_length_they_were_told() -> None:
    pcm = Listed([1000] * 500, rate=8000)
    with Scratch() as scratch:
        assert samples_of(filtered(pcm, [], 8000, 700, scratch, Deadline(60))) == [1000] * 500 + [0] * 200
        assert samples_of(filtered(pcm, [], 8000, 300, scratch, Deadline(60))) == [1000] * 300
        with pytest.raises(ToolError):
            filtered(pcm, ["nosuchfilter"], 8000, 300, scratch, Deadline(60))
