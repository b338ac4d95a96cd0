"""One client against the renders of all: what it asked for and left is not begun, and it never has all processes."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mp3_slicer.web.connection import has_gone
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.quota import Shares
from support import streams
from support.exposition import parse, value
from support.server import Server, folder, serving, until


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    media = folder()
    source = streams.make("mpeg1-44-stereo-cbr128", media, seconds=20)
    os.rename(source, os.path.join(media, "show.mp3"))
    with serving(media, "--cpus", "2") as running:
        yield running
    shutil.rmtree(media)


@contextlib.contextmanager
def connection(family: socket.AddressFamily, host: str) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A client's socket, and what a server knows of it."""
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        client = socket.socket(family)
        # A port that is bound by name is given to no other connection of this machine, and a second socket may take it.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((host, 0))
        client.connect(listener.getsockname()[:2])
        server, address = listener.accept()
        with server, client:
            port = str(listener.getsockname()[1])
            ends = {"REMOTE_ADDR": address[0], "REMOTE_PORT": str(address[1]), "SERVER_ADDR": server.getsockname()[0]}
            yield client, {**ends, "mod_wsgi.listener_port": port}


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
@pytest.mark.parametrize("way", ["closed", "half", "reset"])
def test_a_client_that_has_gone(family: socket.AddressFamily, host: str, way: str) -> None:
    try:
        with connection(family, host) as (client, environ):
            assert not has_gone(environ)
            if way == "half":
                client.shutdown(socket.SHUT_WR)
            else:
                if way == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
            until(lambda: has_gone(environ), 30, "it is seen")
    except OSError as error:
        if family is socket.AF_INET6:
            pytest.skip(f"there is no IPv6 here: {error}")
        raise


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_no_table_is_read_for_a_client_that_waits(family: socket.AddressFamily, host: str, tmp_path: Path) -> None:
    """They have a line for each connection of the last minute, and a busy server has tens of thousands."""
    with connection(family, host) as (client, environ):
        without = tmp_path / "tcp"
        without.write_text(f"head\n0: 00000000:{int(environ['mod_wsgi.listener_port']):04X} 00000000:0000 0A\n")
        assert not has_gone(environ, (str(without),))
        # Where the kernel cannot be asked for one connection, the tables count.
        for other in ("", "unix:", "192.0.2.1", "2001:db8::1"):
            assert has_gone({**environ, "SERVER_ADDR": other}, (str(without),))
        client.close()
        until(lambda: has_gone(environ, (str(without),)), 30, "it is seen")


def test_a_connection_to_another_server_from_the_same_port() -> None:
    with connection(socket.AF_INET, "127.0.0.1") as (client, environ), socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with socket.socket() as second:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            second.bind(client.getsockname())
            second.connect(other.getsockname())
            assert not has_gone(environ)
            client.close()
            until(lambda: has_gone(environ), 30, "it is seen")


def test_what_nobody_can_tell_is_no_reason() -> None:
    for environ in (
        {},
        {"REMOTE_ADDR": "unix:", "REMOTE_PORT": "1"},
        {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "x", "mod_wsgi.listener_port": "80"},
        # No server here has that port.
        {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "1234", "mod_wsgi.listener_port": "1"},
    ):
        assert not has_gone(environ)
    assert not has_gone({"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "1", "mod_wsgi.listener_port": "1"}, ("/nowhere",))


HOLDER = """
import sys, time
from mp3_slicer.web.quota import Shares
with Shares(sys.argv[1], 2).taken("192.0.2.1"):
    print("taken", flush=True)
    time.sleep(60)
"""

BRIEF_HOLDER = HOLDER.replace('"192.0.2.1"', '"192.0.2.1", is_brief=True')


def test_a_share_is_of_all_processes_and_goes_with_them(tmp_path: Path) -> None:
    shares = Shares(str(tmp_path), 2)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(Problem) as error, shares.taken("192.0.2.1"):
            pass
        assert (error.value.status, error.value.kind) == (429, "too-many-renders")
        for client in ("192.0.2.2", ""):
            with shares.taken(client):
                pass
        with Shares(str(tmp_path), 3).taken("192.0.2.1"), Shares(str(tmp_path / "none"), 2).taken("192.0.2.1"):
            pass
        # Brief work may take the last process, and no more.
        with subprocess.Popen(
            [sys.executable, "-c", BRIEF_HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as brief:
            assert brief.stdout is not None
            assert brief.stdout.readline() == "taken\n"
            with pytest.raises(Problem), shares.taken("192.0.2.1", is_brief=True):
                pass
            brief.kill()
            brief.wait(10)
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    with shares.taken("192.0.2.1"):
        pass
    # Other work finds its slot free while brief work is under way.
    with subprocess.Popen(
        [sys.executable, "-c", BRIEF_HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as brief:
        assert brief.stdout is not None
        assert brief.stdout.readline() == "taken\n"
        with shares.taken("192.0.2.1"):
            pass
        brief.kill()
        brief.wait(10)
    # A process alone has nobody to leave room for.
    with Shares(str(tmp_path), 1).taken("192.0.2.1"):
        pass


def made(server: Server) -> float:
    return value(parse(server.get("/metrics")[2].decode()), "slicer_results_total", kind="render", outcome="made")


def test_renders_whose_clients_have_gone_are_not_begun(server: Server) -> None:
    before = made(server)
    daemons = server.daemons("renders")
    with ThreadPoolExecutor(1) as clients:
        # All processes are at work, as it were.
        for pid in daemons:
            os.kill(pid, signal.SIGSTOP)
        try:
            gone = []
            for number in range(3):
                left = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                left.request("GET", f"/renders/show.wav?t={number},9")
                gone.append(left)
            # They are handed over, and wait.
            time.sleep(0.5)
            for left in gone:
                left.close()
            last = clients.submit(server.get, "/renders/show.wav?t=1,2")
            time.sleep(0.2)
        finally:
            for pid in daemons:
                os.kill(pid, signal.SIGCONT)
        assert last.result()[0] == 200
    until(lambda: made(server) - before >= 1, 30, "it is counted")
    assert made(server) - before == 1


def test_a_client_leaves_a_process_to_others(server: Server) -> None:
    scratch = server.folders["SLICER_SCRATCH_DIR"]
    shares = Path(scratch, "shares")
    shares.touch(0o600)
    status = os.stat(scratch)
    os.chown(shares, status.st_uid, status.st_gid)
    with subprocess.Popen([sys.executable, "-c", HOLDER, scratch], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        # As if the other process were at work for this client.
        code, headers, _ = server.get("/renders/show.wav?t=1,3", X_Slicer_Address="192.0.2.1")
        assert (code, headers["cache-control"]) == (429, "no-store")
        assert int(headers["retry-after"]) > 0
        for name in ("/peaks/show.json?pixels=30", "/renders/show.wav?t=1,4"):
            assert server.get(name, X_Slicer_Address="192.0.2.1")[0] == 429
            assert server.get(name, X_Slicer_Address="192.0.2.2")[0] == 200
            # It is made now, for everybody.
            assert server.get(name, X_Slicer_Address="192.0.2.1")[0] == 200
        # A part takes a second or two.
        assert server.get("/peaks/show.json?pixels=31&part=2", X_Slicer_Address="192.0.2.1")[0] == 200
        holder.kill()
        holder.wait(10)
    assert server.get("/renders/show.wav?t=1,3", X_Slicer_Address="192.0.2.1")[0] == 200
