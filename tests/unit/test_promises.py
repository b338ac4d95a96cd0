"""The page on security names a test for each promise, and every test of an attack."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ATTACK = ROOT / "tests" / "attack"


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def named(text: str) -> list[Path]:
    """The tests that a text names, by their paths, or by their names where they are tests of attacks."""
    return [
        ROOT / name if name.startswith("tests/") else ATTACK / name
        for name in re.findall(r"`([\w/]*test_\w+\.py)`", text)
    ]


def test_each_promise_names_tests_that_there_are() -> None:
    rows = [row for row in section("Promises").splitlines() if row.startswith("| ")][2:]
    points = re.split(r"^- ", section("The application"), flags=re.MULTILINE)[1:]
    assert len(rows) > 5
    assert len(points) > 5
    for promise in [*rows, *points]:
        assert named(promise), promise
    assert [path for path in named(PAGE) if not path.is_file()] == []


def test_every_test_of_an_attack_is_named() -> None:
    assert set(ATTACK.glob("test_*.py")) <= set(named(PAGE))
