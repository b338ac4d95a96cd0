"""Logs are checked each hour on slicers and on edges, by one copy of the timer's settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import ROOT

ANSIBLE = ROOT / "ansible"


def test_one_file_has_the_settings_of_the_timer() -> None:
    having = [path for path in ANSIBLE.rglob("*.yml") if "OnCalendar=hourly" in path.read_text()]
    assert having == [ANSIBLE / "roles/slicer/tasks/rotation.yml"]


@pytest.mark.parametrize("group", ["slicers", "edge"])
def test_each_machine_with_logs_gets_them(group: str, tmp_path: Path) -> None:
    """By the tags of its own role, too."""
    hosts = tmp_path / "hosts.ini"
    hosts.write_text("".join(f"[{each}]\n{each}1 ansible_connection=local\n" for each in ("slicers", "edge")))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", hosts, "site.yml", "--list-tasks"]
    tag = {"slicers": "slicer_configure", "edge": "nginx_configure"}[group]
    done = subprocess.run(
        [*command, "--tags", tag, "--limit", f"{group}1"],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    plays = done.stdout.split("\n  play #")
    having = [play for play in plays if "slicer : Check the size of logs each hour" in play]
    assert [play.split("(")[1].split(")")[0] for play in having] == [group if group == "edge" else "slicers:workers"]
