"""Packages that one host made and packed, installed as the role does where there is no network at all."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from support.forward import forwarding
from support.server import folder

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200, func_only=True),
    pytest.mark.skipif(os.geteuid() != 0, reason="takes root, which owns releases"),
]
#: The role's own tasks, in folders of the test.
MAKE = [{"ansible.builtin.import_role": {"name": "slicer", "tasks_from": "wheelhouse"}}]
INSTALL = [
    {"ansible.builtin.import_role": {"name": "slicer", "tasks_from": name}} for name in ("look", "wheels", "release")
]


def play(
    work: Path, tasks: Sequence[Mapping[str, object]], *before: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run tasks on this machine, as a host with `work` in the place of /opt/slicer."""
    for path in (work, work / "releases", work / "wheels"):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    one = {"hosts": "localhost", "connection": "local", "gather_facts": True, "tasks": tasks}
    (work / "play.yml").write_text(json.dumps([one]))
    known = {
        "_slicer_root": str(work),
        "slicer_user": "nobody",
        "slicer_cpus": 2,
        "slicer_memory_mib": 4096,
        **variables,
    }
    with contextlib.suppress(FileExistsError):
        (work / "group_vars").symlink_to(ROOT / "ansible/group_vars")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    return subprocess.run(
        [*before, program, "-i", "localhost,", str(work / "play.yml"), "-e", json.dumps(known)],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"),
            "ANSIBLE_BECOME": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_a_release_is_installed_without_a_network() -> None:
    # The release's user enters it.
    place = Path(folder())
    wheelhouse = place / "wheelhouse"
    wheel = (
        ROOT
        / subprocess.run(
            ["make", "--silent", "wheel"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
        ).stdout.splitlines()[-1]
    )
    given = {"slicer_wheelhouse": str(wheelhouse), "slicer_wheel": str(wheel)}
    empty = play(place / "empty", INSTALL, "unshare", "--net", **given)
    assert empty.returncode != 0
    assert "wheelhouse.yml on a host with the same Debian" in empty.stdout, empty.stdout

    with forwarding() as proxy:
        made = play(place / "builder", MAKE, slicer_proxy=f"http://[::1]:{proxy.server_port}", **given)
    assert made.returncode == 0, made.stdout + made.stderr
    # All that pip asked for.
    assert proxy.names
    (archive,) = wheelhouse.iterdir()
    assert archive.suffix == ".tar"
    assert list((place / "builder").glob("*.tar")) == []

    done = play(place / "host", INSTALL, "unshare", "--net", **given)
    assert done.returncode == 0, done.stdout + done.stderr
    (release,) = (place / "host/releases").iterdir()
    said = subprocess.run(
        [release / "bin/python", "-m", "mp3_slicer", "doctor"], check=False, capture_output=True, text=True, cwd="/"
    ).stdout
    assert "mod_wsgi" in said
    assert not [line for line in said.splitlines() if line.startswith("FAIL") and " folder " not in line], said
    # Of its own environment, compiled elsewhere.
    assert list(release.glob("lib/python3*/site-packages/mod_wsgi/server/*.so"))
    again = play(place / "host", INSTALL, "unshare", "--net", **given)
    assert "changed=0 " in again.stdout, again.stdout
