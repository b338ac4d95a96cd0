"""The play for hosts of the group monitoring, as site.yml has it, with this machine as every host: Prometheus's files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's")


def play(place: Path, **changes: Any) -> str:
    """Run the play; what it printed."""
    hosts = {
        "edge": {"edge1": {"slicer_address": "10.0.0.11"}, "edge2": {"slicer_address": "fd00::12"}},
        "slicers": {name: {"slicer_address": f"10.0.0.2{name[-1]}"} for name in ("slicer1", "slicer2")},
        "monitoring": {"watch": {"slicer_address": "10.0.0.31"}},
    }
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "slicer_instances": [
            {"name": name, "media": "/srv/audio", "port": port, "server_names": [f"{name}.test"]}
            for name, port in (("main", 8000), ("more", 8001))
        ],
        "monitoring_targets_path": f"{place}/prometheus/targets.json",
        "monitoring_rules_path": f"{place}/prometheus/rules.yml",
        "monitoring_runbook_base": "https://wiki.test/slicer/",
        "monitoring_unit": "",
        **changes,
    }
    inventory = {"all": {"vars": variables, "children": {name: {"hosts": each} for name, each in hosts.items()}}}
    (place / "hosts.json").write_text(json.dumps(inventory))
    environ = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"),
        "ANSIBLE_BECOME": "false",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    words = ["-i", place / "hosts.json", ROOT / "ansible/site.yml", "--tags", "monitoring_files"]
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_gets_every_slicer_of_every_site_and_every_edge(tmp_path: Path) -> None:
    play(tmp_path)
    targets = json.loads((tmp_path / "prometheus/targets.json").read_text())
    found = [(each["targets"], each["labels"]) for each in targets]
    assert [
        (labels["site"], labels["instance"], labels["__metrics_path__"])
        for _, labels in found
        if labels["job"] == "slicer"
    ] == [
        ("main", "slicer1", "/main/1"),
        ("main", "slicer2", "/main/2"),
        ("more", "slicer1", "/more/1"),
        ("more", "slicer2", "/more/2"),
    ]
    # Prometheus is on another machine, so edges tell their metrics at their addresses; slicers are asked through the first.
    assert {name for names, labels in found if labels["job"] == "slicer" for name in names} == {"10.0.0.11:8083"}
    assert {labels["instance"]: names for names, labels in found if labels["job"] == "slicer-edge"} == {
        "edge1": ["10.0.0.11:8083"],
        "edge2": ["[fd00::12]:8083"],
    }
    rules = (tmp_path / "prometheus/rules.yml").read_text()
    assert rules.count("runbook_url: https://wiki.test/slicer/docs/runbook.md#") == rules.count("runbook_url:") > 20
    bare = rules.replace("https://wiki.test/slicer/", "")
    assert bare == (ROOT / "monitoring/alerts.yml").read_text()
