"""The contest's tables."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

WIDTH = 130


def number(value: float, digits: int = 0) -> str:
    """With commas, and so many digits after the point."""
    return f"{value:,.{digits}f}"


def spread(server: Row, key: str, digits: int = 0, factor: float = 1) -> str:
    """A median, with the lowest and the highest where there were several rounds; a dash where it was not measured."""
    values = [factor * each[key] for each in server["rounds"] if key in each]
    if not values:
        return "–"
    median = number(factor * server["median"][key], digits)
    low, high = number(min(values), digits), number(max(values), digits)
    return median if low == high else f"{median} ({low}–{high})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown: names to the left, numbers to the right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def servers(results: Row, key: str, *, more: bool) -> list[Row]:
    """The best first. Where two are the same, as they stand in the results."""
    return sorted(results["contest"]["servers"], key=lambda each: each["median"][key] * (-1 if more else 1))


def _name(server: Row) -> str:
    return f"**{server['name']}**" if server["ours"] else server["name"]


def clips(results: Row) -> str:
    """Clips alone."""
    rows = [
        [
            _name(each),
            spread(each, "clips_per_second"),
            spread(each, "clips_p50_ms"),
            spread(each, "clips_p95_ms"),
            spread(each, "clips_p99_ms"),
            spread(each, "clips_failed"),
        ]
        for each in servers(results, "clips_per_second", more=True)
    ]
    return table(["server", "clips/s", "p50 ms", "p95 ms", "p99 ms", "failed"], rows)


def renders(results: Row) -> str:
    """What becomes of ten times as many renders as can be made."""
    rows = [
        [
            _name(each),
            spread(each, "renders_per_second", 1),
            spread(each, "offered_renders_per_second"),
            spread(each, "goodput", 1),
            spread(each, "goodput_of_capacity", 0, 100),
            spread(each, "good_p95_s", 1),
            spread(each, "refused", 0, 100),
            spread(each, "refused_p95_s", 2) if each["median"]["refused"] else "–",
            spread(each, "lost", 0, 100),
        ]
        for each in servers(results, "goodput", more=True)
    ]
    head = ["server", "can make /s", "asked for /s", "in time /s", "of what it can %", "their p95 s", "refused %"]
    return table([*head, "refusal p95 s", "no answer %"], rows)


def beside(results: Row) -> str:
    """What becomes of clips meanwhile, and afterwards."""
    rows = [
        [
            _name(each),
            spread(each, "clips_beside_right", 0, 100),
            spread(each, "clips_beside_p50_ms"),
            spread(each, "clips_beside_p95_ms"),
            spread(each, "calm_s", 1),
            spread(each, "answers_checked"),
            spread(each, "wrong"),
        ]
        for each in servers(results, "clips_beside_p95_ms", more=False)
    ]
    head = ["server", "clips answered %", "p50 ms", "p95 ms", "calm after s", "answers compared", "wrong bytes"]
    return table(head, rows)


def size(results: Row) -> str:
    """Processes and memory, slow clients and killed workers."""
    rows = [
        [
            _name(each),
            f"{each['median']['idle_processes']:.0f} → {each['median']['processes']:.0f}",
            f"{each['median']['idle_memory_mib']:.0f} → {each['median']['memory_mib']:.0f}",
            spread(each, "slow_right", 0, 100),
            spread(each, "slow_p95_ms"),
            spread(each, "killed_failed", 1, 100),
        ]
        for each in servers(results, "memory_mib", more=False)
    ]
    head = ["server", "processes", "memory MiB", "clips answered beside slow clients %", "their p95 ms"]
    return table([*head, "failed around a killed worker %"], rows)


def corruption(results: Row) -> str:
    """Wrong answers by mistake."""
    names = {
        "position": "one open file, `seek` and `read` from several threads",
        "name": "one temporary file name for all requests",
        "engine": "Slicer's engine",
    }
    places = {"tornado": "over HTTP, in Tornado's handlers", "pool": "in the pool alone"}
    rows = [
        [
            f"{names[each['way']]}, {places[each['where']]}",
            number(each["requests"]),
            number(each["wrong"]),
            f"{100 * each['wrong'] / max(1, each['requests']):.2g}",
        ]
        for each in results["contest"]["corruption"]
    ]
    return table(["way", "clips", "wrong", "%"], rows)


def items(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of names, each with a sentence."""
    return "\n".join(wrap(f"- **{name}**: {text}.", "  ") for name, text in pairs)


def wrap(text: str, indent: str = "") -> str:
    """In lines that can be read in any editor."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
