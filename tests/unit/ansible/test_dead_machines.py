"""A machine that cannot be reached stops the playbook for no other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ANSIBLE = Path(__file__).parents[3] / "ansible"
LOCAL: dict[str, Any] = {"ansible_connection": "local"}
#: Nothing listens on this port.
DEAD: dict[str, Any] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def inventory(work: Path, **slicers: dict[str, Any]) -> Path:
    """An inventory of an edge, which is this machine, and some slicers."""
    everyone = {"ansible_python_interpreter": sys.executable, "ansible_become": False}
    groups = {
        "all": {"vars": everyone},
        "edge": {"hosts": {"edge1": {**LOCAL, "slicer_address": "10.0.0.1"}}},
        "slicers": {"hosts": slicers},
    }
    (work / "hosts.yml").write_text(yaml.safe_dump(groups))
    return work / "hosts.yml"


def ansible(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible in the playbook's folder."""
    return subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def learn(hosts: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run of the playbook only what it begins and ends with."""
    return ansible("ansible-playbook", "-i", hosts, "site.yml", "--tags", "none", *arguments)


def upstreams(hosts: Path) -> list[str]:
    """The slicers that an edge would be given, with its facts unread: all from notes."""
    role = yaml.safe_load((ANSIBLE / "roles/slicer/defaults/main.yml").read_text())
    given = json.dumps({"slicer_instances": role["slicer_instances"]})
    done = ansible(
        "ansible", "edge", "-i", hosts, "--playbook-dir", ".", "-m", "debug", "-a", "var=nginx_sites", "-e", given
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = yaml.safe_load(done.stdout.partition("=>")[2].strip())
    return [each["address"] for each in found["nginx_sites"][0]["upstreams"]]


def test_a_dead_slicer_is_named_and_stays_where_it_was(tmp_path: Path) -> None:
    one = {**LOCAL, "slicer_address": "10.0.0.2"}
    hosts = inventory(tmp_path, slicer1=one, slicer2=DEAD)
    unknown = learn(hosts)
    assert unknown.returncode != 0
    assert "slicer2 could not be reached, and no earlier run has noted anything of it" in unknown.stdout
    # What a run that reaches it notes of it.
    noted = json.loads((tmp_path / ".machines/slicer1.json").read_text())
    assert {name: type(value) for name, value in noted.items()} == {"address": str, "cpus": int, "memory_mib": int}
    (tmp_path / ".machines/slicer2.json").write_text(json.dumps({**noted, "address": "10.0.0.3"}))
    dead = learn(hosts)
    assert dead.returncode == 4
    assert "Not reached, and left as they were: slicer2." in dead.stdout
    assert [
        line for line in dead.stdout.splitlines() if line.startswith(("edge1 ", "slicer1 ")) and "failed=0" not in line
    ] == []
    # Who is left out is not even asked.
    left_out = learn(hosts, "--limit", "edge1")
    assert left_out.returncode == 0, left_out.stdout
    assert "unreachable=1" not in left_out.stdout
    assert upstreams(hosts) == ["10.0.0.2", "10.0.0.3"]
