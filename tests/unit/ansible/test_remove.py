"""remove.yml: what keeps a queue from being removed, what a site leaves, and inventories without an edge."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support import templates

ANSIBLE = Path(__file__).parents[3] / "ansible"


@pytest.mark.parametrize(
    ("here", "address", "loopback", "wanted"),
    [
        ("redis", "10.0.0.31", "127.0.0.1", ["@10.0.0.31:", "@127.0.0.1:"]),
        ("other", "10.0.0.31", "127.0.0.1", ["@10.0.0.31:"]),
        ("redis", "fd00::31", "::1", ["@[fd00::31]:", "@[::1]:"]),
        ("other", "fd00::31", "::1", ["@[fd00::31]:"]),
    ],
)
def test_a_queue_in_use_is_found_by_each_of_its_addresses(
    tmp_path: Path, here: str, address: str, loopback: str, wanted: list[str]
) -> None:
    """As settings have it, in the URL of the broker."""
    plays = yaml.safe_load((ANSIBLE / "remove.yml").read_text())
    (task,) = (task for play in plays for task in play["tasks"] if task["name"] == "Look for sites that have it")
    (tmp_path / "template").write_text("{{ _remove_patterns | join(' ') }}")
    variables = {
        "inventory_hostname": here,
        "remove_queue": "redis",
        "hostvars": {"redis": {"slicer_address": address}},
        "slicer_loopback": loopback,
    }
    (tmp_path / "vars").write_text(yaml.safe_dump(task["vars"]))
    templates.write(tmp_path / "template", str(tmp_path / "out"), [tmp_path / "vars"], variables)
    assert (tmp_path / "out").read_text().split() == [f"--regexp={each}" for each in wanted]


def test_no_playbook_needs_an_edge() -> None:
    """The group may be missing: a load balancer takes its place."""
    for path in [*ANSIBLE.glob("*.yml"), *ANSIBLE.glob("roles/*/*/*.yml")]:
        assert not re.findall(r"groups\['edge'\](?! \| default)", path.read_text()), path.name


@pytest.mark.parametrize(
    ("role", "suffix", "variables"),
    [
        ("slicer", "env", {"_slicer_etc": "ETC", "_slicer_units": [{"name": "main"}], "_slicer_gone": ["brief"]}),
        (
            "workers",
            "worker.env",
            {"_workers_etc": "ETC", "slicer_instances": [{"name": "main"}], "_workers_gone": ["brief"]},
        ),
    ],
)
def test_a_site_that_left_the_list_keeps_its_settings(
    tmp_path: Path, role: str, suffix: str, variables: dict[str, object]
) -> None:
    """Under another name; and a site that came back has no such file."""
    for name in (f"brief.{suffix}", "brief.keys", f"main.{suffix}", f"main.{suffix}.left"):
        (tmp_path / name).write_text(name)
    tasks = [
        {key: each for key, each in task.items() if key != "vars"}
        for task in yaml.safe_load((ANSIBLE / f"roles/{role}/tasks/service.yml").read_text())
        if "set" in task["name"].lower().split() and "aside" in task["name"]
    ]
    assert len(tasks) == 2
    for changed in (2, 0):
        done = played(tmp_path, tasks, {**variables, f"_{role}_etc": str(tmp_path)})
        assert f"changed={changed} " in done
    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "play.yml"}
    assert found == {
        f"brief.{suffix}.left": f"brief.{suffix}",
        "brief.keys": "brief.keys",
        f"main.{suffix}": f"main.{suffix}",
    }


def test_a_site_that_left_the_list_is_named_once(tmp_path: Path) -> None:
    """By site.yml, with the command that removes what it left."""
    for name in ("main.env", "brief.env.left", "brief.worker.env.left", "news.worker.env.left"):
        (tmp_path / name).touch()
    tasks = [{"ansible.builtin.include_tasks": str(ANSIBLE / "roles/slicer/tasks/left.yml")}]
    said = played(tmp_path, tasks, {"_slicer_etc": str(tmp_path)})
    assert re.findall(r"(\w+) left .* remove.yml with -e remove_site=(\w+)", re.sub(r"\s*\n\s+", " ", said)) == [
        ("brief", "brief"),
        ("news", "news"),
    ]


def test_only_what_was_named_loses_its_files() -> None:
    """Playbooks other than remove.yml delete nothing below the folders of a site, except a stale copy of its settings."""
    folders = r"/var/(cache|log)/slicer|_(slicer|workers)_etc|\.service\.d"
    for path in ANSIBLE.glob("roles/*/tasks/*.yml"):
        if path.name in ("remove.yml", "uninstall.yml"):
            continue
        for task in yaml.safe_load(path.read_text()) or []:
            if "absent" in str(task) and re.search(folders, str(task)):
                assert task["ansible.builtin.file"]["path"].endswith(".env.left"), (path, task["name"])


def played(work: Path, tasks: list[dict[str, object]], variables: dict[str, object]) -> str:
    """Return what Ansible says of these tasks on this machine."""
    (work / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "one", "gather_facts": False, "vars": variables, "tasks": tasks}])
    )
    hosts = {
        "slicers": {"hosts": {"one": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}
    }
    (work.parent / f"{work.name}.yml").write_text(yaml.safe_dump(hosts))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            work.parent / f"{work.name}.yml",
            "-e",
            "ansible_become=false",
            work / "play.yml",
        ],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
