"""Roles take over no Nginx, Redis or Apache that others configured."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "ansible" / "roles"
#: What the roles look at, from variables of each host.
PLACES = {
    "nginx_config_path": "{{ path }}",
    "_nginx_folder": "{{ folder }}",
    "_nginx_verify": "{{ verify }}",
    "_queue_config": "{{ path }}",
    "_queue_verify": "{{ verify }}",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each role says of each case: "" where it would go on. One run for all, a host for each case."""
    work = tmp_path_factory.mktemp("hosts")
    cases: dict[str, tuple[str, dict[str, Any]]] = {}

    def case(name: str, role: str, text: str, verified: str = "", **variables: Any) -> None:
        folder = work / name
        for each in ("sites-enabled", "conf.d"):
            (folder / each).mkdir(parents=True)
        path = folder / "configuration"
        path.write_text(text)
        mine = {"folder": str(folder), "path": str(path), "verify": ["echo", verified.format(path)]}
        cases[name] = (role, {**yaml.safe_load((ROLES / role / "defaults/main.yml").read_text()), **mine, **variables})

    changed = "??5?????? c {}"
    case("nginx-packaged", "nginx", "worker_processes auto;")
    case("nginx-own", "nginx", "# What each part is for: docs/edge.md of Slicer.", changed)
    case("nginx-edited", "nginx", "worker_processes 3;", changed)
    case("nginx-default-edited", "nginx", "", f"??5?????? c {work}/nginx-default-edited/sites-available/default")
    case("nginx-taken", "nginx", "worker_processes 3;", changed, nginx_take_over=True)
    case("nginx-site", "nginx", "worker_processes auto;")
    (work / "nginx-site/sites-enabled/wiki").symlink_to("/nowhere")
    (work / "nginx-packaged/sites-enabled/default").touch()
    case("queue-packaged", "queue", "port 6379")
    case("queue-own", "queue", "# What was accepted is written down; nothing is ever thrown away.", changed)
    case("queue-edited", "queue", "port 6380", changed)
    case("queue-taken", "queue", "port 6380", changed, queue_take_over=True)
    (work / "hosts.json").write_text(
        json.dumps(
            {
                role: {"hosts": {name: more for name, (one, more) in cases.items() if one == role}}
                for role in ("nginx", "queue")
            }
        )
    )
    plays = [
        {
            "hosts": role,
            "gather_facts": False,
            "connection": "local",
            "tasks": [{"ansible.builtin.import_role": {"name": str(ROLES / role), "tasks_from": "foreign"}}],
            "vars": {"ansible_python_interpreter": sys.executable},
        }
        for role in ("nginx", "queue")
    ]
    (work / "play.yml").write_text(yaml.safe_dump(plays))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            work / "hosts.json",
            work / "play.yml",
            "-e",
            json.dumps(PLACES),
        ],
        cwd=work,
        env={
            **os.environ,
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "2",
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    said = dict.fromkeys(cases, "")
    for part in done.stdout.split("fatal: [")[1:]:
        name, _, text = part.partition("]")
        said[name] = " ".join(text.partition("TASK [")[0].partition("PLAY [")[0].split())
    assert "PLAY RECAP" in done.stdout, done.stdout + done.stderr
    for name in cases:
        assert f"{name} " in done.stdout.partition("PLAY RECAP")[2], done.stdout
    return said


@pytest.mark.parametrize(
    "name", ["nginx-packaged", "nginx-own", "nginx-taken", "queue-packaged", "queue-own", "queue-taken"]
)
def test_the_roles_own_and_the_packages_files_are_replaced(ran: dict[str, str], name: str) -> None:
    assert ran[name] == ""


@pytest.mark.parametrize(
    ("name", "found", "advice"),
    [
        ("nginx-edited", "nginx-edited/configuration", "nginx_take_over"),
        ("nginx-default-edited", "sites-available/default", "nginx_take_over"),
        ("nginx-site", "sites-enabled/wiki", "nginx_extra_sites"),
        ("queue-edited", "queue-edited/configuration", "queue_take_over"),
    ],
)
def test_files_of_others_are_not(ran: dict[str, str], name: str, found: str, advice: str) -> None:
    assert found in ran[name]
    assert advice in ran[name]
