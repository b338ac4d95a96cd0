"""Ubuntu 24.04: the packages of the roles have the same names there. Its archive may be out of reach."""

import re
from pathlib import Path

import yaml

ROLES = Path(__file__).parents[3] / "ansible" / "roles"
#: Names of binary packages in Ubuntu 24.04 (noble, main and universe), with the upstream versions that it was released with.
NOBLE = {
    "apache2-bin": "2.4.58",
    "apache2-dev": "2.4.58",
    "binutils": "2.42",
    "ffmpeg": "6.1.1",
    "g++": "13.2.0",
    "gcc": "13.2.0",
    "libc6-dev": "2.39",
    "libnginx-mod-nchan": "1.3.6",
    "logrotate": "3.21.0",
    "make": "4.3",
    "nginx": "1.24.0",
    "openssl": "3.0.13",
    "python3": "3.12.3",
    "python3-dev": "3.12.3",
    "python3-venv": "3.12.3",
    "redis-server": "7.0.15",
}


def packages() -> set[str]:
    """Every name of a package in the variables of the roles, whether a list or an expression has it."""
    found = set()
    for path in ROLES.glob("*/vars/main.yml"):
        for name, value in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items():
            if name.endswith("packages"):
                found |= set(value if isinstance(value, list) else re.findall(r"'([a-z0-9.+-]+)'", value))
    return found


def test_every_package_of_the_roles_has_its_name_there():
    found = packages()
    assert {"apache2-bin", "ffmpeg", "libnginx-mod-nchan", "redis-server"} <= found
    assert found == set(NOBLE)


def test_its_versions_are_new_enough():
    project = (ROLES.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r'requires-python = ">=(\d+)\.(\d+)"', project)
    assert needed
    assert tuple(map(int, NOBLE["python3"].split(".")[:2])) >= tuple(map(int, needed.groups()))
    assert tuple(map(int, NOBLE["apache2-bin"].split(".")[:2])) >= (2, 4)
