"""Starts after `apt upgrade`: with an Apache or a Python of another version than mod_wsgi was built for.

Archives have only one version at a time, so mod_wsgi is changed instead: in a copy, its notes of what it was built for are others.
"""

import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import mod_wsgi
import pytest
import werkzeug

import mp3_slicer
from mp3_slicer.doctor import install
from support.server import Server, folder, free_port

#: Apache's number of the form of its modules, and the number of what was added since; the index of a module that is not loaded.
MAJOR = 20120211
NOTE = re.compile(re.escape(struct.pack("<i", MAJOR)) + rb"(....)" + re.escape(struct.pack("<i", -1)), re.DOTALL)


def environment(change) -> str:
    """The Python of an environment like the one that runs the tests, except its mod_wsgi, whose bytes `change` has changed."""
    path = os.path.join(folder(), "venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True, timeout=60)
    (site,) = pathlib.Path(path).glob("lib/python*/site-packages")
    (place,) = mod_wsgi.__path__
    shutil.copytree(place, site / "mod_wsgi", ignore=shutil.ignore_patterns("__pycache__"))
    # Behind its own: all else is found where the tests find it.
    rest = (os.path.dirname(os.path.dirname(file)) for file in (mp3_slicer.__file__, werkzeug.__file__))
    (site / "rest.pth").write_text("\n".join(rest) + "\n")
    original = install.mod_wsgi_library()
    assert original
    library = site / "mod_wsgi" / "server" / os.path.basename(original)
    library.write_bytes(change(library.read_bytes()))
    script = pathlib.Path(os.path.dirname(sys.executable), "mod_wsgi-express").read_text().splitlines(keepends=True)
    program = pathlib.Path(path, "bin", "mod_wsgi-express")
    program.write_text("".join([f"#!{path}/bin/python3\n", *script[1:]]))
    program.chmod(0o755)
    return os.path.join(path, "bin", "python3")


def built_for(major: int, minor: int):
    def change(data: bytes) -> bytes:
        assert len(NOTE.findall(data)) == 1
        return NOTE.sub(struct.pack("<iii", major, minor, -1), data)

    return change


def linked_with_another_python(data: bytes) -> bytes:
    name = f"libpython3.{sys.version_info.minor}.so".encode()
    assert data.count(name) == 1
    return data.replace(name, name.replace(b"python3", b"python2"))


def test_a_newer_apache_of_the_same_series_goes_on_serving(media: str) -> None:
    # All that it offers and mod_wsgi does not know was added later.
    python = environment(built_for(MAJOR, 1))
    server = Server(media, "--cpus", "1", python=python)
    try:
        assert server.get("/readyz")[0] == 200
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (built_for(MAJOR + 1, 0), f"found {MAJOR + 1}, need {MAJOR}"),
        (linked_with_another_python, "cannot open shared object file"),
    ],
    ids=["another Apache", "another Python"],
)
def test_what_does_not_fit_any_more_says_what_to_do(media: str, change, said: str) -> None:
    command = [environment(change), "-m", "mp3_slicer", "serve", media, "--port", str(free_port()), "--cpus", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("slicer: Apache does not load mod_wsgi, which was built for another Apache or Python (")
    assert said in last
    assert "pip install --force-reinstall --no-cache-dir mod_wsgi" in last
