import os
import resource
import shutil
import subprocess
import sys
import tempfile

import pytest

from mp3_slicer.doctor import install
from mp3_slicer.server import checks
from mp3_slicer.server.checks import Check
from mp3_slicer.settings import Settings, SettingsError
from mp3_slicer.signing import add_key

USER = "www-data" if os.geteuid() == 0 else None


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="slicer-test-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


def library(path, runpath):
    """A shared library whose dynamic section names `runpath`."""
    subprocess.run(
        ["gcc", "-shared", "-x", "c", "/dev/null", "-o", path, *([f"-Wl,-rpath,{runpath}"] if runpath else [])],
        check=True,
        timeout=60,
    )
    return str(path)


def test_this_machine_is_well():
    found = install.checks(environ=os.environ)
    assert [check for check in found if not check.ok] == []
    lines = []
    assert install.report(found, lines.append) == 0
    assert len(lines) >= len(found)


def test_a_failure_is_reported_with_its_advice():
    lines = []
    found = [Check("a", True, "fine"), Check("b", False, "broken", "mend it")]
    assert install.report(found, lines.append) == 1
    assert any(line.startswith("FAIL") and "broken" in line for line in lines)
    assert any("mend it" in line for line in lines)


@pytest.mark.parametrize(
    ("runpath", "ok"),
    [
        ("/usr/lib/x86_64-linux-gnu", True),
        ("/root/.pyenv/versions/3.11.7/lib", False),
        ("/home/jo/lib", False),
        ("/opt/pyenv/versions/3.12/lib", False),
        ("/usr/lib:/home/jo/.local/lib", False),
        ("/home/jo/slicer/.venv/lib/python3.11/config", True),
        ("$ORIGIN/../.libs", False),
        ("", True),
    ],
)
def test_a_runpath_in_a_home_is_found(tmp_path, runpath, ok):
    check = install.runpath(library(tmp_path / "x.so", runpath), ("/usr", "/home/jo/slicer/.venv"))
    assert check.ok == ok
    assert bool(check.advice) != ok


def test_apache_and_its_modules(tmp_path):
    assert install.apache(install.find_apache(os.environ)).ok
    assert not install.apache(None).ok
    assert "standalone" in install.apache(None).advice
    assert not install.apache("/bin/true").ok
    assert install.prefork(install.modules_folder()).ok
    assert not install.prefork(str(tmp_path)).ok


def test_a_second_mod_wsgi(tmp_path):
    assert install.one_mod_wsgi(str(tmp_path)).ok
    (tmp_path / "mod_wsgi.so").touch()
    check = install.one_mod_wsgi(str(tmp_path))
    assert not check.ok
    assert "libapache2-mod-wsgi-py3" in check.advice


def test_folders(folder):
    closed = os.path.join(folder, "closed")
    os.mkdir(closed, 0o000)
    assert checks.readable("media", folder, USER).ok
    assert not checks.readable("media", closed, USER).ok
    missing = os.path.join(folder, "new", "index")
    assert checks.writable("index", missing, USER, "X").ok
    assert not os.path.exists(missing), "a check changes nothing"
    assert not checks.writable("index", closed, USER, "X").ok
    os.chmod(closed, 0o755)  # so that an ordinary user can remove it


def test_programs_and_limits(tmp_path):
    assert install.program("sh", {"PATH": "/bin"}, "x") == Check("sh", True, "/bin/sh")
    assert install.program("sh", {"PATH": str(tmp_path)}, "x").advice == "x"
    assert install.open_files(resource.RLIM_INFINITY).ok
    assert install.open_files(1024).ok
    assert not install.open_files(1023).ok


def test_mod_wsgi_of_this_python():
    found = install.mod_wsgi_library()
    assert found is not None
    assert f"py{sys.version_info[0]}{sys.version_info[1]}" in found
    assert not install.mod_wsgi(None).ok


@pytest.fixture
def media(folder):
    """A media folder with a folder, a file and a link out of it."""
    os.makedirs(os.path.join(folder, "media", "members", "deep"))
    with open(os.path.join(folder, "media", "top.mp3"), "wb"):
        pass
    os.symlink("/usr", os.path.join(folder, "media", "out"))
    return os.path.join(folder, "media")


WRONG = [",", " , ", "..", "/members/../members", "./members", "/memebrs", "/members,/gone", "/top.mp3", "/out"]


@pytest.mark.parametrize("given", [*WRONG, "", " ", "/", "/members", "members,/members/deep"])
def test_signed_folders_are_found_wrong_where_the_server_does_not_start(media, tmp_path, given):
    keys = str(tmp_path / "keys")
    add_key(keys, "one")
    environ = {"SLICER_MEDIA": media, "SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": given}
    found = [check for check in install.checks(media=media, environ=environ) if check.name == "signed folders"]
    assert [check.ok for check in found] == [given not in WRONG]
    try:
        Settings.from_environ(environ)
    except SettingsError:
        assert given in WRONG
    else:
        assert given not in WRONG
    if given in WRONG:
        assert "SLICER_SIGNED" in found[0].advice
        named = given.strip(" ,").rpartition(",")[2]
        assert (named or "names no folder") in found[0].detail


def test_signed_folders_matter_with_keys_alone(media):
    assert install.signed(media, {"SLICER_SIGNED": "/gone"}) == []
    assert install.signed(media, {"SLICER_SIGNED": "/gone", "SLICER_SIGNING_KEYS": " "}) == []


def test_a_package_without_its_compiled_part_is_not_installed(tmp_path, monkeypatch):
    """As where its source was built on an architecture that has no wheel of it."""
    assert install.renders(("pydub",)) == Check("renders", True, "loaded")
    (tmp_path / "hollow.py").write_text("import warnings, _hollow_part\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = install.renders(("pydub", "hollow"))
    assert (found.ok, found.detail) == (False, "not loaded: hollow (No module named '_hollow_part')")
    assert "pip install cffi" in found.advice
    assert install.renders(("pydub", "nowhere_at_all")).detail == "no module nowhere_at_all"
