"""`slicer drain`: new daemons, one after another, with the code of now; and releases that a symbolic link chooses from."""

import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import mp3_slicer
from mp3_slicer.server import files
from support.asking import Asking
from support.server import arguments, children_of, folder, status, until

PACKAGES = ("mod_wsgi", "mod_wsgi_packages", "werkzeug", "markupsafe", "tqdm", "mp3_slicer")


def drain(pid, python=sys.executable, **options):
    words = [python, "-m", "mp3_slicer", "drain", str(pid)]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, capture_output=True, text=True, timeout=120, env=environ, check=False, **options)


def asking(server, target, threads=4):
    """Asks for a page over and over, and counts the answers by their status."""
    return Asking(lambda: server.get(target)[0], threads)


@pytest.mark.parametrize("cpus", ["1", "2"])
def test_every_daemon_is_replaced_and_nobody_notices(start, cpus):
    server = start("--cpus", cpus)
    old = server.daemons("clips") + server.daemons("renders")
    children = sorted(server.children())
    with asking(server, "/healthz") as clips, asking(server, "/renders/a.mp3", 1) as renders:
        done = drain(server.pid)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{len(old)} daemons replaced\n", "")
    new = server.daemons("clips") + server.daemons("renders")
    assert len(new) == len(old)
    assert not set(new) & set(old)
    assert sorted(server.children()) == children
    assert set(clips.answers) == {200}
    assert set(renders.answers) == {404}
    assert clips.answers[200] > 100
    assert clips.slowest < 5


def test_one_goes_after_another(start):
    server = start("--cpus", "2")
    fewest, end = [], threading.Event()

    def look():
        while not end.is_set():
            fewest.append(min(len(server.daemons(group)) for group in ("clips", "renders")))
            time.sleep(0.02)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert drain(server.pid).returncode == 0
    finally:
        end.set()
        looking.join()
    assert min(fewest) == 1


def test_work_is_finished_first(start):
    """A daemon that is stopped cannot go; it is waited for, and goes when it may."""
    server = start("--cpus", "1")
    (daemon,) = server.daemons("clips")
    os.kill(daemon, signal.SIGSTOP)
    threading.Timer(3, os.kill, (daemon, signal.SIGCONT)).start()
    started = time.monotonic()
    assert drain(server.pid).returncode == 0
    assert time.monotonic() - started > 2.5
    assert daemon not in server.daemons("clips")


@pytest.mark.parametrize("which", ["ourselves", "apache", "nobody", "daemon"])
def test_what_is_no_server_is_one_line(server, which):
    pid = {"ourselves": os.getpid(), "apache": server.apache, "nobody": 4194304, "daemon": server.daemons("clips")[0]}
    before = server.everything()
    done = drain(pid[which])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"slicer: process {pid[which]} is no `slicer serve` that has started, or not yours\n"
    assert server.everything() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_somebody_elses_server_is_left_alone(start):
    server = start()
    before = server.everything()
    done = drain(server.pid, user="nobody", group="nogroup", extra_groups=[], cwd="/")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "not yours" in done.stderr
    assert server.everything() == before


# ------------------------------------------------------------------------------------------------------------ releases


def make_release(path, version):
    """A virtual environment as an installation of a wheel leaves it, with a version of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True, timeout=60)
    (site,) = pathlib.Path(path).glob("lib/python*/site-packages")
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None:
            (place,) = spec.submodule_search_locations
            shutil.copytree(place, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    found = files.find()
    shutil.copytree(found.apache, site / "mp3_slicer" / "apache", dirs_exist_ok=True)
    shutil.copy(found.entry_point, site / "mp3_slicer" / "apache" / "slicer.wsgi")
    (site / "mp3_slicer" / "__init__.py").write_text(f'"""Another."""\n\n__version__ = "{version}"\n')
    program = pathlib.Path(path, "bin", "mod_wsgi-express")
    lines = pathlib.Path(os.path.dirname(sys.executable), "mod_wsgi-express").read_text().splitlines(keepends=True)
    program.write_text("".join([f"#!{path}/bin/python3\n", *lines[1:]]))
    program.chmod(0o755)
    return site / "mp3_slicer"


@pytest.fixture
def releases():
    """A folder with the releases 1.0 and 2.0, and `current`, which leads to the first."""
    path = folder()
    for version in ("1.0", "2.0"):
        make_release(os.path.join(path, version), version)
    os.symlink("1.0", os.path.join(path, "current"))
    yield path
    shutil.rmtree(path)


def switch(releases, version):
    link = os.path.join(releases, "next")
    os.symlink(version, link)
    os.replace(link, os.path.join(releases, "current"))


def versions(server):
    """What the application says it is, by many requests: each daemon has answered some."""
    return {json.loads(server.get("/healthz")[2])["version"] for _ in range(60)}


def test_a_server_started_through_a_link_follows_it(start, releases):
    python = os.path.join(releases, "current", "bin", "python")
    server = start("--cpus", "2", python=python, environ={"PYTHONPATH": ""})
    assert server.get("/healthz")[0] == 200
    assert versions(server) == {"1.0"}
    # Nothing that Apache was given names the release, or the environment that this was copied from.
    for name in ("httpd.conf", "apachectl", "handler.wsgi", "sizes.conf", "slicer.conf", "slicer.wsgi"):
        text = pathlib.Path(server.root, name).read_text(encoding="utf-8")
        assert f"{releases}/1.0" not in text, name
        assert sys.prefix not in text, name
    assert f"WSGIPythonHome '{releases}/current'" in pathlib.Path(server.root, "httpd.conf").read_text()

    switch(releases, "2.0")
    assert versions(server) == {"1.0"}
    # One that is asked to go, as `drain` does.
    first = server.daemons("clips")[0]
    os.kill(first, signal.SIGUSR1)
    until(lambda: first not in server.daemons("clips") and len(server.daemons("clips")) == 2, 30, "a new one")
    until(lambda: versions(server) == {"1.0", "2.0"}, 30, "the new one answers")
    shutil.rmtree(os.path.join(releases, "1.0"))
    done = drain(server.pid, python)
    assert (done.returncode, done.stderr) == (0, "")
    assert versions(server) == {"2.0"}
    for pid in server.daemons("clips") + server.daemons("renders"):
        assert status(pid)
        assert os.path.dirname(mp3_slicer.__file__) not in pathlib.Path(f"/proc/{pid}/maps").read_text()


def test_code_that_cannot_be_loaded_replaces_nothing(start, releases):
    python = os.path.join(releases, "current", "bin", "python")
    server = start("--cpus", "1", python=python, environ={"PYTHONPATH": ""})
    (site,) = pathlib.Path(releases, "2.0").glob("lib/python*/site-packages")
    (site / "mp3_slicer" / "web" / "app.py").write_text("raise RuntimeError('no such luck')\n")
    switch(releases, "2.0")
    before = server.daemons("clips") + server.daemons("renders")
    done = drain(server.pid, python)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing is replaced: RuntimeError('no such luck')" in done.stderr
    # Who does not look first, finds out at the first one, and leaves the others.
    with asking(server, "/renders/a.mp3", 1) as renders:
        done = drain(server.pid)
    assert done.returncode == 2
    assert done.stderr.startswith(f"slicer: the daemon of clips in place of {before[0]} has not loaded the application")
    assert len(done.stderr.splitlines()) == 1
    assert server.daemons("renders") == before[1:]
    # These releases have no packages of renders.
    assert set(renders.answers) == {501}
    # The way back.
    switch(releases, "1.0")
    until(lambda: server.get("/healthz")[0] == 200, 30, "mod_wsgi starts another daemon")
    done = drain(server.pid, python)
    assert (done.returncode, done.stderr) == (0, "")
    assert versions(server) == {"1.0"}
    assert [arguments(pid) for pid in children_of(server.apache) if not status(pid)] == []
