"""The tasks that look before any change, run by Ansible on this machine: what each of them refuses, and that they change nothing."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.edge import site as edge_site

ROOT = Path(__file__).parents[3]
#: Of a machine that is well, in this test's eyes.
FINE = {
    "slicer_listen": "127.0.0.1",
    "nginx_sites": [],
    "nginx_http_listen": [],
    "nginx_https_listen": [],
    "nginx_status_listen": "",
    "nginx_metrics_listen": "",
    "nginx_client_misses": 0,
    "ansible_facts": {
        "processor_nproc": 2,
        "memtotal_mb": 4096,
        "distribution": "Debian",
        "distribution_major_version": "12",
    },
}


def tls(chain: str, key: str) -> dict[str, object]:
    return {"nginx_sites": [edge_site(8000, tls_certificate=chain, tls_certificate_key=key)]}


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    """A folder that root alone can read, where units see it."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as path:
        yield path


@pytest.fixture(scope="module")
def squashed() -> Iterator[str]:
    """A folder that its owner alone can read, and root only by its capabilities, which it lacks where a server squashes root."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as path:
        shutil.chown(path, "nobody")
        yield path


#: Without these, root reads what it owns and what everybody may read, as on a network file system with root_squash.
SQUASH = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, closed: str) -> dict[str, str]:
    """What the tasks say, by case; nothing where they find nothing. All cases are one run of Ansible."""
    place = tmp_path_factory.mktemp("preflight")
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=a",
    ]
    for name in ("one", "two"):
        files = ["-keyout", place / f"{name}.key", "-out", place / f"{name}.pem"]
        subprocess.run([*make, "-days", "9", *files], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as squatter, socket.create_server(("127.0.0.1", 0)) as free:
        taken, port = squatter.getsockname()[1], free.getsockname()[1]
        free.close()

        def site(**changes: object) -> dict[str, object]:
            # A user that is there, and is not who runs this; /usr can be read by anybody.
            return {"slicer_instances": [{"name": "main", "media": "/usr", "port": port, "user": "nobody", **changes}]}

        one, two, none = (str(place / name) for name in ("one", "two", "none"))
        cases: dict[str, tuple[str, dict[str, object]]] = {
            "slicer": ("slicer", site()),
            "slicer port": ("slicer", site(port=taken)),
            "slicer memory": ("slicer", site(memory_mib=10_000)),
            "slicer media": ("slicer", site(media=closed)),
            "slicer address": ("slicer", {**site(), "slicer_allowed": ["edge.test"]}),
            "nginx": ("nginx", {**tls(f"{one}.pem", f"{one}.key"), "nginx_http_listen": [f"127.0.0.1:{port}"]}),
            "nginx port": ("nginx", {"nginx_http_listen": [str(taken)]}),
            "nginx address": ("nginx", {"nginx_trusted_proxies": ["proxy.test"]}),
            "nginx file": ("nginx", {**tls(f"{none}.pem", f"{none}.key"), "nginx_acme_webroot": ""}),
            "nginx key": ("nginx", tls(f"{one}.pem", f"{two}.key")),
            "queue": ("queue", {"queue_port": port}),
            "queue port": ("queue", {"queue_port": taken}),
            "slicer number": ("slicer", site(user="daemon", uid=4199)),
            "slicer taken number": ("slicer", site(user="slicer-nowhere", uid=4199, gid=1)),
            "slicer own number": ("slicer", site(user="daemon", uid=1, gid=1)),
            "slicer no number": ("slicer", site(user="daemon", uid=65534)),
            "disk": ("slicer:disk", site(cache_mib=10**9)),
            "disk that fits": ("slicer:disk", site(cache_mib=1)),
            "any disk": ("slicer:disk", {**site(cache_mib=10**9), "slicer_any_disk": True}),
        }
        return told(place, cases)


def told(place: Path, cases: dict[str, tuple[str, dict[str, object]]], *prefix: str) -> dict[str, str]:
    """What the tasks say, by case, from one run of Ansible."""
    tasks = [
        {
            "name": name,
            "block": [
                {
                    "name": "Look",
                    "ansible.builtin.include_role": {
                        "name": role.partition(":")[0],
                        "tasks_from": role.partition(":")[2] or "preflight",
                    },
                    "vars": {**FINE, **variables},
                }
            ],
            "rescue": [
                {
                    "name": "Note it",
                    "ansible.builtin.set_fact": {
                        "said": f"{{{{ said | default({{}}) | combine({{'{name}': ansible_failed_result | to_json}}) }}}}",
                    },
                }
            ],
        }
        for name, (role, variables) in cases.items()
    ]
    tasks.append(
        {
            "name": "Write what was said",
            "ansible.builtin.copy": {
                "content": "{{ said | to_json }}",
                "dest": f"{place}/said.json",
                "mode": "0600",
            },
        }
    )
    play = {"name": "Look", "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (place / "play.yml").write_text(json.dumps([play]))
    (place / "hosts").write_text("localhost\n[edge]\nlocalhost\n[slicers]\nlocalhost\n[queue]\nlocalhost\nother\n")
    # Roles and filters are the checkout's; becoming root is not for this machine.
    environ = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"), "ANSIBLE_BECOME": "false"}
    environ |= {
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LC_ALL": "C.UTF-8",
    }
    program = Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [*prefix, program, "-i", place / "hosts", place / "play.yml"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str] = json.loads((place / "said.json").read_text())
    return {name: found.get(name, "") for name in cases}


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("ss", "runuser", "openssl"))),
    reason="takes root, ss, runuser and openssl",
)


@pytest.mark.parametrize("case", ["slicer", "nginx", "slicer own number", "disk that fits", "any disk"])
def test_a_machine_that_is_well_is_let_through(said: dict[str, str], case: str) -> None:
    assert said[case] == ""


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("slicer port", "by python"),
        ("slicer memory", "queue_memory_mib"),
        ("slicer media", "nobody cannot read"),
        ("slicer address", "edge.test is no IP address"),
        ("nginx port", "by python"),
        ("nginx address", "proxy.test is no IP address"),
        ("nginx file", "none.pem or"),
        ("nginx key", "two.key is not the key of"),
        ("queue port", "by python"),
        ("queue", "leave one machine in it"),
        ("slicer number", "daemon has number 1 in passwd here, not 4199"),
        ("slicer taken number", "number 1 of slicer-nowhere is that of daemon in group here"),
        ("slicer no number", "uid 65534 is no number"),
        ("disk", "may have to hold 100"),
    ],
)
def test_what_would_stop_the_play_is_said(said: dict[str, str], case: str, reason: str) -> None:
    assert reason in said[case]


@pytest.mark.skipif(not shutil.which("setpriv"), reason="takes setpriv")
def test_media_are_looked_at_as_the_sites_user(squashed: str, closed: str, tmp_path: Path) -> None:
    """On a network file system with root_squash, root may not enter what the site's user reads."""
    done = subprocess.run([*SQUASH, "ls", squashed], capture_output=True, check=False)
    assert done.returncode, "root still reads it"
    below = Path(squashed, "shows")
    below.mkdir()
    shutil.chown(below, "nobody")
    inside = {"name": "main", "port": 8000, "user": "nobody", "media": str(below)}
    # A user that the play makes first, of a number that reads the folder.
    new = {**inside, "user": "slicer-nowhere", "uid": 65533, "gid": 65533}
    theirs = Path(squashed, "theirs")
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 65533, 65533)
    os.chmod(squashed, 0o711)
    cases: dict[str, tuple[str, dict[str, object]]] = {
        "user": ("slicer", {"slicer_instances": [inside]}),
        "number": ("slicer", {"slicer_instances": [{**new, "media": str(theirs)}]}),
        "closed to the number": ("slicer", {"slicer_instances": [{**new, "media": closed}]}),
    }
    said = told(tmp_path, cases, *SQUASH)
    assert (said["user"], said["number"]) == ("", "")
    assert "slicer-nowhere cannot read" in said["closed to the number"]
