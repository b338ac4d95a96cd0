import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest

from mp3_slicer.server import checks, preflight, reach
from mp3_slicer.server.preflight import PreflightError

USER = "www-data" if os.geteuid() == 0 else None
# Modes never keep root out, so root asks for another user and everybody else for themselves.


@pytest.fixture
def folder():
    """A folder the run user can enter, with a closed one in it that holds an open one."""
    path = tempfile.mkdtemp(prefix="slicer-test-")
    os.chmod(path, 0o755)
    os.makedirs(os.path.join(path, "closed", "open"))
    os.chmod(os.path.join(path, "closed"), 0o000)
    yield path
    os.chmod(os.path.join(path, "closed"), 0o755)
    shutil.rmtree(path)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_the_closed_parent_is_named(folder):
    inner = os.path.join(folder, "closed", "open")
    assert reach.obstacle(inner, USER) == os.path.join(folder, "closed")
    with pytest.raises(PreflightError) as error:
        preflight.require(checks.readable("media folder", inner, USER))
    assert f"{folder}/closed is d---------" in one_line(error)
    preflight.require(checks.readable("media folder", folder, USER))


def test_a_link_is_followed_through_both_its_paths(folder):
    link = os.path.join(folder, "link")
    os.symlink(os.path.join(folder, "closed", "open"), link)
    assert reach.obstacle(link, USER, "rx") is not None


def test_a_missing_folder_is_an_obstacle(folder):
    assert reach.obstacle(os.path.join(folder, "none"), USER) == os.path.join(folder, "none")


def test_a_folder_of_its_own_is_made_and_given_away(folder):
    path = os.path.join(folder, "a", "b", "index")
    preflight.own_folder("index folder", path, "SLICER_INDEX_DIR", USER)
    owner = pwd.getpwnam(USER).pw_uid if USER else os.geteuid()
    assert os.stat(path).st_uid == owner
    assert os.stat(os.path.dirname(path)).st_uid == os.geteuid()
    preflight.own_folder("index folder", path, "SLICER_INDEX_DIR", USER)


def test_a_folder_of_its_own_that_cannot_be_written(folder):
    path = os.path.join(folder, "index")
    os.mkdir(path, 0o555)
    with pytest.raises(PreflightError) as error:
        preflight.own_folder("index folder", path, "SLICER_INDEX_DIR", USER)
    assert "SLICER_INDEX_DIR" in one_line(error)
    assert os.stat(path).st_uid == os.geteuid(), "a folder that exists is not given away"


def test_a_folder_of_its_own_below_a_file(folder):
    with open(os.path.join(folder, "file"), "w"):
        pass
    with pytest.raises(PreflightError):
        preflight.own_folder("index folder", os.path.join(folder, "file", "index"), "SLICER_INDEX_DIR", USER)


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_taken_port(host, family):
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PreflightError) as error:
            preflight.address_free(host, port)
        assert "another program uses it" in one_line(error)
    preflight.address_free(host, port)


def test_more_indexes_than_memory():
    preflight.indexes_fit(64 << 20, 192 << 20)
    with pytest.raises(PreflightError) as error:
        preflight.indexes_fit((64 << 20) + 1, 192 << 20)
    assert "--clips-memory 193M" in one_line(error)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports_out_of_range(port):
    with pytest.raises(PreflightError, match="from 1 to 65535"):
        preflight.address_free("127.0.0.1", port)


def test_an_address_of_another_machine():
    with pytest.raises(PreflightError, match="no such address"):
        preflight.address_free("192.0.2.1", 8000)


@pytest.mark.parametrize("host", ["", "no such host", "a" * 300])
def test_a_host_that_means_nothing(host):
    with pytest.raises(PreflightError, match="resolves to no address"):
        preflight.address_free(host, 8000)


def test_a_missing_program(tmp_path):
    with pytest.raises(PreflightError, match="pip install"):
        preflight.program_present(str(tmp_path / "mod_wsgi-express"))


def test_a_log_of_requests_on_standard_output(tmp_path):
    own = preflight.request_log("/dev/stdout", None)
    assert own == f"/proc/{os.getpid()}/fd/1"
    assert preflight.request_log("", None) == ""
    path = str(tmp_path / "log" / "requests.log")
    assert preflight.request_log(path, None) == path
    assert (tmp_path / "log").is_dir()


def test_a_standard_output_that_daemons_cannot_open():
    # Root's is closed to the run user; a socket, as a unit's, has no path to open.
    with pytest.raises(PreflightError, match="the server runs as nobody"):
        preflight.request_log("/dev/stdout", "nobody")
    script = "from mp3_slicer.server import preflight; preflight.request_log('/dev/stdout', None)"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert "PreflightError: log of requests: /dev/stdout: No such device or address; name a file" in done.stderr


@pytest.mark.parametrize("host", ["", "a b", "x\nInclude /etc/passwd", "'", "a/b", "é", "x" * 256])
def test_a_host_that_is_none_never_reaches_apache(host: str) -> None:
    with pytest.raises(preflight.PreflightError, match="no address and no name"):
        preflight.host_name(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "localhost", "fe80::1%eth0", "audio.example.org"])
def test_hosts(host: str) -> None:
    assert preflight.host_name(host) == host
