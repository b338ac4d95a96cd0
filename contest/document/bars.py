"""Bar charts as SVG: small, and the same text for the same numbers whatever is installed."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

#: Pixels: of the whole, of the names, of a row, of a bar, and of the numbers behind the longest bar.
WIDTH, NAMES, ROW, BAR, NUMBERS = 800, 270, 22, 14, 60
TOP = 34
#: Of text, of our own bar, of the others, by theme; against the page's background each has at least 3:1.
COLORS = {"light": ("#1f2328", "#0969da", "#818b98"), "dark": ("#e6edf3", "#4493f8", "#7d8590")}


class Bar(NamedTuple):
    """A named number that is not negative."""

    name: str
    value: float
    ours: bool


def bars(title: str, rows: Sequence[Bar], theme: str, *, logarithmic: bool = False) -> str:
    """A chart of one bar for each row, from top to bottom as they come."""
    ink, own, other = COLORS[theme]
    height = TOP + ROW * len(rows) + 6
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{ink}" role="img" aria-label="{escape(title)}">',
        f'<text x="4" y="18" font-weight="600">{escape(title)}</text>',
    ]
    most = max((_length(row.value, logarithmic) for row in rows), default=0) or 1
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        length = (WIDTH - NAMES - NUMBERS) * _length(row.value, logarithmic) / most
        weight = ' font-weight="600"' if row.ours else ""
        lines += [
            f'<text x="{NAMES - 8}" y="{y + 12}" text-anchor="end"{weight}>{escape(row.name)}</text>',
            f'<rect x="{NAMES}" y="{y + 1}" width="{max(length, 1):.1f}" height="{BAR}" fill="{own if row.ours else other}"/>',
            f'<text x="{NAMES + max(length, 1) + 5:.1f}" y="{y + 12}"{weight}>{number_of(row.value)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def _length(value: float, logarithmic: bool) -> float:
    """In no unit: 0 for nothing. On a logarithmic scale bars begin at 1."""
    return math.log10(max(value, 1)) if logarithmic else value


def number_of(value: float) -> str:
    """With two digits at least, and none that say nothing."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == 0 else f"{value:.2g}"
