"""The size of functions and files everywhere: a reader takes one in at a glance."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mp3_slicer

ROOT = Path(mp3_slicer.__file__).parent
MOST_FUNCTION_LINES = 50
#: Lines of a file, by folder.
MOST_LINES = {"cli": 150, "render": 300, "web": 300}


def functions(source: str) -> Iterator[tuple[str, int]]:
    """The name and the lines of each function, from its `def` to its last line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_are_short() -> None:
    found = {str(path.relative_to(ROOT)): functions(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}
    assert len(found) > 100
    assert [(path, *each) for path, each_of in found.items() for each in each_of if each[1] > MOST_FUNCTION_LINES] == []


@pytest.mark.parametrize("folder", MOST_LINES)
def test_files_are_short(folder: str) -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert lines
    assert {name: number for name, number in lines.items() if number > MOST_LINES[folder]} == {}


def test_a_long_function_is_measured() -> None:
    assert list(functions("@f\ndef g(\n    a,\n):\n    return a")) == [("g", 4)]
