"""The distribution: its name wherever it is printed, and the commit that a build says."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from mp3_slicer import __version__, distribution
from support.programs import git

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
import hatch_build  # noqa: E402 - it is no module of a package

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one file that a wheel is built of, and one that it is not."""
    folder = tmp_path / "checkout"
    (folder / "wsgi").mkdir(parents=True)
    (folder / "wsgi" / "one.py").write_text("1\n")
    (folder / "CHANGELOG.md").write_text("1\n")
    git(tmp_path, "init", "--quiet", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "One", "--date", "2026-01-02T03:04:05Z")
    return folder


def test_its_name_is_everywhere_the_same():
    assert PROJECT["name"] == distribution.NAME
    assert distribution.pip_install("jobs", "renders") == "pip install 'mp3-slicer[jobs,renders]'"
    printed = 0
    for path in [*(ROOT / "wsgi").rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.-])slicer\[\w|pip install '?slicer\b", text), path
        for extras in re.findall(r"\b(?:with_extras|pip_install)\(([^)*]*)\)", text):
            printed += 1
            assert {name.strip("\"' ") for name in extras.split(",")} <= set(PROJECT["optional-dependencies"]), path
    assert printed >= 6


def test_a_wheel_is_made_again_when_what_it_is_built_of_changes():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^SOURCES := find (.*?) \\$", makefile, re.MULTILINE)
    assert found
    assert found[1].split() == list(hatch_build.BUILT_OF)


def test_a_build_says_the_commit_of_what_it_is_built_of(checkout: Path):
    first = git(checkout, "rev-parse", "HEAD")
    said = hatch_build.commit_of(checkout)
    assert said == {"changed": False, "commit": first, "date": git(checkout, "log", "-1", "--format=%cs")}
    (checkout / "CHANGELOG.md").write_text("2\n")
    git(checkout, "commit", "--quiet", "--all", "--message", "Two")
    assert hatch_build.commit_of(checkout) == said, "the same wheel would be another one"
    (checkout / "wsgi" / "one.py").write_text("2\n")
    assert hatch_build.commit_of(checkout) == {**said, "changed": True}
    (checkout / "wsgi" / "one.py").write_text("1\n")
    (checkout / "wsgi" / "two.py").write_text("2\n")
    assert hatch_build.commit_of(checkout) == {**said, "changed": True}


def test_a_build_that_cannot_know_its_commit_says_none(checkout: Path, tmp_path: Path):
    assert hatch_build.commit_of(tmp_path) is None
    # A source archive that somebody unpacked in a repository of theirs.
    inside = checkout / "wsgi"
    assert hatch_build.commit_of(inside) is None
    known = {"changed": False, "commit": "1" * 40, "date": "2026-01-02"}
    (inside / hatch_build.COMMIT).write_text(json.dumps(known))
    assert hatch_build.commit_of(inside) == known


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ('{"changed": false, "commit": "0123456789abcdef", "date": "2026-01-02"}', " (commit 0123456789ab of 2026-01-02)"),
        ('{"changed": true, "commit": "0123456789abcdef", "date": "2026-01-02"}', " (commit 0123456789ab of 2026-01-02, changed since)"),
        ("{}", ""),
        ("[]", ""),
        ("not JSON", ""),
    ],
)  # fmt: skip
def test_the_version_with_its_commit(tmp_path: Path, text: str, added: str):
    assert distribution.version(str(tmp_path)) == __version__
    (tmp_path / distribution.COMMIT).write_text(text)
    assert distribution.version(str(tmp_path)) == __version__ + added
