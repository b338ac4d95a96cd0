"""Imports go one way: web → jobs → render → media → mp3, with settings beside them, server apart and cli on top."""

import ast
import sys
from pathlib import Path

import pytest

from mp3_slicer.cli.main import COMMANDS

PACKAGE = Path(__file__).parents[2] / "wsgi" / "mp3_slicer"
ENTRY = PACKAGE.parent / "slicer.wsgi"
#: By room: the rooms whose modules it may import, itself among them. `mp3_slicer` alone is the package: its version.
ALLOWED = {
    "errors": set(),
    "timespan": {"errors"},
    "encoded": set(),
    "atomic": set(),
    "parent": set(),
    "lock": set(),
    "timeslice": set(),
    "settings": {"errors"},
    "distribution": {"mp3_slicer"},
    "mp3": {"mp3", "errors"},
    "transcripts": {"transcripts", "encoded", "errors"},
    "tags": {"tags", "encoded", "errors"},
    "media": {"media", "mp3", "errors", "atomic", "lock"},
    "pictures": {"media", "tags", "errors"},
    "catalogue": {"catalogue", "pictures", "media", "mp3", "transcripts", "tags", "errors", "atomic", "lock"},
    "objects": {"objects", "media", "mp3", "errors", "settings"},
    "render": {"render", "media", "mp3", "errors", "timespan", "lock"},
    "failures": {"render", "media", "mp3", "errors", "timespan"},
    "jobs": {
        "jobs",
        "failures",
        "render",
        "objects",
        "media",
        "mp3",
        "counts",
        "errors",
        "parent",
        "settings",
        "timeslice",
    },
    "counts": {"counts", "atomic", "lock"},
    "signing": {"signing", "errors", "timespan"},
    "web": {
        *{
            "web",
            "jobs",
            "failures",
            "render",
            "objects",
            "catalogue",
            "pictures",
            "media",
            "transcripts",
            "tags",
            "mp3",
            "counts",
            "signing",
        },
        *{"distribution", "errors", "settings", "timespan", "timeslice", "mp3_slicer"},
    },
    "server": {"server", "signing", "distribution", "errors", "parent", "settings", "mp3_slicer"},
    "doctor": {"doctor", "server", "distribution", "errors", "settings"},
    "capacity": {"capacity", "server", "errors", "settings"},
    "cli": {
        *{
            "cli",
            "web",
            "jobs",
            "render",
            "objects",
            "catalogue",
            "media",
            "mp3",
            "server",
            "doctor",
            "capacity",
            "signing",
        },
        *{"atomic", "distribution", "errors", "parent", "settings", "timespan", "mp3_slicer"},
    },
    "mp3_slicer": set(),
    "__main__": {"cli"},
}
#: What the engine and what starts the server are made with: neither needs a package to be installed.
STANDARD_LIBRARY_ONLY = {
    *{"mp3", "media", "transcripts", "tags", "catalogue", "counts", "signing", "server", "doctor", "capacity"},
    *{"atomic", "distribution", "errors", "parent", "settings", "timespan", "lock", "timeslice"},
}
#: mod_wsgi is asked where its Apache is, if it is there.
EVERYWHERE = sys.stdlib_module_names | {"mod_wsgi"}
MODULES = sorted(PACKAGE.rglob("*.py"))
#: What decodes and encodes, and what imports that.
HEAVY = tuple(f"mp3_slicer.render.{name}" for name in ("audio", "drawing", "peaks", "produce"))


def room_of(name: str) -> str:
    """The room of a module by its dotted name: mp3_slicer.web.app is in web, mp3_slicer itself in mp3_slicer."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "mp3_slicer"


def imported(source: str, rooms: set[str]) -> set[str]:
    """The dotted names that a module imports, wherever in it that stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            if node.module == "mp3_slicer":  # from mp3_slicer import cli
                names |= {f"mp3_slicer.{alias.name}" if alias.name in rooms else "mp3_slicer" for alias in node.names}
            else:
                names.add(node.module)
    return names


def offences(room: str, source: str) -> set[str]:
    """What a module of a room imports and must not."""
    found = set()
    for name in imported(source, set(ALLOWED)):
        if name.split(".")[0] == "mp3_slicer":
            if room_of(name) not in ALLOWED[room]:
                found.add(name)
        elif room in STANDARD_LIBRARY_ONLY and name.split(".")[0] not in EVERYWHERE:
            found.add(name)
    return found


def test_every_module_has_its_room() -> None:
    assert len(MODULES) > 30
    assert {room_of(dotted(path)) for path in MODULES} <= set(ALLOWED)


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_one_way(path: Path) -> None:
    assert offences(room_of(dotted(path)), path.read_text()) == set()


@pytest.mark.parametrize("path", [path for path in MODULES if dotted(path).startswith("mp3_slicer.render")], ids=dotted)
def test_what_a_render_can_be_needs_no_package(path: Path) -> None:
    """`web` takes the options of renders from `mp3_slicer.render`, in processes that never make one."""
    if dotted(path).startswith(HEAVY):
        return
    names = imported(path.read_text(), set(ALLOWED))
    assert {
        name for name in names if name.split(".")[0] not in EVERYWHERE | {"mp3_slicer"} or name.startswith(HEAVY)
    } == set()


def test_the_entry_point_knows_the_application_and_its_settings() -> None:
    assert imported(ENTRY.read_text(), set(ALLOWED)) == {"os", "mp3_slicer.settings", "mp3_slicer.web.app"}


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("mp3", "import mp3_slicer.media.store"),
        ("mp3", "from mp3_slicer.media import store"),
        ("mp3", "from mp3_slicer import settings"),
        ("mp3", "import mp3_slicer"),
        ("mp3", "def f():\n    from mp3_slicer.web.app import create_app"),
        ("mp3", "import werkzeug.http"),
        ("media", "from mp3_slicer.settings import Settings"),
        ("web", "from mp3_slicer.server import sizes"),
        ("web", "from mp3_slicer import cli"),
        ("server", "from mp3_slicer.mp3 import cut"),
        ("server", "from mp3_slicer.doctor import install"),
        ("doctor", "import tqdm"),
        ("failures", "from mp3_slicer.web.problems import Problem"),
        ("settings", "import mp3_slicer"),
    ],
)
def test_an_import_the_other_way_is_seen(room: str, line: str) -> None:
    assert offences(room, line)


def test_the_command_line_catches_what_is_no_defect() -> None:
    """Whatever says that the program itself is wrong is left alone, so that a bug shows its traceback."""
    defects = {"ValueError", "LookupError", "KeyError", "IndexError", "TypeError", "AttributeError", "RuntimeError"}
    for path in (PACKAGE / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path.name}:{node.lineno}"
                caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
                assert not caught & defects, f"{path.name}:{node.lineno}"
                # New code that cannot be imported, whatever is wrong with it, takes no server's place.
                assert path.name == "drain.py" or not caught & {"Exception", "BaseException"}


#: Kinds of OSError, and what nothing but the worker may catch.
NOT_BASED = {"SourceUnavailableError", "StoreError", "NoRoomError", "FolderBusyError", "UnwantedError"}


def test_errors_have_one_base_and_are_in_its_tree() -> None:
    tree = (PACKAGE / "errors.py").read_text()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef) or not node.name.endswith(("Error", "Problem")):
                continue
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            if node.name in NOT_BASED:
                assert node.name in tree
            elif node.name != "SlicerError":
                assert len(bases) == 1, node.name
                assert not bases & {"Exception", "ValueError", "LookupError", "RuntimeError", "OSError"}, node.name
            if bases == {"SlicerError"}:
                assert node.name in tree, f"errors.py does not show {node.name}"


#: Lines of a file of the command line, and of a function in one, at most.
MOST_LINES, MOST_OF_FUNCTION = 150, 50


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")), ids=lambda path: path.name)
def test_the_command_line_is_in_small_files(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MOST_OF_FUNCTION, node.name


def test_every_command_is_a_module_with_the_same_two_functions() -> None:
    files = {path.stem: path.read_text() for path in (PACKAGE / "cli").glob("*.py")}
    commands = set(files) - {"__init__", "main", "errors", "values", "options", "batches", "tally", "waveforms"}
    assert commands == set(COMMANDS)
    for name in commands:
        functions = {node.name for node in ast.parse(files[name]).body if isinstance(node, ast.FunctionDef)}
        assert {"add_arguments", "run"} <= functions
