"""The check of units before they start: the release was made for the Python that the machine has now."""

import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROLES = Path(__file__).parents[3] / "ansible" / "roles"
UNITS = ("slicer/templates/slicer@.service.j2", "workers/templates/slicer-worker@.service.j2")


def command(unit: str, python: str) -> list[str]:
    """The words of the unit's ExecStartPre, as systemd reads them, for another Python."""
    (line,) = (line for line in (ROLES / unit).read_text().splitlines() if line.startswith("ExecStartPre="))
    _, *words = shlex.split(re.sub(r"\{\{.*?\}\}", "", line.removeprefix("ExecStartPre=")))
    # Its own names, such as %i, begin with one.
    assert all("%" not in word.replace("%%", "") for word in words)
    return [python, *(word.replace("%%", "%") for word in words)]


@pytest.mark.parametrize("unit", UNITS)
def test_a_release_of_another_python_says_what_to_do(unit: str, tmp_path: Path):
    path = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True, timeout=60)
    done = subprocess.run(command(unit, str(path / "bin" / "python")), capture_output=True, text=True, check=False)
    said = f"This release was not made for Python {platform.python_version()}: run the playbook again\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("unit", UNITS)
def test_a_release_of_this_python_starts(unit: str):
    done = subprocess.run(command(unit, sys.executable), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
