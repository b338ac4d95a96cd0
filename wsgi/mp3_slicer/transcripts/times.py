"""Times as transcripts have them: 0:00:04.080, 00:01,5, 7.380, 12s. Milliseconds."""

import re
from typing import Any

#: With hours, with minutes, or seconds alone; 1 to 9 digits of fraction behind a point or a comma.
TIME = r"(?:[0-9]{1,4}:)?[0-9]{1,4}:[0-9]{1,2}(?:[.,][0-9]{1,9})?|[0-9]{1,9}[.,][0-9]{1,9}|[0-9]{1,9}"
_PARTS = re.compile(r"(?:(?:([0-9]{1,4}):)?([0-9]{1,4}):)?([0-9]{1,9})(?:[.,]([0-9]{1,9}))?", re.ASCII)


def milliseconds(text: str) -> int | None:
    """A time as text; None for what is none."""
    match = _PARTS.fullmatch(text.strip().removesuffix("s"))
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def of_seconds(value: Any) -> int | None:
    """A time of JSON: seconds as a number, or as text; None for what is none."""
    return _of(value, 1000)


def of_milliseconds(value: Any) -> int | None:
    """The same where a number means milliseconds."""
    return _of(value, 1)


def _of(value: Any, factor: int) -> int | None:
    if isinstance(value, str):
        return milliseconds(value)
    # Beyond a double's exact integers there is no time. JSON's integers may be longer than any double; NaN is not below either.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        return None
    return round(value * factor)
