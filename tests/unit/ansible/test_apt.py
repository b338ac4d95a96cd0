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
