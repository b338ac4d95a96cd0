"""Clips of what is found: within the audio, and within the limits of clips; and dates of files."""

from fractions import Fraction

import pytest

from mp3_slicer.catalogue import Hit, Named
from mp3_slicer.web.search import Lengths, clip_of, listed

LENGTHS = Lengths.of(Fraction(1, 10), Fraction(7200))


def clip(duration: int, *span: int, lengths: Lengths = LENGTHS) -> str | None:
    hit = Hit(span[0], span[1], "", []) if span else None
    return clip_of(Named(b"a b.mp3", "", "", "", "", duration, 1, 0, False), hit, lengths)


@pytest.mark.parametrize(
    ("duration", "span", "found"),
    [
        (20_000, (3000, 5500), "?t=3,5.5"),
        (20_000, (3000, 3100), "?t=3,4"),
        (20_000, (19_950, 21_000), "?t=19,21"),
        (20_000, (19_999, 20_000), "?t=19,20"),
        (500, (400, 450), "?t=0,1"),
        (9_000_000, (0, 7_290_000), "?t=0,7200"),
        (9_000_000, (500, 8_000_000), "?t=0.5,7200.5"),
        (20_000, (), ""),
        (7_200_000, (), "?t=0,7200"),
        (90_000_000, (), "?t=0,7200"),
    ],
)
def test_a_clip_is_within_the_audio_and_the_limits(duration: int, span: tuple[int, ...], found: str) -> None:
    assert clip(duration, *span) == f"/clips/a%20b.mp3{found}"


@pytest.mark.parametrize(
    ("duration", "span"), [(20_000, (20_000, 22_000)), (20_000, (50_000, 55_000)), (0, (1000, 3000)), (0, ()), (99, ())]
)
def test_where_no_clip_can_be_made_there_is_none(duration: int, span: tuple[int, ...]) -> None:
    assert clip(duration, *span) is None


def test_limits_that_are_no_whole_seconds() -> None:
    lengths = Lengths.of(Fraction(3, 2), Fraction(5, 2))
    assert lengths == (1500, 2000, 2000)
    assert clip(20_000, 3000, 3001, lengths=lengths) == "/clips/a%20b.mp3?t=3,5"
    assert clip(20_000, 3000, 9000, lengths=lengths) == "/clips/a%20b.mp3?t=3,5"
    assert clip(1400, lengths=lengths) is None
    # One length alone is allowed.
    assert clip(90_000, 89_000, 89_500, lengths=Lengths.of(Fraction(60), Fraction(60))) == "/clips/a%20b.mp3?t=29,89"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (13_569_465_600, "Sat, 01 Jan 2400 00:00:00 GMT"),
        (10**12, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (-(10**12), "Mon, 01 Jan 0001 00:00:00 GMT"),
    ],
)
def test_any_time_of_a_file_can_be_listed(seconds: int, shown: str) -> None:
    assert listed(b"a.mp3", 1, seconds * 10**9)["modified"] == shown
