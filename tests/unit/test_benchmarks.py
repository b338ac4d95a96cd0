"""docs/benchmarks.md is what its results say, and says first where another server is ahead."""

import copy
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from contest.document.bars import Bar, bars
from contest.document.conclusions import QUESTIONS, ahead, conclusions, goals
from contest.document.files import JSON, files
from contest.document.others import met, missed, sections
from contest.document.page import page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OURS = "Slicer (mod_wsgi daemon)"
ROUND = {
    "clips_per_second": 1000.0,
    "clips_p50_ms": 180.0,
    "clips_p95_ms": 200.0,
    "clips_p99_ms": 220.0,
    "clips_failed": 0.0,
    "renders_per_second": 20.0,
    "offered_renders_per_second": 200.0,
    "goodput": 19.0,
    "goodput_of_capacity": 0.95,
    "good_p95_s": 0.4,
    "refused": 0.9,
    "refused_p50_s": 0.01,
    "refused_p95_s": 0.02,
    "lost": 0.0,
    "clips_beside_right": 1.0,
    "clips_beside_p50_ms": 5.0,
    "clips_beside_p95_ms": 20.0,
    "idle_processes": 50,
    "idle_memory_mib": 130.0,
    "processes": 50,
    "memory_mib": 140.0,
    "calm_s": 0.0,
    "before_right": 1.0,
    "killed_failed": 0.01,
    "answers_checked": 500,
    "wrong": 0,
}
ROW = {"what": "a thing", "median": 2.0, "low": 1.0, "high": 3.0, "unit": "ms", "wanted": "< 3"}


def server(name: str, **changes: float) -> dict[str, Any]:
    """One that is as good as Slicer's, but for the changes."""
    one = {**ROUND, **changes}
    slicer = name.startswith("Slicer")
    return {"name": name, "slicer": slicer, "ours": name == OURS, "why": "as it comes", "rounds": [one], "median": one}


def results(*servers: dict[str, Any]) -> dict[str, Any]:
    ways = [
        {"way": way, "where": where, "requests": 100, "wrong": 0 if way == "engine" else 7}
        for where in ("tornado", "pool")
        for way in ("position", "name", "engine")
    ]
    contest = {
        "date": "2026-01-02T03:04:05+00:00",
        "quick": False,
        "busy": 0.0,
        "seconds": 100,
        "machine": {"cpus": 2, "memory_gib": 4, "machine": "x86_64"},
        "lengths": {"capacity": 6, "overload": 20, "patience": 8, "calm": 60},
        "versions": {"python": "3.13.0"},
        "servers": [server(OURS), *servers],
        "left_out": {},
        "corruption": ways,
    }
    engine = {"date": contest["date"], "cpus": 2, "machine": "x86_64", "python": "3.13.0", "rows": [ROW]}
    return {"contest": contest, "others": {"engine": engine}}


def test_the_page_and_its_pictures_are_what_the_results_say() -> None:
    made = files(json.loads((DOCS / JSON).read_text(encoding="utf-8")))
    kept = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("benchmarks*") if path.name != JSON}
    assert kept == made, "make bench writes them anew, as does PYTHONPATH=tests python -m contest.document --again"


def test_the_contest_begins_as_make_begins_it() -> None:
    (line,) = re.findall(
        r"^\t(PYTHONPATH=\S+) \$\(PYTHON\) -m contest \$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"} | dict([line.split("=")])
    command = [sys.executable, "-m", "contest", "--only", "nobody"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert "no server's name begins with that" in done.stderr
    assert done.returncode == 2


def test_who_is_ahead_of_slicer_is_said_before_anything_else() -> None:
    text = ahead(results(server("fast", memory_mib=30.0, clips_per_second=2000.0), server("slow", goodput=1.0)))
    first, second, *others = text.replace("\n  ", " ").splitlines()
    assert first.startswith("- Clips a second")
    assert first.endswith(": fast (2,000); Slicer has 1,000/s.")
    assert second.startswith("- Peak memory")
    assert len(others) == 1 + sum(not question.goal for question in QUESTIONS) - 2
    assert all(": none; Slicer has" in line for line in others[1:])


def test_the_best_of_those_ahead_comes_first() -> None:
    text = ahead(results(server("good", clips_per_second=3000.0), server("better", clips_per_second=4000.0)))
    assert "better (4,000), good (3,000)" in text.replace("\n  ", " ")


def test_nobody_is_ahead_by_what_two_rounds_differ_by() -> None:
    text = ahead(results(server("same", clips_per_second=1.05 * ROUND["clips_per_second"], memory_mib=130.0)))
    assert text.startswith("No server is ahead of Slicer in anything else that was measured.")


def test_quick_answers_to_few_are_not_ahead() -> None:
    assert "few" not in ahead(results(server("few", clips_per_second=10.0, clips_p95_ms=1.0)))


@pytest.mark.parametrize(
    ("changes", "goodput", "p95"),
    [
        ({"goodput": 18.0, "clips_beside_p95_ms": 21.0}, "reached", "reached"),
        ({"goodput": 19.0, "clips_beside_p95_ms": 21.0}, "missed", "reached"),
        ({"goodput": 19.1, "clips_beside_p95_ms": 21.0}, "missed", "reached"),
        ({"goodput": 18.0, "clips_beside_p95_ms": 10.0}, "reached", "missed"),
    ],
)
def test_a_goal_is_missed_by_however_little(changes: dict[str, float], goodput: str, p95: str) -> None:
    worse = server("worse", goodput=1.0, clips_beside_p95_ms=3000.0)
    first, second = goals(results(worse, server("other", **changes))).replace("\n  ", " ").splitlines()
    for line, said, key in ((first, goodput, "goodput"), (second, p95, "clips_beside_p95_ms")):
        assert f"**: {said}. Slicer has {ROUND[key]:.0f}" in line
        assert line.endswith(" (other).")
        assert f"the best other server {changes[key]:.0f}" in line


def test_the_goals_come_first() -> None:
    text = page(results(server("other")))
    assert text.index("two goals") < text.index("## Who is ahead") < text.index("## What to conclude")


def test_slicer_otherwise_configured_is_not_another_server() -> None:
    found = results(server("Slicer (no limit in Nginx)", goodput=40.0, clips_per_second=4000.0))
    assert "no limit" not in ahead(found)
    assert "the fastest at cheap work" in conclusions(found)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "No server delays clips"),
        ({"clips_beside_p95_ms": 900.0}, "over ten times Slicer's 20 ms in other."),
        ({}, "Every server keeps at least 60 %"),
        ({"goodput_of_capacity": 0.1}, "below 60 % of capacity in other."),
        ({}, "Slicer (mod_wsgi daemon) and other refuse in less than 0.5 s."),
        ({"refused_p95_s": 3.0}, ", other later."),
        ({}, "No server grows much"),
        ({"processes": 200, "memory_mib": 900.0}, "other from 50 to 200 processes and from 130 to 900 MiB"),
        ({"killed_failed": 1.0}, "without a supervisor in other."),
        (
            {"slow_right": 0.0, "killed_failed": 1.0, "before_right": 0.5},
            "No server grows much under overload.\n- Slicer is also",
        ),
        ({"slow_right": 0.0}, "slow readers block other"),
        ({"clips_per_second": 3000.0}, "other serves 3 times as many clips"),
        ({}, "None of 1,000 responses was wrong"),
        ({"wrong": 3}, "3 of 1,000 responses were wrong, from other."),
    ],
)
def test_conclusions_follow_from_the_numbers(changes: dict[str, float], sentence: str) -> None:
    assert sentence in conclusions(results(server("other", **changes))).replace("\n  ", " ")


@pytest.mark.parametrize(("after", "sentence"), [(30.0, "from 900 to 30 ms"), (800.0, "does little for x")])
def test_what_a_limit_in_nginx_is_worth_follows_from_the_numbers(after: float, sentence: str) -> None:
    pair = server("x", clips_beside_p95_ms=900.0), server("x (renders limited)", clips_beside_p95_ms=after)
    assert sentence in conclusions(results(*pair)).replace("\n  ", " ")


def test_a_quick_run_and_a_busy_machine_are_marked() -> None:
    plain = results()
    assert "**" not in page(plain).partition("## Slicer's two goals")[0]
    for key, value, mark in (("quick", True, "**This was a quick run"), ("busy", 0.5, "**The machine was busy")):
        found = copy.deepcopy(plain)
        found["contest"][key] = value
        assert mark in page(found).partition("## Slicer's two goals")[0]
        assert ("choose wrong ones" in page(found)) == (key == "busy")


def test_what_did_not_run_is_named_with_its_reason() -> None:
    found = results()
    found["contest"]["left_out"] = {"other": "it is for Python 2"}
    assert "- **other**: it is for Python 2." in page(found).partition("## Left out")[2]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("< 3", True),
        ("≤ 2", True),
        ("> 1,200", False),
        ("≥ 2", True),
        ("0", False),
        ("2", True),
        ("flat", None),
        ("", None),
    ],
)
def test_what_is_wanted_is_compared(wanted: str, said: bool | None) -> None:
    assert met({**ROW, "wanted": wanted}) is said


def test_what_other_benchmarks_missed_is_said() -> None:
    found = results()
    found["others"]["engine"]["rows"].append({**ROW, "what": "another", "wanted": "> 5"})
    assert list(missed(found["others"])) == ["another"]
    assert "> 5 (missed)" in sections(found["others"])
    assert "miss 1 of their" in conclusions(found).replace("\n  ", " ")
    assert "`make bench-http`" in sections(found["others"]).rpartition("Without results so far")[2]


def test_a_chart_is_an_image_in_proportion() -> None:
    text = bars("a & b", [Bar("x", 50, True), Bar("<y>", 100, False), Bar("z", 0, False)], "dark")
    widths = [float(each.get("width", 0)) for each in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[0] * 2 == pytest.approx(widths[1], abs=0.2)
    assert widths[2] == 1
    assert 400 < widths[1] < 500
