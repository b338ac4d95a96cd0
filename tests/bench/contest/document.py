"""Writes the results as a page with pictures, beside their JSON. `python -m contest.document FILE` does only that."""

import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

OURS = "mod_wsgi daemon (Slicer)"
#: A difference smaller than this is none, on a machine where rounds differ by as much.
SAME = 0.1

Row = Mapping[str, Any]


def _number(value: float | None, digits: int = 0, unit: str = "") -> str:
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def _spread(server: Row, key: str, digits: int = 0, factor: float = 1) -> str:
    """A median, with the lowest and the highest where there were several rounds."""
    values = [factor * each[key] for each in server["rounds"] if key in each]
    if not values:
        return "–"
    median = _number(factor * server["median"][key], digits)
    return median if len(values) == 1 else f"{median} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _servers(results: Row, key: Callable[[Row], float]) -> list[Row]:
    return sorted(results["servers"], key=key)


def clips(results: Row) -> str:
    """The table of clips alone."""
    rows = [
        [
            each["name"],
            _spread(each, "clips_per_second"),
            _spread(each, "clips_p50_ms"),
            _spread(each, "clips_p95_ms"),
            _spread(each, "clips_p99_ms"),
            _spread(each, "clips_failed"),
        ]
        for each in _servers(results, lambda each: -each["median"]["clips_per_second"])
    ]
    return _table(["server", "clips/s", "p50 ms", "p95 ms", "p99 ms", "failed"], rows)


def overload(results: Row) -> str:
    """The table of ten times as many renders as can be made."""
    rows = [
        [
            each["name"],
            _spread(each, "renders_per_second", 1),
            _spread(each, "goodput_of_capacity", 0, 100),
            _spread(each, "refused", 0, 100),
            _spread(each, "refused_p95_s", 1),
            _spread(each, "lost", 0, 100),
            _spread(each, "clips_beside_right", 0, 100),
            _spread(each, "clips_beside_p95_ms"),
            _spread(each, "calm_s", 1),
            _spread(each, "wrong"),
        ]
        for each in _servers(results, lambda each: each["median"]["clips_beside_p95_ms"])
    ]
    head = ["server", "renders/s alone", "goodput %", "refused %", "refusal p95 s", "no answer %"]
    return _table([*head, "clips right %", "clips p95 ms", "calm after s", "wrong"], rows)


def size(results: Row) -> str:
    """The table of processes and memory, of slow clients and killed workers."""
    rows = [
        [
            each["name"],
            f"{each['median']['idle_processes']:.0f} → {each['median']['processes']:.0f}",
            f"{each['median']['idle_memory_mib']:.0f} → {each['median']['memory_mib']:.0f}",
            _spread(each, "slow_right", 0, 100),
            _spread(each, "slow_p95_ms"),
            _spread(each, "killed_failed", 1, 100),
        ]
        for each in _servers(results, lambda each: each["median"]["memory_mib"])
    ]
    head = ["server", "processes", "memory MiB", "clips right beside slow clients %", "their p95 ms"]
    return _table([*head, "failed around a killed worker %"], rows)


def configurations(results: Row) -> str:
    """What each was started with."""
    return "\n".join(f"- **{each['name']}**: {each['why']}." for each in results["servers"])


def left_out(results: Row) -> str:
    """What did not run, and why."""
    found = results["left_out"]
    return "\n".join(f"- **{name}**: {why.splitlines()[0]}" for name, why in found.items()) or "Every one of them ran."


def corruption(results: Row) -> str:
    """The table of wrong answers."""
    names = {
        "position": "one open file, `seek` and `read` from several threads",
        "name": "one temporary file name for all requests",
        "engine": "Slicer's engine",
    }
    rows = [
        [
            names[each["way"]],
            f"{each['requests']:,}",
            f"{each['wrong']:,}",
            f"{100 * each['wrong'] / each['requests']:.2g} %",
        ]
        for each in results["corruption"]
    ]
    return _table(["way", "answers", "wrong", ""], rows)


def ahead(results: Row) -> str:
    """Who is ahead of us, and where; said first."""
    by_name = {each["name"]: each["median"] for each in results["servers"]}
    ours = by_name.get(OURS)
    if ours is None:
        return "Slicer's own server took no part in this run."
    questions: list[tuple[str, str, bool]] = [
        ("clips a second with nothing else to do", "clips_per_second", True),
        (
            "goodput of renders at ten times what can be made, as a part of what can be made",
            "goodput_of_capacity",
            True,
        ),
        ("the 95th percentile of clips meanwhile", "clips_beside_p95_ms", False),
    ]
    lines = []
    for what, key, more in questions:
        own = ours[key]
        better = [
            (name, median[key])
            for name, median in by_name.items()
            if name != OURS and (median[key] > own * (1 + SAME) if more else median[key] < own * (1 - SAME))
        ]
        better.sort(key=lambda pair: -pair[1] if more else pair[1])
        if better:
            named = ", ".join(f"{name} ({_short(value)})" for name, value in better)
            lines.append(f"- In {what} these are ahead of Slicer's {_short(own)}: {named}.")
        else:
            lines.append(f"- In {what} none is ahead of Slicer's {_short(own)}.")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def page(results: Row) -> str:
    """The whole document."""
    machine = results["machine"]
    made = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    quick = "\n**This was a quick run: one short round. Look, but do not quote.**\n" if results["quick"] else ""
    return TEXT.format(
        quick=quick,
        cpus=machine["cpus"],
        machine=machine["machine"],
        date=results["date"][:10],
        rounds=max(len(each["rounds"]) for each in results["servers"]),
        made=made,
        ahead=ahead(results),
        clips=clips(results),
        overload=overload(results),
        size=size(results),
        corruption=corruption(results),
        configurations=configurations(results),
        left_out=left_out(results),
    )


TEXT = (pathlib.Path(__file__).with_name("page.md")).read_text(encoding="utf-8")


def pictures(results: Row, folder: pathlib.Path) -> None:
    """Two bar charts, each for a light and a dark page, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    charts = (
        ("benchmarks-clips", "clips_per_second", "clips a second, 200 connections", True),
        ("benchmarks-overload", "clips_beside_p95_ms", "p95 of clips in ms, beside ten times too many renders", False),
    )
    for theme, ink, own, other in (
        ("light", "#1f2328", "#0969da", "#8c959f"),
        ("dark", "#e6edf3", "#58a6ff", "#6e7681"),
    ):
        for name, key, title, more in charts:
            rows = _servers(results, lambda each, key=key, more=more: each["median"][key] * (1 if more else -1))
            with plt.rc_context(
                {
                    "text.color": ink,
                    "axes.labelcolor": ink,
                    "xtick.color": ink,
                    "ytick.color": ink,
                    "axes.edgecolor": ink,
                    "svg.hashsalt": name,
                    "font.size": 9,
                }
            ):
                figure, axes = plt.subplots(figsize=(8, 0.32 * len(rows) + 1), layout="constrained")
                values = [each["median"][key] for each in rows]
                colors = [own if each["name"] == OURS else other for each in rows]
                bars = axes.barh([each["name"] for each in rows], values, color=colors)
                axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, color=ink)
                axes.set_title(title, loc="left")
                axes.spines[["top", "right"]].set_visible(False)
                axes.margins(x=0.12)
                if not more:
                    axes.set_xscale("log")
                figure.savefig(folder / f"{name}-{theme}.svg", transparent=True, metadata={"Date": None})
                plt.close(figure)


def write(path: str) -> pathlib.Path:
    """Write page and pictures beside results; the path of the page."""
    results = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    folder = pathlib.Path(path).parent
    (folder / "benchmarks.md").write_text(page(results), encoding="utf-8")
    pictures(results, folder)
    return folder / "benchmarks.md"


if __name__ == "__main__":
    print(f"wrote {write(sys.argv[1])}")
