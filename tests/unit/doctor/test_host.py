"""The checks of a provisioned machine, each on what it looks at; the whole runs on real machines in tests/infra."""

import http.server
import os
import shutil
import socket
import subprocess
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from mp3_slicer.cli.main import main
from mp3_slicer.doctor import host
from mp3_slicer.server.checks import Check

Usage = namedtuple("Usage", "total used free")


def test_variables_are_read_as_systemd_does(tmp_path: Path) -> None:
    path = tmp_path / "main.env"
    path.write_text(
        '# a comment\nSERVE_OPTIONS="--host 127.0.0.1 --port 8000 --status"\nSLICER_MEDIA="/srv/two words"\n\nrubbish\n'
    )
    found = host.environment(str(path))
    assert found == {"SERVE_OPTIONS": "--host 127.0.0.1 --port 8000 --status", "SLICER_MEDIA": "/srv/two words"}
    assert host.environment(str(tmp_path / "none")) == {}
    path.write_bytes(b'SLICER_MEDIA="/srv/x\nSLICER_HOSTS=\xff\n')
    assert host.environment(str(path)) == {"SLICER_MEDIA": '"/srv/x', "SLICER_HOSTS": "\ufffd"}


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


class _Six(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
@pytest.mark.parametrize("listens", ["::", "::1"])
def test_a_site_of_ipv6_is_asked_by_ipv6(listens: str) -> None:
    with _Six((listens, 0), _Ready) as running:
        running.server_name = "well"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        said = host.ready("main", {"SERVE_OPTIONS": f"--host {listens} --port {running.server_port}"})
        running.shutdown()
    assert said.ok, said
    assert said.detail.startswith(f"http://[::1]:{running.server_port}/readyz ")


def test_a_site_that_does_not_answer_is_told_of(tmp_path: Path) -> None:
    nobody = host.ready("main", {"SERVE_OPTIONS": "--port 1"})
    assert not nobody.ok
    assert "refused" in nobody.detail
    assert not host.ready("main", {}).ok


def test_a_site_that_is_not_ready_is_told_with_the_folders_to_look_at(server: http.server.ThreadingHTTPServer) -> None:
    server.server_name = "ill"
    ill = host.ready("main", {"SERVE_OPTIONS": f"--port {server.server_port}", "SLICER_MEDIA": "/srv/two words"})
    assert "namei --long '/srv/two words'" in ill.advice
    assert "/var/cache" not in ill.advice


def test_media(tmp_path: Path) -> None:
    assert not host.media("main", {"SLICER_MEDIA": str(tmp_path)}).ok
    assert not host.media("main", {"SLICER_MEDIA": str(tmp_path / "none")}).ok
    assert not host.media("main", {}).ok
    (tmp_path / "show.mp3").touch()
    assert host.media("main", {"SLICER_MEDIA": str(tmp_path)}).ok


def test_a_release_that_is_installed_and_does_not_run(tmp_path: Path) -> None:
    wanted, running = str(tmp_path / "current"), str(tmp_path / "release")
    os.symlink("releases/2", wanted)
    stopped = host.release("main", wanted, running)
    assert (stopped.detail, stopped.advice) == ("none runs, 2 is installed", "systemctl start slicer@main")
    bare = host.release("main", str(tmp_path / "none"), running)
    assert "No such file" in bare.detail
    assert "ansible-playbook" in bare.advice
    os.symlink("/opt/slicer/releases/1", running)
    found = host.release("main", wanted, running)
    assert (found.ok, found.detail) == (False, "1 runs and 2 is installed")
    os.unlink(running)
    os.symlink("/opt/slicer/releases/2", running)
    assert host.release("main", wanted, running) == Check("release of main", True, "2")


def test_a_process_with_replaced_libraries(tmp_path: Path) -> None:
    library = "7f00-7f01 r-xp 00000000 08:01 77 /usr/lib/x86_64-linux-gnu/libssl.so.3"
    others = [
        "7f00-7f01 rw-s 00000000 00:01 9 /dev/zero (deleted)",
        "7f02-7f03 r-xp 00000000 00:01 9 /memfd:x (deleted)",
        "7f04-7f05 r-xp 0 0 0 [vdso]",
    ]
    for pid, lines in ((1, [library, *others]), (2, [f"{library} (deleted)", *others])):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "maps").write_text("\n".join(lines) + "\n")
    assert host.libraries("slicer@main.service", [1, 3], str(tmp_path)).ok
    found = host.libraries("slicer@main.service", [1, 2, 3], str(tmp_path))
    assert (found.ok, found.detail) == (False, "1 processes run replaced ones: libssl.so.3")
    assert found.advice == host.RESTART
    # This process has just been started.
    assert host.libraries("this", [os.getpid()]).ok


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.disk(str(tmp_path)).ok
    monkeypatch.setattr(host, "MIN_FREE_BYTES", 1 << 60)
    monkeypatch.setattr(host, "ENOUGH_BYTES", 1 << 61)
    assert not host.disk(str(tmp_path)).ok


def test_what_is_mounted_below_a_folder_is_a_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    for name in ("main", "main.results"):
        (cache / name).mkdir(parents=True)
    assert host.disks([str(cache), str(tmp_path / "none")]) == [str(cache)]
    monkeypatch.setattr(os.path, "ismount", lambda path: "results" in path)
    assert host.disks([str(cache)]) == [str(cache), str(cache / "main.results")]


def test_a_small_disk_is_told_in_mebibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 20, 1 << 20, 0))
    assert host.disk("/small") == Check(
        "/small", False, "0.0 MiB of 1.0 MiB free", "du -xh --max-depth=2 /small | sort -h | tail"
    )


ERRORS = """\
[Sat Nov 21 16:10:36.755526 2026] [wsgi:error] [pid 1:tid 2] no place for the work: [Errno 28] No space left on device
Traceback (most recent call last):
ERROR celery.worker.consumer.consumer: consumer: Cannot connect to redis://:**@127.0.0.1:6379/0
slicer@main.service: Failed with result 'signal'.
"""
NO_ERRORS = """\
[Sat Nov 21 16:10:32.171529 2026] [mpm_prefork:notice] [pid 1:tid 1] AH00163: Apache configured -- resuming normal operations
Stopped slicer@main.service - Slicer, site main.
slicer@main.service: Deactivated successfully.
working on jobs of /srv/error: 2 processes for short ones, 2 for long ones
"""


@pytest.mark.parametrize("line", ERRORS.splitlines())
def test_an_error_in_a_log_is_known_by_its_text(line: str) -> None:
    assert host.logged_errors([*NO_ERRORS.splitlines(), line]) == [line]


def test_the_units_of_the_settings_must_be_enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("main.env", "main.keys", "main.worker.env"):
        (tmp_path / name).touch()
    assert host.expected(host.configured(str(tmp_path))) == ["slicer-worker@main.service", "slicer@main.service"]
    monkeypatch.setattr(host, "ETC", str(tmp_path))
    monkeypatch.setattr(host, "enabled_units", lambda: ["slicer@main.service"])
    ill = {check.name: check.advice for check in host.checks() if "is not enabled" in check.detail}
    assert ill == {"slicer-worker@main.service": "systemctl enable --now slicer-worker@main.service"}


@pytest.mark.parametrize(("user", "told"), [(0, False), (1000, True)])
def test_who_is_not_root_is_told(user: int, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(host, "enabled_units", list)
    monkeypatch.setattr(host, "ETC", "/nowhere")
    assert ("root" in {check.name for check in host.checks()}) == told


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
    os.rename(good, own := f"{tmp_path}/main.self-signed.pem")
    os.symlink(own, good)
    assert host.certificate(good).detail.startswith("self-signed")
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
