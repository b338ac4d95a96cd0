"""Secrets in output: no log, no diff and no process list has a signature, a key or the password of the queue."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from mp3_slicer.render.audio import ffmpeg
from mp3_slicer.signing import redacted
from mp3_slicer.web.process import make_room
from support.edge import ROOT, Edge, Tap, site
from support.jobs import PASSWORD, Broker
from support.server import Server, folder, free_port, serving, until

ROLES = ROOT / "ansible" / "roles"
#: Variables of the roles that hold a secret, and what holds them.
SECRETS = re.compile(
    r"\b(queue_password|queue_sites|queue_tls_key|slicer_jobs_passwords|slicer_jobs_brokers|slicer_signing_keys)\b"
)
SPELLINGS = [
    "signature=",
    "%73ignature=",
    "s%69gnatur%65=",
    "%73%69%67%6E%61%74%75%72%65=",
    "Signature=",
    "signature%3d",
]
MAC = "0123456789abcdef" * 4
SITE_PASSWORD = "password-of-a-site"


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
    until(lambda: len(edge.log()) >= wanted - len(SPELLINGS) * 4, 30, "all are logged")
    until(lambda: len(log.read_text().splitlines()) >= len(SPELLINGS) * 4, 30, "all are logged there too")
    text = edge.errors() + json.dumps(edge.log()) + log.read_text() + server.log() + server.output()
    assert not {mac for mac in macs if mac in text}


SIGNED = f"/clips/deep/er/show.mp3?t=1,2&signature={MAC}"
#: Requests that no server understands, each with a signature somewhere.
MALFORMED = [
    *(f"GET {SIGNED}", f"GET  {SIGNED} HTTP/1.1", f"GET {SIGNED} HTTP/9.9", f"GET {SIGNED} HTTP/1.1 x", f"G{{ET {SIGNED} HTTP/1.1"),
    *(f"GET {SIGNED}\x01 HTTP/1.1", f"{SIGNED} GET HTTP/1.1", f"GET {SIGNED[1:]} HTTP/1.1", f"GET /%zz{SIGNED} HTTP/1.1", MAC),
    *(f"GET *?signature={MAC} HTTP/1.1", f"GET http://[x{SIGNED} HTTP/1.1", f"CONNECT x{SIGNED} HTTP/1.1"),
    f"GET /{MAC}{'x' * 9000} HTTP/1.1",
    *(f"GET {SIGNED} HTTP/1.1\r\n{field}" for field in (MAC, f" {MAC}", f": {MAC}", f"Bad {MAC}: x", "Host: x@@[", "Host: x\r\nHost: y")),
    *(f"GET {SIGNED} HTTP/1.1\r\nHost: x\r\n{name}: {MAC}" for name in ("Transfer-Encoding", "Content-Length", "Expect", "Upgrade")),
    f"GET {SIGNED} HTTP/1.1\r\nHost: x\r\nX: {MAC}{'y' * 9000}",
    *(f"GET {path}{SIGNED} HTTP/1.1\r\nHost: x" for path in ("/x%00", "/x%2f", "/x%0a", "/x%ff", "/" + "n" * 300)),
    *(f"{method} {SIGNED} HTTP/1.1\r\nHost: x" for method in ("TRACE", "PUT", "get", "X" * 50)),
    # Apache quotes a path that leads above / with its query (AH10244), and ends each line of its log with the referrer.
    *(f"GET /../clips/%2e%2e/..{SIGNED} HTTP/1.1\r\nHost: x", f"GET //..//{SIGNED} HTTP/1.1\r\nHost: x\r\nReferer: http://x{SIGNED}"),
    f"GET /.errors/404.json?x={SIGNED} HTTP/1.1\r\nHost: x\r\nReferer: http://x{SIGNED}",
]  # fmt: skip


def send(port: int, request: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, contextlib.suppress(OSError):
        connection.sendall(request.encode("latin-1") + b"\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def test_what_is_no_http_leaves_no_signature(
    front: Callable[..., Edge], logging_members: tuple[Server, pathlib.Path], tapping: Callable[[int], Tap]
) -> None:
    server, log = logging_members
    tap = tapping(server.port)
    edge = front(site(tap.port, signed=True))
    for request in MALFORMED:
        send(server.port, request)
    for request in MALFORMED:
        send(edge.port, request)
    # Each is logged before its connection ends, and this one after them.
    server.get("/clips/last.mp3")
    edge.get("/clips/last.mp3")
    until(lambda: "last.mp3" in log.read_text(), 10, "the slicer has logged")
    until(lambda: "last.mp3" in json.dumps(edge.log()), 10, "the edge has logged")
    # Apache has said what it says of a request that it refused, which is the last one of them.
    until(lambda: "AH01630" in server.log(), 10, "Apache has logged")
    for text in (edge.errors(), json.dumps(edge.log()), log.read_text(), server.log(), server.output()):
        assert MAC not in text
    assert not [target for target in tap.targets if target.startswith("/..")]


def run_slicer(*words: str, **environ: str) -> str:
    """All that the command says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLICER_")}
    done = subprocess.run(
        [sys.executable, "-m", "mp3_slicer", *words],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("words", [["serve", "--print"], ["doctor"], ["jobs", "list"], ["serve", "--port", "1x"]])
@pytest.mark.parametrize(
    "settings",
    [
        {"SLICER_JOBS_BROKER": f"redis://:{PASSWORD}@127.0.0.1:1/0"},
        # What is wrong with each is told, and not what it is.
        {"SLICER_JOBS_BROKER": f"http://:{PASSWORD}@127.0.0.1:1/0"},
        {"SLICER_JOBS_BROKER": f"rediss://:{PASSWORD}@127.0.0.1:1/0?ssl_cert_reqs=none"},
        {"SLICER_JOBS_BROKER": f"{PASSWORD}"},
        {"SLICER_JOBS_BROKER": f"redis://:{PASSWORD}@127.0.0.1:1x/0"},
        {"SLICER_JOBS_BROKER": f"redis://:{PASSWORD}@127.0.0.1:1/zero"},
        {"SLICER_JOBS_BROKER": f"redis://:{PASSWORD}@[::1/0"},
        {"SLICER_JOBS_BROKER": "amqp://127.0.0.1:1", "SLICER_JOBS_STORE": f"amqp://:{PASSWORD}@127.0.0.1:1/0"},
        {"SLICER_JOBS_BROKER": f"amqp://x:{PASSWORD}@127.0.0.1:1"},
    ],
    ids=range(9),
)
def test_what_a_command_says_has_no_password(media: str, words: list[str], settings: dict[str, str]) -> None:
    said = run_slicer(*words, SLICER_MEDIA=media, **settings)
    assert said
    assert PASSWORD not in said


def test_a_worker_without_its_queue_says_no_password(media: str, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    place = folder()
    environ = {f"SLICER_{name}_DIR": os.path.join(place, name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")}
    environ |= {"SLICER_MEDIA": media, "SLICER_JOBS_BROKER": f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"}
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-m", "mp3_slicer", "worker"], env={**os.environ, **environ}, stdout=file, stderr=file
        ) as worker,
    ):
        try:
            until(lambda: "Cannot connect to" in log.read_text(), 60, "it says that it cannot connect")
        finally:
            worker.terminate()
    shutil.rmtree(place)
    assert PASSWORD not in log.read_text()


@pytest.mark.parametrize("line", ["main {}", "main {}0", "{}", "main {} x", "main\x00{}"])
def test_what_is_said_of_a_broken_file_of_keys_has_no_key(media: str, tmp_path: pathlib.Path, line: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line.format(MAC[:-1]) + "\n")
    keys.chmod(0o600)
    for words in (["serve", "--print"], ["doctor"], ["sign", "/clips/a.mp3", "--key-file", str(keys)]):
        assert MAC[:-1] not in run_slicer(*words, SLICER_MEDIA=media, SLICER_SIGNING_KEYS=str(keys))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_target_is_logged_without_its_signature(spelling: str) -> None:
    assert redacted(f"/clips/a.mp3?t=1,2&{spelling}{MAC}&key=k") == f"/clips/a.mp3?t=1,2&{spelling}-&key=k"
    assert MAC not in redacted(f"/clips/a.mp3?{spelling}{MAC}&x=%20&{spelling}{MAC}")


def test_targets_without_one_are_logged_as_they_are() -> None:
    for target in ("/clips/a.mp3?t=1,2", "/clips/signature=x.mp3", "/clips/50%25.mp3?t=1%2C2", "*"):
        assert redacted(target) == target


def test_what_is_said_of_too_little_memory_has_none(caplog: pytest.LogCaptureFixture) -> None:
    make_room({"REQUEST_URI": f"/clips/a.mp3?t=1,2&%73ignature={MAC}", "PATH_INFO": "/clips/a.mp3"})
    assert "out of memory: /clips/a.mp3" in caplog.text
    assert MAC not in caplog.text


# -------------------------------------------------------------------------------------------------------------- programs


def test_ffmpeg_gets_no_variable_with_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICER_JOBS_BROKER", f"redis://:{PASSWORD}@127.0.0.1/0")
    monkeypatch.setenv("ANY_OTHER_TOKEN", PASSWORD)
    found = ffmpeg._environment()
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
        "queue_sites": {"main": SITE_PASSWORD},
        "slicer_jobs_brokers": {"main": f"redis://site-main:{SITE_PASSWORD}@127.0.0.1:{broker.port}/0"},
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
        "slicer_memory_mib": 1024,
        "_queue_own_configuration": {"rc": 0},
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
    assert SITE_PASSWORD in written
    assert keys in written
    for secret in (PASSWORD, SITE_PASSWORD, keys):
        assert secret not in said
        # The broker of other tests is not of this play.
        assert not [line for line in seen if secret in line and "redis-server" not in line]
