"""Sites of one machine: by what the roles write, each runs as a user of its own, and what is secret is for that user alone."""

import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from support import templates

ANSIBLE = pathlib.Path(__file__).parents[2] / "ansible"
SITES = [
    {"name": "one", "media": "/srv/one", "port": 8000, "server_names": ["one.test"]},
    {"name": "two", "media": "/srv/two", "port": 8001},
]
UNITS = {"slicer": "slicer@", "workers": "slicer-worker@"}
LOGS = {"slicer": "requests", "workers": "jobs"}


def written(role: str, template: str, place: pathlib.Path, **more: Any) -> str:
    """What a role writes by a template on a machine with these two sites, unless told otherwise."""
    path = place / "written"
    names = list(dict.fromkeys(("slicer", role)))
    files = [ANSIBLE / "roles" / name / kind / "main.yml" for kind in ("defaults", "vars") for name in names]
    facts = {"ansible_facts": {"processor_nproc": 2, "memtotal_mb": 4096}, "slicer_jobs_brokers": {}}
    facts |= {"slicer_instances": SITES, "slicer_jobs_publishers": [], "_workers_unit_sum": ""}
    templates.write(ANSIBLE / "roles" / role / "templates" / template, str(path), files, {**facts, **more})
    return path.read_text(encoding="utf-8")


def words(text: str, name: str) -> list[str]:
    """The values of an option in a unit's file."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("role", UNITS)
def test_units_of_sites_run_as_users_of_their_own(role: str, tmp_path: pathlib.Path) -> None:
    shared = written(role, f"{UNITS[role]}.service.j2", tmp_path)
    assert not words(shared, "User") and not words(shared, "Group")
    for site in SITES:
        own = written(role, "instance.conf.j2", tmp_path, item={**site, "memory_mib": 1024, "tasks_max": 100})
        assert words(own, "User") == words(own, "Group") == [f"slicer-{site['name']}"]
    alone = {**SITES[0], "memory_mib": 1024, "tasks_max": 100}
    own = written(role, "instance.conf.j2", tmp_path, item=alone, slicer_instances=SITES[:1])
    assert words(own, "User") == words(own, "Group") == ["slicer"]


@pytest.mark.parametrize("role", UNITS)
def test_folders_that_systemd_gives_to_a_user_are_of_one_site(role: str, tmp_path: pathlib.Path) -> None:
    """A folder that two users had in common would be given from one to the other, with all that is in it."""
    text = written(role, f"{UNITS[role]}.service.j2", tmp_path)
    found = [
        each
        for kind in ("Runtime", "Cache", "Logs")
        for line in words(text, f"{kind}Directory")
        for each in line.split()
    ]
    assert len(found) == 5
    assert all("%i" in each for each in found)
    assert words(text, "UMask") == ["0077"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize(
    ("role", "template", "most"),
    [
        ("slicer", "slicer@.service.j2", 1.4),
        ("workers", "slicer-worker@.service.j2", 1.4),
        ("nginx", "slicer-edge-metrics.service.j2", 1.2),
    ],
)
def test_units_are_closed_to_what_they_do_not_need(
    role: str, template: str, most: float, tmp_path: pathlib.Path
) -> None:
    """systemd's own measure, from 0 (closed) to 10, which is lower with a newer systemd than 252."""
    text = written(role, template, tmp_path)
    if role in UNITS:
        own = written(role, "instance.conf.j2", tmp_path, item={**SITES[0], "memory_mib": 1024, "tasks_max": 100})
        text += own
    unit = tmp_path / template.removesuffix(".j2").replace("@", "@one")
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={round(10 * most)}", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", LOGS)
def test_logs_are_turned_over_as_the_user_of_their_site(role: str, tmp_path: pathlib.Path) -> None:
    text = written(role, "logrotate.j2", tmp_path)
    stanzas = re.findall(r"^(/\S+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    assert [path for path, _ in stanzas] == [f"/var/log/slicer/{each['name']}/{LOGS[role]}.log" for each in SITES]
    for site, (_, body) in zip(SITES, stanzas, strict=True):
        user = f"slicer-{site['name']}"
        assert re.findall(r"^    (?:su|create 0640) (.*)$", body, re.MULTILINE) == [f"{user} {user}"] * 2


def test_what_is_secret_is_for_the_group_of_its_site() -> None:
    """Settings hold the password of the queue, and keys are keys. The group of all sites may read neither."""
    found = {}
    for role in UNITS:
        for task in yaml.safe_load((ANSIBLE / "roles" / role / "tasks" / "configure.yml").read_text(encoding="utf-8")):
            for module in ("ansible.builtin.template", "ansible.builtin.copy"):
                file = task.get(module, {})
                if re.search(r"[.](env|keys)$", file.get("dest", "")):
                    group = file["group"].replace("_slicer_group", task.get("vars", {}).get("_slicer_group", ""))
                    found[file["dest"].rpartition("/")[2]] = (file["mode"], "_users[item.name]" in group)
    names = ("{{ item.name }}.env", "{{ item.name }}.keys", "{{ item.name }}.worker.env")
    assert found == dict.fromkeys(names, ("0640", True))
