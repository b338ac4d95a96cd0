"""Normalizing: by the highest sample, and by EBU R 128 as ffmpeg measures it."""

import pytest

from mp3_slicer.render import OptionError
from unit.render.sounds import bytes_of, highest, loudness, make, pcm_of


@pytest.mark.parametrize("target", ["0", "-1", "-6.5", "-30"])
def test_peak(cbr: str, target: str) -> None:
    assert highest(pcm_of(cbr, "wav", ("t", "3,6"), ("normalize", f"peak:{target}"))) == pytest.approx(
        float(target), abs=0.02
    )


def test_peak_is_of_what_comes_out(cbr: str) -> None:
    """After the fades, the channels and the rate, not before."""
    options = [("t", "3,6"), ("fade", "1,1"), ("channels", "1"), ("rate", "22050"), ("normalize", "peak:-3")]
    assert highest(pcm_of(cbr, "wav", *options)) == pytest.approx(-3, abs=0.02)


@pytest.mark.parametrize("form", ["wav", "mp3", "ogg", "opus", "m4a"])
def test_loudness_is_the_one_asked_for(cbr: str, form: str) -> None:
    data = bytes_of(cbr, form, ("t", "2,12"), ("fade", "1,2"), ("normalize", "ebu"))
    assert loudness(data, form) == pytest.approx(-23, abs=0.5)


@pytest.mark.parametrize("target", ["-31", "-16", "-12", "-9"])
@pytest.mark.parametrize("channels", ["1", "2"])
def test_loudness_beyond_the_headroom(cbr: str, target: str, channels: str) -> None:
    """Where gain alone would clip, a limiter keeps the samples below -1 dB, and the loudness is right all the same."""
    options = [("t", "2,12"), ("channels", channels), ("normalize", f"ebu:{target}")]
    data = bytes_of(cbr, "wav", *options)
    assert loudness(data, "wav") == pytest.approx(float(target), abs=0.5)
    assert highest(pcm_of(cbr, "wav", *options)) <= -0.9


def test_a_limited_result_is_where_it_was(cbr: str) -> None:
    from unit.render.sounds import lag

    plain = pcm_of(cbr, "wav", ("t", "2,12"))[::2]
    loud = pcm_of(cbr, "wav", ("t", "2,12"), ("normalize", "ebu:-9"))[::2]
    for begin in (100, len(plain) - 6100):
        assert lag(loud[begin : begin + 6000], plain[begin : begin + 6000], 50) == 0


@pytest.mark.parametrize("how", ["peak", "ebu"])
def test_silence_stays_silent(island: str, how: str) -> None:
    assert set(pcm_of(island, "wav", ("t", "0.2,1.5"), ("normalize", how))) <= {-1, 0, 1}


def test_what_cannot_be_measured_or_reached_says_so(cbr: str, tmp_path) -> None:
    from unit.render.sounds import write_mp3

    with pytest.raises(OptionError, match="too short"):
        make(cbr, "wav", ("t", "2,2.3"), ("normalize", "ebu"))
    samples = [0.0] * 44_100 * 3
    samples[::22_050] = [1.0] * 6
    clicks = write_mp3(str(tmp_path / "clicks.mp3"), samples, 44_100)
    with pytest.raises(OptionError, match="cannot be made as loud") as caught:
        make(clicks, "wav", ("normalize", "ebu:-9"))
    assert caught.value.option == "normalize"
