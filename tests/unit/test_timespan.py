"""Spans of time in a URL: the W3C's valid ones are read to the nanosecond, the invalid ones refused with a reason."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.timespan import TimeSpan, TimeSpanError

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "start", "end", "canonical"),
    [
        ("10,20", 10 * SECOND, 20 * SECOND, "10,20"),
        (",20", 0, 20 * SECOND, "0,20"),
        ("10", 10 * SECOND, None, "10"),
        ("npt:10,20", 10 * SECOND, 20 * SECOND, "10,20"),
        ("npt:,20", 0, 20 * SECOND, "0,20"),
        ("10.50,20.000", 10_500_000_000, 20 * SECOND, "10.5,20"),
        ("0:50:00,0:50:10.5", 3000 * SECOND, 3_010_500_000_000, "3000,3010.5"),
        ("50:00,50:10", 3000 * SECOND, 3010 * SECOND, "3000,3010"),
        ("100:00:00", 360_000 * SECOND, None, "360000"),
        ("0.000000001,0.1", 1, SECOND // 10, "0.000000001,0.1"),
        ("10.,20.", 10 * SECOND, 20 * SECOND, "10,20"),
        ("007,08", 7 * SECOND, 8 * SECOND, "7,8"),
    ],
)
def test_valid_spans(text: str, start: int, end: int | None, canonical: str) -> None:
    span = TimeSpan.parse(text)
    assert span == (start, end)
    assert span.canonical == canonical
    assert TimeSpan.parse(canonical) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "10,",
        "10,10",
        "20,10",
        "npt:",
        "npt:10,",
        "-1,2",
        "1,-2",
        "+1,2",
        "1e3,2e3",
        "nan,2",
        "inf",
        "1,2,3",
        "1 ,2",
        " 1,2",
        "1:2:3",
        "1:60:00",
        "1:00:60",
        "::1",
        "1:",
        "0x10",
        "1_000,2_000",
        "１,２",
        "٣,٤",
        "1.0000000001,2",
        "1234567890,1234567891",
        "smpte:1,2",
        "NPT:1,2",
        "1.2.3,4",
        "1;2",
        ".5,1",
        "9" * 100,
        "1\n,2",
        "²,3",
    ],
)
def test_invalid_spans(text: str) -> None:
    with pytest.raises(TimeSpanError):
        TimeSpan.parse(text)


@given(st.decimals(0, 10**8, places=9), st.decimals(Decimal("0.000000001"), 10**8, places=9))
def test_canonical_is_exact_and_stable(start: Decimal, length: Decimal) -> None:
    span = TimeSpan.parse(f"{start:f},{start + length:f}")
    assert (span.start, span.end) == (int(start * SECOND), int((start + length) * SECOND))
    again = TimeSpan.parse(span.canonical)
    assert again == span
    assert again.canonical == span.canonical


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        span = TimeSpan.parse(text)
    except TimeSpanError:
        return
    assert span.start >= 0
    assert span.end is None or span.end > span.start
