"""Values of options: decimals with at most three digits behind the point, and levels."""

import re
from fractions import Fraction
from typing import Any, Literal, NamedTuple

#: Up to five digits, and three behind the point: no exponent, no "nan", no digits of other scripts.
_NUMBER = re.compile(r"-?[0-9]{1,5}(?:\.[0-9]{1,3})?", re.ASCII)


def plain(value: Fraction) -> str:
    """A number of at most three decimals as text, without zeros that say nothing."""
    whole, rest = divmod(abs(value) * 1000, 1000)
    text = f"{whole}.{int(rest):03d}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


class Range(NamedTuple):
    """The values a number may have, both ends allowed, and their unit."""

    low: Fraction
    high: Fraction
    unit: str

    def __str__(self) -> str:
        return f"{plain(self.low)} to {plain(self.high)} {self.unit}, with at most 3 decimals"

    def read(self, text: str) -> Fraction:
        """The number. Raises ValueError."""
        value = Fraction(text) if _NUMBER.fullmatch(text) else None
        if value is None:
            raise ValueError(f"{text!r} is not a number")
        if not self.low <= value <= self.high:
            raise ValueError(f"{text!r} is out of range")
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        low, high = (int(end) if end.denominator == 1 else float(end) for end in (self.low, self.high))
        return {"type": "number", "minimum": low, "maximum": high, "multipleOf": 0.001}


class Normalize(NamedTuple):
    """A level to bring the result to: its highest sample in dB of full scale, or its loudness in LUFS."""

    kind: Literal["peak", "ebu"]
    target: Fraction
