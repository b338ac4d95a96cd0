"""The checks of a provisioned machine, each on what it looks at; the whole runs on real machines in tests/infra."""

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer.cli import main
from slicer.server import host
from slicer.server.doctor import Check


def test_variables_are_read_as_systemd_does(tmp_path: Path) -> None:
    path = tmp_path / "main.env"
    path.write_text(
        '# a comment\nSERVE_OPTIONS="--host 127.0.0.1 --port 8000 --status"\nSLICER_MEDIA="/srv/two words"\n\nrubbish\n'
    )
    found = host.environment(str(path))
    assert found == {"SERVE_OPTIONS": "--host 127.0.0.1 --port 8000 --status", "SLICER_MEDIA": "/srv/two words"}
    assert host.environment(str(tmp_path / "none")) == {}


class _Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"checks": {"media": false}}'
        self.send_response(200 if self.server.server_name == "well" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ready) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_a_site_says_whether_it_is_ready(server: http.server.ThreadingHTTPServer) -> None:
    options = {"SERVE_OPTIONS": f"--host 0.0.0.0 --port {server.server_port} --cpus 2"}
    server.server_name = "well"
    assert host.ready("main", options).ok
    server.server_name = "ill"
    ill = host.ready("main", options)
    assert not ill.ok
    assert "503" in ill.detail
    assert '"media": false' in ill.detail


def test_a_site_that_does_not_answer_is_told_of(tmp_path: Path) -> None:
    nobody = host.ready("main", {"SERVE_OPTIONS": "--port 1"})
    assert not nobody.ok
    assert "refused" in nobody.detail
    assert not host.ready("main", {}).ok


def test_media(tmp_path: Path) -> None:
    assert not host.media("main", {"SLICER_MEDIA": str(tmp_path)}).ok
    assert not host.media("main", {"SLICER_MEDIA": str(tmp_path / "none")}).ok
    assert not host.media("main", {}).ok
    (tmp_path / "show.mp3").touch()
    assert host.media("main", {"SLICER_MEDIA": str(tmp_path)}).ok


def test_a_release_that_is_installed_and_does_not_run(tmp_path: Path) -> None:
    wanted, running = str(tmp_path / "current"), str(tmp_path / "release")
    os.symlink("releases/2", wanted)
    assert "No such file" in host.release("main", wanted, running).detail
    os.symlink("/opt/slicer/releases/1", running)
    found = host.release("main", wanted, running)
    assert (found.ok, found.detail) == (False, "1 runs and 2 is installed")
    os.unlink(running)
    os.symlink("/opt/slicer/releases/2", running)
    assert host.release("main", wanted, running) == Check("release of main", True, "2")


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.disk(str(tmp_path)).ok
    monkeypatch.setattr(host, "MIN_FREE_BYTES", 1 << 60)
    monkeypatch.setattr(host, "ENOUGH_BYTES", 1 << 61)
    assert not host.disk(str(tmp_path)).ok


def test_certificates(tmp_path: Path) -> None:
    def made(name: str, days: int) -> str:
        chain = tmp_path / f"{name}.pem"
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
        words = [*command.split(), "-days", str(days), "-keyout", str(tmp_path / "key"), "-out", str(chain)]
        subprocess.run(words, check=True, capture_output=True)
        return str(chain)

    good, late = made("good", 30), made("late", 7)
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"ssl_certificate {good};\n  ssl_certificate {late};\n  ssl_certificate_key {tmp_path}/key;\n# ssl_certificate no;\n"
    )
    assert host.certificates(str(conf)) == sorted([good, late])
    assert host.certificates(str(tmp_path / "none")) == []
    assert host.certificate(good).ok
    assert not host.certificate(late).ok
    assert not host.certificate(str(tmp_path / "none.pem")).ok


def test_it_names_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--host", "/srv/audio"]) == 2
    assert "--host" in capsys.readouterr().err


def test_a_machine_that_the_roles_did_not_make(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "enabled_units", list)
    monkeypatch.setattr(host, "ETC", "/nowhere")
    assert main(["doctor", "--host"]) == 1
    said = capsys.readouterr().out
    assert "no unit of the roles is enabled here" in said
    assert said.splitlines()[-1].endswith("to look at")
