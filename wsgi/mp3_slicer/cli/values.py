"""The values of options, each read by a function for argparse, which raises ArgumentTypeError."""

import argparse
import re

_MAX_BYTES = 1 << 50
#: Plain decimals, as for settings.
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
_TEN_YEARS = 3650 * 86_400


def number(text: str) -> float:
    """Return a plain decimal."""
    if not _NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number, like 0.5")
    return float(text)


def whole(text: str) -> int:
    """Return a whole number."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number")
    return int(text)


def assumption(text: str) -> tuple[str, float]:
    """Return a cost and its value: clip-cpu=0.7."""
    name, _, value = text.partition("=")
    return name, number(value)


def processes(text: str) -> int:
    """Return a number of processes, 0 to 256."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 256):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 256")
    return int(text)


def size(text: str) -> int:
    """Return the bytes of a number with a unit: 512M, 4G."""
    units = {"K": 10, "M": 20, "G": 30, "T": 40}
    unit = units.get(text[-1:].upper(), 0)
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, like 4G")
    value = int(digits) << unit
    if value > _MAX_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is more memory than there is")
    return value


def seconds(text: str) -> int:
    """Return the seconds of a number with a unit: 90s, 30m, 1h, 7d."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:])
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9 and 0 < int(digits) * (unit or 1) <= _TEN_YEARS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 1s to 3650d, like 1h")
    return int(digits) * (unit or 1)
