"""The container image, built and run: clips, health, logs, limits of what is inside, settings, the volume, and the way it stops."""

import contextlib
import http.client
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.engine import START_SECONDS, Engine
from mp3_slicer import __version__
from support import streams
from support.server import free_port, status, until

#: Building it takes minutes where nothing of it is there yet.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

USER = 10001


class Container:
    """A running container."""

    def __init__(self, built: tuple[Engine, str], media: Path, *options: str) -> None:
        self.engine, image = built
        self.name = f"slicer-image-{secrets.token_hex(4)}"
        self.port = free_port()
        mounts = ("--volume", f"{media}:/media:ro", "--publish", f"127.0.0.1:{self.port}:8000")
        # The limits that an operator would set, for every test.
        limits = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--stop-timeout=60")
        self.engine.run("run", "--detach", "--name", self.name, *mounts, *limits, *options, image)
        try:
            until(self._answers, START_SECONDS, "the container answers")
        except BaseException:
            print(self.logs())
            self.remove()
            raise

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/readyz")[0] == 200
        assert self.inspect("{{.State.Running}}") == "true", self.logs()
        return False

    def get(self, target: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def inside(self, script: str) -> str:
        """Run a shell script in it, as its user."""
        return self.engine.run("exec", self.name, "sh", "-c", script)

    def inspect(self, template: str) -> str:
        return self.engine.run("inspect", "--format", template, self.name)

    def logs(self) -> str:
        done = self.engine.both("logs", self.name)
        return f"stdout:\n{done.stdout}\nstderr:\n{done.stderr}"

    def remove(self) -> None:
        self.engine.run("rm", "--force", "--volumes", self.name, check=False)


@contextlib.contextmanager
def container(built: tuple[Engine, str], media: Path, *options: str) -> Iterator[Container]:
    made = Container(built, media, *options)
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def running(built: tuple[Engine, str], media: Path) -> Iterator[Container]:
    with container(built, media, "--env", "SLICER_LIST_LIBRARY=0") as made:
        yield made


def test_a_clip_is_the_one_that_the_command_cuts(running: Container, media: Path, tmp_path: Path):
    code, clip = running.get("/clips/show.mp3?t=20,30")
    assert code == 200
    (tmp_path / "clip.mp3").write_bytes(clip)
    cut = tmp_path / "cut.mp3"
    subprocess.run(
        [sys.executable, "-m", "mp3_slicer", "cut", media / "show.mp3", "--t", "20,30", "-o", cut], check=True
    )
    assert clip == cut.read_bytes()
    assert len(streams.decode_ffmpeg(str(tmp_path / "clip.mp3"))) == 10 * 44100 * 2
    # ffmpeg and what else renders take is inside.
    code, render = running.get("/renders/show.ogg?t=20,30")
    assert (code, render[:4]) == (200, b"OggS")


def test_it_is_found_healthy(running: Container):
    if running.engine.program == "podman":
        # Docker asks by itself, Podman by a timer of systemd, which a machine of tests need not run.
        running.engine.run("healthcheck", "run", running.name)
    until(lambda: running.inspect("{{.State.Health.Status}}") == "healthy", START_SECONDS, "it is healthy")


def test_it_runs_as_nobody_of_importance(running: Container):
    fields = status(int(running.inspect("{{.State.Pid}}")))
    assert set(fields["Uid"].split()) == {str(USER)}
    assert int(fields["CapEff"], 16) == 0
    assert running.inside("touch /opt/slicer/x /etc/x /x 2>/dev/null || echo read-only") == "read-only"


def test_what_is_inside(running: Container):
    assert running.inside("for each in gcc cc c++ make ld as npm pip pip3; do command -v $each || true; done") == ""
    assert running.inside("slicer --version").startswith(f"slicer {__version__}")
    # Of the machine that built it, nothing: neither its addresses nor whom it trusts.
    assert running.inside(
        "ls /usr/local/share/ca-certificates /etc/apt/apt.conf.d/90builder /etc/pip.conf 2>/dev/null || true"
    ) in {
        "",
        "/usr/local/share/ca-certificates:",
    }
    assert "FAIL" not in running.inside("slicer doctor /media")


def test_its_logs_are_its_output(running: Container):
    assert running.get("/clips/nothing.mp3?t=0,1")[0] == 404
    until(lambda: '"target": "/clips/nothing.mp3' in running.logs(), 60, "the request is logged")
    out, _, err = running.logs().partition("\nstderr:\n")
    (line,) = (json.loads(line) for line in out.splitlines() if line.startswith("{") and "nothing.mp3" in line)
    assert line["status"] == 404
    assert "resuming normal operations" in err


def test_settings_come_from_the_environment(running: Container):
    assert running.get("/library")[0] == 403


def test_indexes_stay_in_the_volume(built: tuple[Engine, str], media: Path):
    volume = f"slicer-image-{secrets.token_hex(4)}"
    listing = "find /var/cache/slicer/index -type f | sort"
    try:
        with container(built, media, "--volume", f"{volume}:/var/cache/slicer") as first:
            assert first.get("/clips/show.mp3?t=0,1")[0] == 200
            found = first.inside(listing)
            assert found
        with container(built, media, "--volume", f"{volume}:/var/cache/slicer") as second:
            assert second.inside(listing) == found
            assert second.get("/clips/show.mp3?t=1,2")[0] == 200
    finally:
        built[0].run("volume", "rm", "--force", volume, check=False)


def test_a_stop_lets_answers_finish(built: tuple[Engine, str], media: Path):
    with container(built, media) as made:
        target, whole = "/clips/long.mp3?t=0,2800", 0
        connection = http.client.HTTPConnection("127.0.0.1", made.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", target)
            answer = connection.getresponse()
            assert answer.status == 200
            length = int(answer.headers["Content-Length"])
            whole += len(answer.read(65536))
            stopping = threading.Thread(target=made.engine.run, args=("stop", made.name))
            stopping.start()
            # It takes no more requests, and the one under way goes on.
            until(lambda: _refuses(made.port), 60, "it stops")
            while block := answer.read(1 << 20):
                whole += len(block)
            assert whole == length
            stopping.join(120)
        assert made.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}") == "0 false"


def _refuses(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/healthz")
            return connection.getresponse().status != 200
    except (OSError, http.client.HTTPException):
        return True
