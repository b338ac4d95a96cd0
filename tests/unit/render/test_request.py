"""Reading options: what is known, in range and in agreement is read exactly; everything else is refused by its name."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mp3_slicer.media.source import open_file
from mp3_slicer.render import FORMATS, OptionError, PeaksRequest, RenderRequest, Version
from mp3_slicer.render.formats import RATES
from mp3_slicer.render.options import MAX_SPANS, RENDER_OPTIONS
from mp3_slicer.render.values import Normalize
from support.cutting import index_of

SOURCE = Version(b"a.mp3", 3, 4, 5)


def test_everything_is_read() -> None:
    text = "fade=0.5,1&gain=-3.25&channels=1&rate=22050&speed=1.5&trim=-50&crossfade=0.125&bitrate=64&t=3000,3010&t=npt:1:00:00,"
    pairs = [part.split("=") for part in (text + "1:00:01.50").split("&")]
    request = RenderRequest.parse("mp3", [(name, value) for name, value in pairs])
    assert (request.fade, request.gain) == ((Fraction(1, 2), 1), Fraction(-13, 4))
    assert (request.channels, request.rate, request.speed, request.trim) == (1, 22_050, Fraction(3, 2), -50)
    assert (request.crossfade, request.bitrate) == (Fraction(1, 8), 64)
    assert request.canonical == (
        "t=3000,3010&t=3600,3601.5&fade=0.5,1&gain=-3.25&channels=1&rate=22050&speed=1.5&trim=-50&crossfade=0.125&bitrate=64"
    )


@pytest.mark.parametrize(
    ("option", "value", "canonical"),
    [
        ("t", "0:50,", None),
        ("t", ",10", "t=0,10"),
        ("fade", "0,0.000", "t=0"),
        ("fade", "0.100,0", "t=0&fade=0.1,0"),
        ("gain", "0", "t=0"),
        ("gain", "-0.0", "t=0"),
        ("gain", "-0.5", "t=0&gain=-0.5"),
        ("gain", "24.000", "t=0&gain=24"),
        ("normalize", "peak", "t=0&normalize=peak:-1"),
        ("normalize", "peak:-1.0", "t=0&normalize=peak:-1"),
        ("normalize", "ebu", "t=0&normalize=ebu:-23"),
        ("normalize", "ebu:-16.5", "t=0&normalize=ebu:-16.5"),
        ("speed", "1.000", "t=0"),
        ("speed", "00001.5", "t=0&speed=1.5"),
        ("channels", "2", "t=0&channels=2"),
        ("crossfade", "0", "t=0"),
    ],
)
def test_one_spelling(option: str, value: str, canonical: str | None) -> None:
    if canonical is None:
        with pytest.raises(OptionError):
            RenderRequest.parse("mp3", [(option, value)])
    else:
        assert RenderRequest.parse("mp3", [(option, value)]).canonical == canonical


def test_opus_has_its_rate_always() -> None:
    assert RenderRequest.parse("opus", [("rate", "48000")]).canonical == "t=0"


@pytest.mark.parametrize(
    ("form", "pairs", "option"),
    [
        ("aac", [], "format"),
        ("", [], "format"),
        ("MP3", [], "format"),
        ("mp3", [("tempo", "1")], "tempo"),
        ("mp3", [("", "1")], ""),
        ("mp3", [("x" * 5000, "1")], "x" * 50),
        ("mp3", [("gain", "1"), ("gain", "1")], "gain"),
        ("mp3", [("fade", "1")], "fade"),
        ("mp3", [("fade", "1,2,3")], "fade"),
        ("mp3", [("fade", "-1,0")], "fade"),
        ("mp3", [("fade", "61,0")], "fade"),
        ("mp3", [("fade", ",")], "fade"),
        ("mp3", [("gain", "24.001")], "gain"),
        ("mp3", [("gain", "-60.001")], "gain"),
        ("mp3", [("gain", "1.0001")], "gain"),
        ("mp3", [("gain", "nan")], "gain"),
        ("mp3", [("gain", "inf")], "gain"),
        ("mp3", [("gain", "1e1")], "gain"),
        ("mp3", [("gain", "+3")], "gain"),
        ("mp3", [("gain", "3.")], "gain"),
        ("mp3", [("gain", ".5")], "gain"),
        ("mp3", [("gain", "1/2")], "gain"),
        ("mp3", [("gain", "1_0")], "gain"),
        ("mp3", [("gain", "٣")], "gain"),
        ("mp3", [("gain", " 3")], "gain"),
        ("mp3", [("gain", "3\n")], "gain"),
        ("mp3", [("gain", "0" * 100)], "gain"),
        ("mp3", [("gain", "000003")], "gain"),
        ("mp3", [("normalize", "rms")], "normalize"),
        ("mp3", [("normalize", "peak:")], "normalize"),
        ("mp3", [("normalize", "peak:1")], "normalize"),
        ("mp3", [("normalize", "ebu:-40")], "normalize"),
        ("mp3", [("normalize", "peak"), ("gain", "1")], "gain"),
        ("mp3", [("channels", "3")], "channels"),
        ("mp3", [("channels", "01")], "channels"),
        ("mp3", [("rate", "44101")], "rate"),
        ("mp3", [("rate", "")], "rate"),
        ("opus", [("rate", "44100")], "rate"),
        ("mp3", [("speed", "0.499")], "speed"),
        ("mp3", [("speed", "2.001")], "speed"),
        ("mp3", [("trim", "-19")], "trim"),
        ("mp3", [("crossfade", "1")], "crossfade"),
        ("mp3", [("crossfade", "11"), ("t", "1"), ("t", "2")], "crossfade"),
        ("mp3", [("bitrate", "130")], "bitrate"),
        ("wav", [("bitrate", "128")], "bitrate"),
        ("flac", [("bitrate", "128")], "bitrate"),
        ("mp3", [("t", "20,10")], "t"),
        ("mp3", [("t", "1")] * (MAX_SPANS + 1), "t"),
    ],
)
def test_refused_by_name(form: str, pairs: list[tuple[str, str]], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        RenderRequest.parse(form, pairs)
    assert caught.value.option == option
    assert caught.value.message
    assert caught.value.allowed
    assert len(str(caught.value)) < 400


NAMES = st.sampled_from([*RENDER_OPTIONS, "download", "T", "fade "])
VALUES = st.one_of(
    st.text(max_size=100),
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,2},[0-9]{1,2}(\.[0-9])?", fullmatch=True),
    st.sampled_from(
        ["peak", "ebu", "peak:-3", "ebu:-14", "1", "2", "nan", "-inf", "1e400", "\0", "%00", *map(str, RATES)]
    ),
)


@given(st.sampled_from([*FORMATS, "exe"]), st.lists(st.tuples(NAMES, VALUES), max_size=6))
@example("mp3", [("speed", "0.500")])
def test_hostile_options_are_read_or_refused(form: str, pairs: list[tuple[str, str]]) -> None:
    try:
        request = RenderRequest.parse(form, pairs)
    except OptionError as error:
        assert error.allowed
        return
    # Its own spelling is read as the same request, and is short and plain.
    canonical = request.canonical
    again = RenderRequest.parse(form, [tuple(part.split("=")) for part in canonical.split("&")])  # type: ignore[misc]
    assert (again, again.canonical) == (request, canonical)
    assert canonical.isascii()
    assert len(canonical) < 2000
    assert again.key(SOURCE) == request.key(SOURCE)


@given(
    st.sampled_from(["json", "dat", "png"]),
    st.lists(st.tuples(st.sampled_from(["t", "pixels", "zoom", "bits", "coarse", "part", "fade"]), VALUES), max_size=4),
)
def test_hostile_options_of_peaks(form: str, pairs: list[tuple[str, str]]) -> None:
    try:
        request = PeaksRequest.parse(form, pairs)
    except OptionError as error:
        assert error.allowed
        return
    again = PeaksRequest.parse(form, [tuple(part.split("=")) for part in request.canonical.split("&")])  # type: ignore[misc]
    assert (again, again.key(SOURCE)) == (request, request.key(SOURCE))


def test_the_key_is_of_all_that_makes_the_bytes() -> None:
    request = RenderRequest.parse("mp3", [("t", "1,2")])
    keys = {
        request.key(SOURCE),
        RenderRequest.parse("ogg", [("t", "1,2")]).key(SOURCE),
        RenderRequest.parse("mp3", [("t", "1,3")]).key(SOURCE),
        RenderRequest.parse("mp3", [("t", "1,2"), ("gain", "1")]).key(SOURCE),
        PeaksRequest.parse("json", [("t", "1,2")]).key(SOURCE),
        PeaksRequest.parse("dat", [("t", "1,2")]).key(SOURCE),
        PeaksRequest.parse("json", [("t", "1,2"), ("bits", "16")]).key(SOURCE),
        PeaksRequest.parse("json", [("t", "1,2"), ("coarse", "1")]).key(SOURCE),
        PeaksRequest.parse("json", [("t", "1,2")]).partial_key(SOURCE),
        PeaksRequest.parse("json", [("t", "1,2"), ("coarse", "1")]).partial_key(SOURCE),
        PeaksRequest.parse("json", [("t", "1,2"), ("part", "1")]).key(SOURCE),
        PeaksRequest.parse("json", [("t", "1,2"), ("part", "1")]).partial_key(SOURCE),
        *(request.key(SOURCE._replace(**{name: 9})) for name in ("size", "mtime_ns", "proof")),
    }
    assert len(keys) == 15
    assert all(len(key) == 40 and int(key, 16) >= 0 for key in keys)
    assert RenderRequest.parse("mp3", [("t", "npt:0:01,2.000"[:4] + "1,2.000")]).key(SOURCE) == request.key(SOURCE)


def test_a_copy_that_kept_its_time_is_the_same(cbr: str, tmp_path: Path) -> None:
    """On whatever disk: servers that share results find each other's."""
    shutil.copy2(cbr, tmp_path / "copy.mp3")
    versions = []
    for path in (cbr, str(tmp_path / "copy.mp3")):
        with open_file(path) as source:
            versions.append(Version.of(b"a.mp3", source.identity, index_of(path)))
    assert versions[0] == versions[1]
    assert os.stat(cbr).st_ino != os.stat(tmp_path / "copy.mp3").st_ino


def test_normalize_is_a_pair() -> None:
    assert RenderRequest.parse("mp3", [("normalize", "ebu:-16")]).normalize == Normalize("ebu", Fraction(-16))
