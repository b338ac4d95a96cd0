"""The results of the other benchmarks: a section with a table for each."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .bars import number_of
from .tables import table

#: In the document's order: what it is, and what it is measured against.
TITLES = {
    "engine": "Cutting alone",
    "http": "Clips over HTTP, without Nginx",
    "edge": "Nginx and its cache in front",
    "render": "Renders",
    "jobs": "Jobs, and clients that wait for them",
    "objects": "Media in object storage",
    "search": "Searches",
    "studio": "The studio page in Chromium",
    "growth": "Growth",
}

_WANTED = re.compile(r"(≥|≤|<=|>=|<|>)? ?([\d,.]+)$")


def met(row: Mapping[str, Any]) -> bool | None:
    """Whether a row's median is as wanted; None where nothing is wanted, or nothing that is a number."""
    found = _WANTED.match(row["wanted"])
    if not found:
        return None
    value, bound = row["median"], float(found[2].replace(",", ""))
    return {
        "≥": value >= bound,
        ">=": value >= bound,
        "≤": value <= bound,
        "<=": value <= bound,
        "<": value < bound,
        ">": value > bound,
        None: value == bound,
    }[found[1]]


def missed(others: Mapping[str, Any]) -> Iterator[str]:
    """What every row is about whose median is not as wanted."""
    for result in others.values():
        yield from (row["what"] for row in result["rows"] if met(row) is False)


def wanted(others: Mapping[str, Any]) -> int:
    """How many rows are held to a number."""
    return sum(met(row) is not None for result in others.values() for row in result["rows"])


def sections(others: Mapping[str, Any]) -> str:
    """All that there are results of, and a line for those without."""
    parts = []
    for name, result in others.items():
        rows = [
            [
                row["what"],
                _short(row["median"], row["unit"]),
                "" if row["low"] == row["high"] else f"{_short(row['low'], '')} … {_short(row['high'], '')}",
                row["wanted"] + (" (missed)" if met(row) is False else ""),
            ]
            for row in result["rows"]
        ]
        parts.append(f"### {TITLES[name]}\n")
        parts.append(f"`make bench-{name}`, {result['date'][:10]}, {result['cpus']} CPUs, Python {result['python']}.\n")
        parts.append(table(["what", "median", "lowest … highest", "wanted"], rows) + "\n")
    absent = [name for name in TITLES if name not in others]
    if absent:
        parts.append(f"Without results so far: {', '.join(f'`make bench-{name}`' for name in absent)}.\n")
    return "\n".join(parts).rstrip()


def _short(value: float, unit: str) -> str:
    text = f"{value:.2f}" if 0.1 <= abs(value) < 10 and value != int(value) else number_of(value)
    return f"{text} {unit}".rstrip() if unit not in ("×", "") else f"{text}{unit}"
