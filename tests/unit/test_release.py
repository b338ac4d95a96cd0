"""`scripts/release`: its checks, and the files that it builds."""

import datetime
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mp3_slicer import __version__
from support.programs import git, script

ROOT = Path(__file__).parents[2]
TODAY = datetime.date(2026, 3, 2)
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2026-03-01

### Added

- One.

## [1.2.2] - 2026-02-01

- Two.

[1.2.3]: docs/upgrades.md#from-122-to-123
[1.2.2]: https://example.org/1.2.2
"""


@pytest.fixture(scope="module")
def release():
    """scripts/release as a module."""
    return script("release")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository that is ready for its release."""
    folder = tmp_path / "checkout"
    (folder / "docs").mkdir(parents=True)
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    (folder / "docs" / "upgrades.md").write_text("# Upgrades\n\n## From 1.2.2 to 1.2.3\n")
    git(tmp_path, "init", "--quiet", str(folder))
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "One")


def test_a_release_that_is_ready(release, checkout: Path):
    assert list(release.problems(checkout, "1.2.3", TODAY)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## [Unreleased]\n", "## [Unreleased]\n\n- Three.\n", "entries under Unreleased"),
        ("[1.2.3] - 2026-03-01", "[1.2.3]", "no date for 1.2.3"),
        ("[1.2.3] - 2026-03-01", "[1.2.3] - soon", "no date for 1.2.3"),
        ("2026-03-01", "2026-03-03", "in the future"),
        ("## [1.2.3] -", "## [1.2.4] -", "first release in CHANGELOG.md is 1.2.4"),
        ("### Added\n\n- One.\n", "", "says nothing of 1.2.3"),
        ("[1.2.3]: docs/upgrades.md#from-122-to-123\n", "", "links 1.2.3 to nothing"),
        ("#from-122-to-123", "#from-here", "which is not there"),
        ("[1.2.2]: https://example.org/1.2.2\n", "", "links 1.2.2 to nothing"),
    ],
)
def test_a_changelog_that_is_not_ready(release, checkout: Path, old: str, new: str, said: str):
    assert old in CHANGELOG
    (checkout / "CHANGELOG.md").write_text(CHANGELOG.replace(old, new, 1))
    commit(checkout)
    (found,) = release.problems(checkout, "1.2.3", TODAY)
    assert said in found


def test_a_tree_that_is_not_ready(release, checkout: Path):
    (checkout / "new file").touch()
    (found,) = release.problems(checkout, "1.2.3", TODAY)
    assert "uncommitted changes" in found
    (checkout / "new file").unlink()
    git(checkout, "tag", "v1.2.3")
    (found,) = release.problems(checkout, "1.2.3", TODAY)
    assert "the tag v1.2.3 exists" in found


def test_the_changelog_of_this_version_is_dated_and_linked(release):
    # Between two releases there are entries under Unreleased, and uncommitted changes while somebody works.
    allowed = ("the tree ", "the tag ", "CHANGELOG.md has entries under Unreleased")
    found = release.problems(ROOT, __version__, datetime.date(9999, 1, 1))
    assert [line for line in found if not line.startswith(allowed)] == []


@pytest.mark.long
def test_what_a_release_is_made_of(tmp_path: Path):
    """The whole command in a clone of this checkout as it is, except the image, which has its own tests."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True, timeout=120)
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, check=True, capture_output=True, timeout=60).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    changelog = (clone / "CHANGELOG.md").read_text(encoding="utf-8")
    # What stands there between two releases.
    ready = re.sub(r"(## \[Unreleased\]\n).*?(?=^## )", r"\1\n", changelog, count=1, flags=re.MULTILINE | re.DOTALL)
    (clone / "CHANGELOG.md").write_text(ready, encoding="utf-8")
    commit(clone)
    git(clone, "config", "user.name", "A")
    git(clone, "config", "user.email", "a@example.org")
    for tag in git(clone, "tag").split():
        git(clone, "tag", "--delete", tag)
    command = [sys.executable, "scripts/release", "--no-image"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    made = clone / "dist" / __version__
    wheel, archive = f"mp3_slicer-{__version__}-py3-none-any.whl", f"mp3_slicer-{__version__}.tar.gz"
    names = {"SHA256SUMS", wheel, archive, f"mp3-slicer-{__version__}.cdx.json"}
    assert {path.name for path in made.iterdir()} == names
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made, check=True, timeout=60)
    with zipfile.ZipFile(made / wheel) as found:
        said = found.read("mp3_slicer/commit.json").decode()
    assert '"changed": false' in said
    assert git(clone, "cat-file", "-t", f"v{__version__}") == "tag"
    # A second one of the same version is refused.
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "exists" in done.stderr) == (1, True)
