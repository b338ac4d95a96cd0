"""Every file that follows from the results: the page and its pictures."""

from .bars import Bar, bars
from .page import page
from .tables import Row, servers

JSON = "benchmarks.json"

#: (name, key of the number, title, whether more is better, whether a bar ten times as long is a hundred times as much)
CHARTS = (
    ("clips", "clips_per_second", "clips a second, 200 connections: longer is better", True, False),
    ("goodput", "goodput", "renders a second that came in time, of ten times too many: longer is better", True, False),
    (
        "beside",
        "clips_beside_p95_ms",
        "p95 of clips beside them, in ms, on a logarithmic scale: shorter is better",
        False,
        True,
    ),
    ("memory", "memory_mib", "memory at the peak, in MiB: shorter is better", False, False),
)


def files(results: Row) -> dict[str, str]:
    """Texts by the names of their files in docs/."""
    made = {"benchmarks.md": page(results)}
    for name, key, title, more, logarithmic in CHARTS:
        rows = servers(results, key, more=more)
        values = [Bar(each["name"], each["median"][key], each["ours"]) for each in rows]
        for theme in ("light", "dark"):
            made[f"benchmarks-{name}-{theme}.svg"] = bars(title, values, theme, logarithmic=logarithmic)
    return made
