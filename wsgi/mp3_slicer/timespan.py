"""The `t` of a URL: a span of time as in W3C Media Fragments 1.0 section 4.2.1, normal play time, parsed as decimals.

`10,20` `,20` `10` `npt:10,0:00:20.5` are spans; `,` `10,` `10,10` `20,10` are none. Times are kept as whole nanoseconds, so nothing
is rounded before a sample rate is known.
"""

import re
from typing import NamedTuple, Self

from mp3_slicer.errors import SlicerError

_SECOND = 1_000_000_000
_MAX_TEXT = 80
_MAX_DIGITS = 9
# Seconds up to 9 digits, or minutes and seconds, or hours with them; up to 9 digits of fraction: a nanosecond.
_TIME = re.compile(r"(?:(?:([0-9]{1,6}):)?([0-5][0-9]):([0-5][0-9])|([0-9]{1,9}))(?:\.([0-9]{0,9}))?", re.ASCII)

ALLOWED = "t=start,end in seconds, mm:ss or hh:mm:ss, with at most 9 decimals, like t=10,20 or t=,20 or t=10 or t=npt:0:00:10,0:00:20.5"


class TimeSpanError(SlicerError):
    """A text that is not a span of time; the message says why."""


class TimeSpan(NamedTuple):
    """Nanoseconds from the first sample; `end` is None where the span goes on to the end of the audio."""

    start: int
    end: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a span. Raises TimeSpanError on anything Media Fragments calls invalid, and on an empty span."""
        if len(text) > _MAX_TEXT:
            raise TimeSpanError("it is too long")
        body = text.removeprefix("npt:")
        first, comma, second = body.partition(",")
        if not first and not second:
            raise TimeSpanError("it names no time")
        if comma and not second:
            raise TimeSpanError("nothing follows the comma")
        start = _nanoseconds(first) if first else 0
        end = _nanoseconds(second) if comma else None
        if end is not None and end <= start:
            raise TimeSpanError("it is empty: the end is not after the start")
        return cls(start, end)

    @property
    def canonical(self) -> str:
        """The canonical spelling: plain seconds without trailing zeros, the start always named."""
        start = _text(self.start)
        return start if self.end is None else f"{start},{_text(self.end)}"


def _nanoseconds(text: str) -> int:
    if text.isdecimal() and text.isascii() and len(text) <= _MAX_DIGITS:
        return int(text) * _SECOND
    match = _TIME.fullmatch(text)
    if not match:
        hint = ": minutes and seconds need two digits" if ":" in text else ""
        raise TimeSpanError(f"{text!r} is not a time{hint}")
    hours, minutes, seconds, plain, fraction = match.groups()
    whole = int(plain) if plain else int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole * _SECOND + (int(fraction.ljust(9, "0")) if fraction else 0)


def _text(nanoseconds: int) -> str:
    whole, rest = divmod(nanoseconds, _SECOND)
    return f"{whole}.{rest:09d}".rstrip("0") if rest else str(whole)
