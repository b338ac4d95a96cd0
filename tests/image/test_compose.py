"""compose.yaml: Nginx, the server, Redis and workers together, as `make compose` prepares them."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

import pytest

from image.engine import START_SECONDS, Engine
from support.server import free_port, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose(image: str, media: Path) -> Iterator[Callable[..., str]]:
    """compose(words) runs the program with the containers up; `compose.port` is that of the edge."""
    command = ["docker", "compose"]
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        command = ["docker-compose"]
        if not shutil.which(*command):
            pytest.skip("there is no docker compose")
    for words in ([ROOT / "scripts" / "image", "edge"], [sys.executable, "scripts/compose"]):
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    port, project = free_port(), f"slicer-{secrets.token_hex(4)}"
    environ = {**os.environ, "MEDIA": str(media), "PORT": str(port)}
    command += ["--project-name", project, "--env-file", "build/compose/env"]

    def run(*words: str, check: bool = True) -> str:
        done = subprocess.run([*command, *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    try:
        run("up", "--detach")
        run.port = port
        until(lambda: _is_up(port), START_SECONDS, "the edge answers with a clip")
        yield run
    except BaseException:
        print(run("logs", check=False))
        raise
    finally:
        run("down", "--volumes", check=False)


def ask(port: int, target: str, body: bytes | None = None) -> HTTPResponse:
    fields = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{target}", body, fields)
    return urllib.request.urlopen(request, timeout=60)


def _is_up(port: int) -> bool:
    with contextlib.suppress(OSError, HTTPException, urllib.error.URLError):
        return ask(port, "/clips/show.mp3?t=0,1").status == 200
    return False


def test_clips_come_out_of_the_cache(compose):
    first, second = (ask(compose.port, "/clips/show.mp3?t=20,30") for _ in range(2))
    assert [answer.headers["X-Cache-Status"] for answer in (first, second)] == ["MISS", "HIT"]
    assert first.read() == second.read()


def test_a_job_is_done_while_its_client_is_held(compose):
    order = json.dumps({"request": "/renders/show.ogg?t=0,40"}).encode()
    answer = ask(compose.port, "/jobs", order)
    assert answer.status == 202
    name = answer.headers["Location"]
    # Nginx holds it until the worker has published the end.
    assert json.load(ask(compose.port, f"{name}/wait"))["state"] == "done"
    assert ask(compose.port, name).read(4) == b"OggS"


def test_nobody_is_root(compose):
    containers = compose("ps", "--quiet").split()
    assert len(containers) == 4
    docker = Engine("docker").run
    for each in containers:
        assert docker("exec", each, "id", "-u") != "0"
        assert docker("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", each) == "true"
