"""The structure of the web folder: floors of imports, and no write into a request's environment."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mp3_slicer.web

WEB = Path(mp3_slicer.web.__file__).parent
PREFIX = "mp3_slicer.web."
MOST_FLOORS = 8
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.py")) if path.stem != "__init__"}
#: Names under which WSGI's environment goes.
ENVIRONMENTS = {"environ", "fields"}
WRITERS = {"update", "setdefault", "pop", "popitem", "clear", "__setitem__", "__delitem__"}


def imported(source: str) -> set[str]:
    """The modules of the web folder that a module of it imports when it runs, in functions too."""
    found = set()
    tree = ast.parse(source)
    typing = {
        each
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for each in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in typing and (node.module or "").startswith(PREFIX):
            found.add(str(node.module).removeprefix(PREFIX))
    return found


def floors(sources: dict[str, str]) -> dict[str, int]:
    """By module: how many modules stand on each other up to it. Fails on a circle."""
    beneath = {name: imported(source) for name, source in sources.items()}
    found: dict[str, int] = {}
    while len(found) < len(beneath):
        ready = {name for name, others in beneath.items() if name not in found and others <= set(found)}
        assert ready, f"imports go in a circle: {sorted(set(beneath) - set(found))}"
        found |= {name: 1 + max((found[other] for other in beneath[name]), default=0) for name in ready}
    return found


def writes(source: str) -> Iterator[int]:
    """The lines at which something is written into WSGI's environment, or into the fields of a request."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del) and is_environment(node.value):
            yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITERS:
            yield from [node.lineno] if is_environment(node.func.value) else []


def is_environment(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in ENVIRONMENTS


def test_there_are_few_floors_and_no_circle() -> None:
    found = floors(SOURCES)
    assert max(found.values()) <= MOST_FLOORS, found
    assert found["app"] == max(found.values())


def test_a_circle_is_seen() -> None:
    one = "from mp3_slicer.web.b import f"
    with pytest.raises(AssertionError, match="circle"):
        floors({"a": one, "b": "def f():\n    from mp3_slicer.web.a import g"})
    assert floors({"a": one, "b": ""}) == {"a": 2, "b": 1}


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_written_into_the_environment(name: str) -> None:
    assert list(writes(SOURCES[name])) == []


@pytest.mark.parametrize(
    "line",
    ["environ['x'] = 1", "request.fields['x'] = 1", "del environ['x']", "self.fields.update(x=1)", "environ['x'] += 1"],
)
def test_a_write_is_seen(line: str) -> None:
    assert list(writes(line)) == [1]
