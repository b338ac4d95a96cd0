"""remove.yml: what keeps a queue from being removed, and inventories without an edge."""

import re
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
