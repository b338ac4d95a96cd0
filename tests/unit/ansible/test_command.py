"""The command of a provisioned machine takes a site's settings, and runs as its user."""

import getpass
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from support import templates

ROLE = Path(__file__).parents[3] / "ansible" / "roles" / "slicer"
#: Stands for Python: it tells its arguments and its environment.
SAYS = '#!/bin/sh\necho "$@"\nenv | grep ^SLICER_ | sort\n'


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """The command, with settings as the role writes them."""
    (tmp_path / "current/bin").mkdir(parents=True)
    (tmp_path / "current/bin/python").write_text(SAYS)
    (tmp_path / "current/bin/python").chmod(0o755)
    variables = {
        "_slicer_root": str(tmp_path),
        "_slicer_etc": str(tmp_path),
        "_slicer_users": {"main": getpass.getuser(), "other": "slicer-other"},
        "_slicer_started_with": [],
        "slicer_listen": "127.0.0.1",
        "slicer_jobs_brokers": {},
        "item": {
            **yaml.safe_load((ROLE / "defaults/main.yml").read_text())["slicer_instances"][0],
            "media": '/srv/a "$x" `y` \\z',
            "cpus": 1,
            "memory_mib": 512,
            "signed": [],
            "settings": {"SLICER_CLIP_MAX_AGE": "5"},
        },
    }
    files = [ROLE / "defaults/main.yml"]
    templates.write(ROLE / "templates/instance.env.j2", str(tmp_path / "main.env"), files, variables)
    templates.write(ROLE / "templates/slicer-command.j2", str(tmp_path / "slicer"), files, variables)
    return tmp_path / "slicer"


def said(command: Path, *arguments: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        ["sh", command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_a_site_brings_its_settings(command: Path) -> None:
    status, lines, errors = said(command, "--site", "main", "jobs", "list")
    assert (status, errors) == (0, "")
    assert lines[0] == "-P -m mp3_slicer jobs list"
    assert 'SLICER_MEDIA=/srv/a "$x" `y` \\z' in lines
    assert {"SLICER_CLIP_MAX_AGE=5", "SLICER_INDEX_DIR=/var/cache/slicer/main"} <= set(lines)


def test_the_index_of_a_site_is_that_of_its_media(command: Path) -> None:
    assert said(command, "--site", "main", "index")[1][0] == '-P -m mp3_slicer index /srv/a "$x" `y` \\z'
    assert said(command, "--site", "main", "index", "/srv")[1][0] == "-P -m mp3_slicer index /srv"


def test_without_a_site_nothing_is_set(command: Path) -> None:
    assert said(command, "doctor", "--host") == (0, ["-P -m mp3_slicer doctor --host"], "")


def test_what_cannot_be_is_said(command: Path) -> None:
    assert said(command, "--site", "../main", "index") == (
        2,
        [],
        "slicer: no site is called '../main'; there are: main, other\n",
    )
    assert "run it as root" in said(command, "--site", "other", "index")[2]
