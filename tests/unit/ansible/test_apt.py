"""Roles wait for others that use apt, as a cloud machine's first minutes and unattended-upgrades do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ANSIBLE = Path(__file__).parents[3] / "ansible"


def tasks(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in found:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part, []))


def test_every_use_of_apt_waits_for_its_lock() -> None:
    names = []
    for path in sorted(ANSIBLE.glob("roles/*/tasks/*.yml")):
        for task in tasks(yaml.safe_load(path.read_text()) or []):
            if "ansible.builtin.apt" in task:
                names.append(task["name"])
                assert task["ansible.builtin.apt"]["lock_timeout"] >= 300, f"{path}: {task['name']}"
    assert len(names) >= 9


def test_what_fetches_packages_knows_the_proxy() -> None:
    """apt and pip are in files that are imported with the environment, or the task has it itself."""
    with_proxy, fetch = set(), set()
    for path in sorted(ANSIBLE.glob("roles/*/tasks/*.yml")):
        role = path.parent.parent.name
        for task in tasks(yaml.safe_load(path.read_text()) or []):
            has_it = "slicer_install_environment" in str(task.get("environment"))
            if has_it and "ansible.builtin.import_tasks" in task:
                with_proxy.add((role, task["ansible.builtin.import_tasks"]))
            if {"ansible.builtin.apt", "ansible.builtin.command"} & set(task) and not has_it:
                what = str(task.get("ansible.builtin.apt") or task["ansible.builtin.command"])
                # What removes packages fetches none.
                if "'state': 'absent'" not in what and ("ansible.builtin.apt" in task or "_slicer_pip" in what):
                    fetch.add((role, path.name))
    # Its block has it.
    assert fetch - with_proxy == {("slicer", "authorities.yml")}
