"""Imports go one way: web → jobs → render → media → mp3, with settings beside them, server apart and cli on top."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "wsgi" / "slicer"
ENTRY = PACKAGE.parent / "slicer.wsgi"
#: By room: the rooms whose modules it may import, itself among them. `slicer` alone is the package: its version.
ALLOWED = {
    "mp3": {"mp3"},
    "media": {"media", "mp3", "lock"},
    "render": {"render", "media", "mp3", "lock"},
    "failures": {"render", "media", "mp3"},
    "jobs": {"jobs", "failures", "render", "media", "mp3", "counts", "settings"},
    "counts": {"counts", "lock"},
    "signing": {"signing", "media"},
    "web": {
        "web",
        "failures",
        "jobs",
        "render",
        "media",
        "mp3",
        "counts",
        "signing",
        "settings",
        "timeslice",
        "slicer",
    },
    "server": {"server", "signing", "settings", "timeslice", "slicer"},
    "settings": set(),
    "lock": set(),
    "timeslice": set(),
    "cli": {"web", "jobs", "render", "media", "mp3", "server", "signing", "settings", "slicer"},
    "slicer": set(),
    "__main__": {"cli"},
}
#: What the engine and what starts the server are made with: neither needs a package to be installed.
STANDARD_LIBRARY_ONLY = {"mp3", "media", "counts", "server", "settings", "signing", "lock", "timeslice"}
#: mod_wsgi is asked where its Apache is, if it is there.
EVERYWHERE = sys.stdlib_module_names | {"mod_wsgi"}
MODULES = sorted(PACKAGE.rglob("*.py"))
#: What decodes and encodes, and what imports that.
HEAVY = ("slicer.render.audio", "slicer.render.peaks", "slicer.render.produce")


def room_of(name: str) -> str:
    """The room of a module by its dotted name: slicer.web.app is in web, slicer itself in slicer."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "slicer"


def imported(source: str, rooms: set[str]) -> set[str]:
    """The dotted names that a module imports, wherever in it that stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            if node.module == "slicer":  # from slicer import cli
                names |= {f"slicer.{alias.name}" if alias.name in rooms else "slicer" for alias in node.names}
            else:
                names.add(node.module)
    return names


def offences(room: str, source: str) -> set[str]:
    """What a module of a room imports and must not."""
    found = set()
    for name in imported(source, set(ALLOWED)):
        if name.split(".")[0] == "slicer":
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


@pytest.mark.parametrize("path", [path for path in MODULES if dotted(path).startswith("slicer.render")], ids=dotted)
def test_what_a_render_can_be_needs_no_package(path: Path) -> None:
    """`web` takes the options of renders from `slicer.render`, in processes that never make one."""
    if dotted(path).startswith(HEAVY):
        return
    names = imported(path.read_text(), set(ALLOWED))
    assert {
        name for name in names if name.split(".")[0] not in EVERYWHERE | {"slicer"} or name.startswith(HEAVY)
    } == set()


def test_the_entry_point_knows_the_application_and_its_settings() -> None:
    assert imported(ENTRY.read_text(), set(ALLOWED)) == {"os", "slicer.settings", "slicer.web.app"}


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("mp3", "import slicer.media.store"),
        ("mp3", "from slicer.media import store"),
        ("mp3", "from slicer import settings"),
        ("mp3", "import slicer"),
        ("mp3", "def f():\n    from slicer.web.app import create_app"),
        ("mp3", "import werkzeug.http"),
        ("media", "from slicer.settings import Settings"),
        ("web", "from slicer.server import sizes"),
        ("web", "from slicer import cli"),
        ("server", "from slicer.mp3 import cut"),
        ("settings", "import slicer"),
    ],
)
def test_an_import_the_other_way_is_seen(room: str, line: str) -> None:
    assert offences(room, line)
