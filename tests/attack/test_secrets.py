"""Secrets in output: no log, no diff and no process list has a signature, a key or the password of the queue."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from slicer.render import child
from slicer.signing import redacted
from slicer.web.memory import make_place
from support.edge import ROOT, Edge, Tap, site
from support.jobs import PASSWORD, Broker
from support.server import Server, folder, serving, until

ROLES = ROOT / "ansible" / "roles"
#: Variables of the roles that hold a secret, and what holds them.
SECRETS = re.compile(r"\b(queue_password|queue_tls_key|slicer_jobs_broker|slicer_jobs_settings|slicer_signing_keys)\b")
SPELLINGS = [
    "signature=",
    "%73ignature=",
    "s%69gnatur%65=",
    "%73%69%67%6E%61%74%75%72%65=",
    "Signature=",
    "signature%3d",
]
MAC = "0123456789abcdef" * 4


# ------------------------------------------------------------------------------------------------------------ signatures


@pytest.fixture(scope="module")
def logging_members(media: str, keys: str) -> Iterator[tuple[Server, pathlib.Path]]:
    """A slicer with signed URLs that writes a log of requests, and that log."""
    place = folder()
    os.chmod(place, 0o777)
    log = pathlib.Path(place, "requests.log")
    with serving(media, environ={"SLICER_SIGNING_KEYS": keys, "SLICER_REQUEST_LOG": str(log)}) as server:
        yield server, log


def test_no_log_has_a_signature(
    front: Callable[..., Edge],
    logging_members: tuple[Server, pathlib.Path],
    tapping: Callable[[int], Tap],
    sign: Callable[..., str],
    secret: Callable[[], str],
) -> None:
    """In whatever spelling, in the referrer too, and when things go wrong: no slicer, one that breaks off, too many requests."""
    server, log = logging_members
    tap = tapping(server.port)
    edge = front(
        site(tap.port, signed=True), nginx_client_connections=1, nginx_client_jobs=1, nginx_client_jobs_burst=0
    )
    macs = {MAC}
    for spelling in SPELLINGS:
        url = sign(secret()).replace("signature=", spelling)
        macs.add(re.search(r"[0-9a-f]{64}", url)[0])  # type: ignore[index]
        for target in (url, url + "&download=x", f"{url}&signature={MAC}", url.replace("/clips/", "/renders/")):
            edge.get(target, Referer=f"https://site.test{target}", Prefer="respond-async")
            server.get(target)
    for spelling in ("token=", "%74oken=", "tok%65N=", "token%3D"):
        for asked in (edge, server):
            asked.get(f"/jobs/{'0' * 40}?{spelling}{MAC}", "DELETE")
    failing = sign(secret())
    macs.add(failing.rpartition("=")[2])
    tap.failing = True
    assert edge.get(failing).status in {502, 503}
    tap.failing = False
    tap.close()
    assert edge.get(failing).status == 503
    wanted = len(SPELLINGS) * 8 + 2
    until(lambda: len(edge.log()) >= wanted - len(SPELLINGS) * 4, 10, "all are logged")
    until(lambda: len(log.read_text().splitlines()) >= len(SPELLINGS) * 4, 10, "all are logged there too")
    text = edge.errors() + json.dumps(edge.log()) + log.read_text() + server.log() + server.output()
    assert not {mac for mac in macs if mac in text}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_target_is_logged_without_its_signature(spelling: str) -> None:
    assert redacted(f"/clips/a.mp3?t=1,2&{spelling}{MAC}&key=k") == f"/clips/a.mp3?t=1,2&{spelling}-&key=k"
    assert MAC not in redacted(f"/clips/a.mp3?{spelling}{MAC}&x=%20&{spelling}{MAC}")


def test_targets_without_one_are_logged_as_they_are() -> None:
    for target in ("/clips/a.mp3?t=1,2", "/clips/signature=x.mp3", "/clips/50%25.mp3?t=1%2C2", "*"):
        assert redacted(target) == target


def test_what_is_said_of_too_little_memory_has_none(caplog: pytest.LogCaptureFixture) -> None:
    make_place({"REQUEST_URI": f"/clips/a.mp3?t=1,2&%73ignature={MAC}", "PATH_INFO": "/clips/a.mp3"})
    assert "out of memory: /clips/a.mp3" in caplog.text
    assert MAC not in caplog.text


# -------------------------------------------------------------------------------------------------------------- programs


def test_ffmpeg_gets_no_variable_with_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICER_JOBS_BROKER", f"redis://:{PASSWORD}@127.0.0.1/0")
    monkeypatch.setenv("ANY_OTHER_TOKEN", PASSWORD)
    found = child._environment()
    assert PASSWORD not in str(found)
    assert found["PATH"] == os.environ["PATH"]


# ----------------------------------------------------------------------------------------------------------------- roles


def tasks_of(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The tasks of a file, those in blocks among them."""
    todo = list(yaml.safe_load(path.read_text(encoding="utf-8")) or [])
    while todo:
        task = todo.pop(0)
        for name in ("block", "rescue", "always"):
            todo += task.get(name, [])
        yield task


def exposed(task: dict[str, Any], role: pathlib.Path) -> str:
    """What a task writes or runs: its own text, and that of its template."""
    own = {
        name: value
        for name, value in task.items()
        if name not in {"block", "rescue", "always", "when", "loop", "notify"}
    }
    text = yaml.safe_dump(own)
    for module in ("ansible.builtin.template", "ansible.builtin.copy"):
        source = str(task.get(module, {}).get("src", "")) if isinstance(task.get(module), dict) else ""
        for place in ("templates", "files"):
            path = role / place / source
            if source and "{{" not in source and path.is_file():
                text += path.read_text(encoding="utf-8")
    return text


def test_every_task_that_has_a_secret_is_kept_out_of_output() -> None:
    """In diffs, results and the system's log; and none is an argument or in an environment, which is one for Ansible."""
    found = []
    for path in sorted(ROLES.glob("*/tasks/*.yml")):
        for task in tasks_of(path):
            text = exposed(task, path.parents[1])
            if not SECRETS.search(text) or "ansible.builtin.assert" in task:
                continue
            found.append(task["name"])
            assert task.get("no_log") is True, f"{path.relative_to(ROOT)}: {task['name']}"
            assert not SECRETS.search(
                json.dumps([task.get("environment"), task.get("ansible.builtin.command", {}).get("argv")])
            )
    assert {
        "Write the sites' settings",
        "Write the keys of signed URLs",
        "Write the configuration",
        "Write the certificate's key",
        "Wait until it answers",
    } <= set(found)


def test_every_option_that_has_a_secret_says_so() -> None:
    for path in ROLES.glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            for name, option in entry.get("options", {}).items():
                if SECRETS.fullmatch(name):
                    assert option.get("no_log") is True, name


def test_a_play_shows_no_secret(broker: Broker, tmp_path: pathlib.Path) -> None:
    """The tasks themselves: in check mode with diffs, then done, with all that Ansible says, and with the process list looked at."""
    keys = "ab" * 32
    wanted = {
        "queue": ("Write the configuration", "Wait until it answers"),
        "slicer": ("Write the keys of signed URLs", "Write the sites' settings"),
        "workers": ("Write the sites' settings",),
    }
    tasks = []
    for role, names in wanted.items():
        for path in sorted((ROLES / role / "tasks").glob("*.yml")):
            for task in tasks_of(path):
                if task.get("name") not in names:
                    continue
                task.pop("notify", None)
                for module in ("ansible.builtin.template", "ansible.builtin.copy"):
                    if module in task:
                        task[module].update(
                            owner=str(os.getuid()), group=str(os.getgid()), dest=str(tmp_path / f"{len(tasks)}")
                        )
                        if "src" in task[module]:
                            task[module]["src"] = str(ROLES / role / "templates" / task[module]["src"])
                if "loop" in task:
                    task["loop"] = "{{ slicer_instances }}"
                tasks.append({**task, "vars": {"_slicer_started_with": [], "_workers_unit_sum": "x"}})
    assert len(tasks) == 5
    play = tmp_path / "play.yml"
    given = {
        "queue_password": PASSWORD,
        "queue_port": broker.port,
        "slicer_jobs_settings": {"SLICER_JOBS_BROKER": broker.url},
        "slicer_signing_keys": {"main": {"old": keys}},
        "slicer_instances": [
            {
                "name": "main",
                "media": "/srv/audio",
                "port": 8000,
                "signed": [],
                "cpus": 1,
                "memory_mib": 512,
                "settings": {},
            }
        ],
        "slicer_jobs_publishers": [],
        "ansible_facts": {"packages": {}, "getent_group": {}, "memtotal_mb": 1024, "processor_nproc": 1},
        "_slicer_units": [],
        "_slicer_users": {"main": "root"},
        "_workers_users": {"main": "root"},
    }
    files = [f"{ROLES}/{role}/{part}/main.yml" for role in wanted for part in ("defaults", "vars")]
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "vars_files": files, "tasks": tasks}]))
    variables = tmp_path / "variables.json"
    variables.write_text(json.dumps(given))
    (tmp_path / "none.cfg").touch()
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    said = ""
    try:
        for options in (["--check", "--diff"], ["--diff", "-vvv"]):
            program = pathlib.Path(sys.executable).with_name("ansible-playbook")
            environ = {
                **os.environ,
                "ANSIBLE_CONFIG": str(tmp_path / "none.cfg"),
                "ANSIBLE_HOME": str(tmp_path / "home"),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "LC_ALL": "C.UTF-8",
            }
            done = subprocess.run(
                [program, "-i", "localhost,", "-c", "local", *options, "-e", f"@{variables}", play],
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            said += done.stdout + done.stderr
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        ended.set()
        thread.join()
    written = "".join(path.read_text() for path in tmp_path.glob("[0-9]"))
    assert PASSWORD in written
    assert keys in written
    for secret in (PASSWORD, keys):
        assert secret not in said
        # The broker of other tests is not of this play.
        assert not [line for line in seen if secret in line and "redis-server" not in line]
