"""The configuration that tests run Nginx with is what Ansible writes on a server."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

from support.edge import DEFAULTS, ROLE, ROOT, TEMPLATE, render, site


def by_the_module(path: str, variables: dict[str, Any]) -> None:
    """Write the role's configuration file by a run of Ansible, with its module `template`."""
    here = os.path.dirname(sys.executable)
    ansible = shutil.which("ansible", path=os.pathsep.join([here, os.environ.get("PATH", "")]))
    assert ansible, f"no ansible in {here}: pip install -r requirements/deploy.txt"
    with open(path + ".json", "w", encoding="utf-8") as file:
        json.dump(variables, file)
    pathlib.Path(path + ".cfg").touch()
    files = [*DEFAULTS, path + ".json"]
    command = [ansible, "localhost", "-i", "localhost,", "-c", "local", "-m", "ansible.builtin.template"]
    done = subprocess.run(
        [*command, "-a", f"src={TEMPLATE} dest={path}", *(word for file in files for word in ("-e", f"@{file}"))],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": path + ".cfg",  # none: neither the user's nor the machine's
            "ANSIBLE_FILTER_PLUGINS": str(ROOT / "ansible" / "plugins" / "filter"),
            "ANSIBLE_HOME": path + ".ansible",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "LC_ALL": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_templates_are_filled_in_as_ansible_does(tmp_path: pathlib.Path) -> None:
    variables = {
        "nginx_status_listen": "127.0.0.1:8081",
        "nginx_hold_clients": True,
        "nginx_publish_listen": "127.0.0.1:8082",
        "nginx_client_misses": 5,
        "nginx_errors_source": str(ROOT / "apache" / "errors"),
        "nginx_version": "1.22.1",
        "role_path": str(ROLE),
        "nginx_sites": [
            site([8000, 8001]),
            site(8002, "secure", tls_certificate="/etc/chain.pem", tls_certificate_key="/etc/key.pem"),
        ],
    }
    here, there = tmp_path / "here.conf", tmp_path / "there.conf"
    render(str(here), variables)
    by_the_module(str(there), variables)
    assert len(here.read_text()) > 10_000
    assert here.read_text() == there.read_text()
