import os
import pathlib
import stat
import tempfile
from collections.abc import Iterator

import pytest

from mp3_slicer.server import express, files, root
from mp3_slicer.server.sizes import GIB, compute


def words(**changes):
    launch = {"host": "127.0.0.1", "port": 8000, "root": "/run/slicer-x", "sizes": compute(2, GIB), "user": None}
    return express.command(express.Launch(**{**launch, "interpreter": "/venv/bin/python", **changes}))


def value(command, option):
    return command[command.index(option) + 1]


def test_the_pool_is_the_sizes():
    sizes = compute(4, GIB, 5)
    command = words(sizes=sizes)
    assert command[:2] == ["/venv/bin/python", "/venv/bin/mod_wsgi-express"]
    assert command[2:4] == ["start-server", "/run/slicer-x/slicer.wsgi"]
    assert value(command, "--process-group") == "clips"
    assert value(command, "--server-mpm") == "prefork"
    assert value(command, "--processes") == str(sizes.clips_processes)
    assert value(command, "--threads") == str(sizes.clips_threads)
    assert value(command, "--daemon-backlog") == str(sizes.clips_backlog)
    assert value(command, "--max-clients") == str(sizes.max_request_workers)
    assert value(command, "--server-backlog") == str(sizes.listen_backlog)
    assert value(command, "--maximum-requests") == str(sizes.max_requests)
    assert value(command, "--eviction-timeout") == str(sizes.eviction_timeout)
    assert value(command, "--socket-timeout") == str(sizes.socket_timeout)
    assert value(command, "--keep-alive-timeout") == str(sizes.keep_alive_timeout)
    assert "--disable-reloading" in command


def test_sizes_are_included_before_what_uses_them():
    command = words()
    included = [command[at + 1] for at, word in enumerate(command) if word == "--include-file"]
    assert [os.path.basename(path) for path in included] == ["sizes.conf", "slicer.conf"]


def test_the_user_is_only_roots():
    assert "--user" not in words()
    command = words(user="www-data")
    assert value(command, "--user") == value(command, "--group") == "www-data"


@pytest.mark.parametrize(
    ("host", "written"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("localhost", "localhost"), ("::", "[::]")],
)
def test_hosts(host, written):
    assert value(words(host=host), "--host") == written


def test_the_environment_carries_settings_and_nothing_that_redirects():
    dirty = {
        "PATH": "/bin",
        "HTTPD": "/x",
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "MOD_WSGI_USER": "root",
        "SLICER_A": "1",
    }
    assert express.environment(dirty, {"SLICER_A": "2", "SLICER_B": "3"}) == {
        "PATH": "/bin",
        "SLICER_A": "2",
        "SLICER_B": "3",
    }


def test_files_of_a_checkout_and_of_an_installation(tmp_path):
    here = files.find()
    assert os.path.isfile(os.path.join(here.apache, "rewrite.conf"))
    package = tmp_path / "mp3_slicer"
    (package / "apache").mkdir(parents=True)
    (package / "apache" / "slicer.conf").touch()
    (package / "apache" / "slicer.wsgi").touch()
    assert files.find(str(package)) == files.Files(str(package / "apache"), str(package / "apache" / "slicer.wsgi"))
    with pytest.raises(FileNotFoundError):
        files.find(str(tmp_path / "nowhere" / "in" / "here"))


@pytest.fixture
def short() -> Iterator[pathlib.Path]:
    """A folder whose path leaves room for names: pytest's own may be long."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield pathlib.Path(folder)


def test_a_root_is_private_unique_and_readable_where_it_must_be(short):
    previous = os.umask(0o077)
    try:
        first, second = (root.make([str(short)]) for _ in range(2))
        root.fill(first, files.find(), {"SLICER_X": "1"})
    finally:
        os.umask(previous)
    assert first != second
    assert stat.S_IMODE(os.stat(first).st_mode) == 0o711
    assert stat.S_IMODE(os.stat(os.path.join(first, "errors", "404.json")).st_mode) == 0o644
    assert stat.S_IMODE(os.stat(os.path.join(first, "slicer.wsgi")).st_mode) == 0o644
    with open(os.path.join(first, "sizes.conf")) as sizes:
        assert sizes.read() == "Define SLICER_X 1\n"
    root.remove(first)
    assert not os.path.exists(first)


def test_a_root_has_no_space_and_a_short_path(short):
    spaced, long = short / "a b", short / ("x" * 100)
    spaced.mkdir()
    long.mkdir()
    good = short / "ok"
    good.mkdir()
    assert root.make([str(spaced), str(long), str(good)]).startswith(str(good))
    with pytest.raises(OSError, match="TMPDIR"):
        root.make([str(spaced), str(long), str(short / "missing")])


def test_every_error_document_that_is_named_is_there_and_says_its_status():
    import json
    import re

    apache = files.find().apache
    with open(os.path.join(apache, "slicer.conf")) as conf:
        named = dict(re.findall(r"^ErrorDocument (\d+) /\.errors/(\S+)$", conf.read(), re.MULTILINE))
    assert set(named.values()) == set(os.listdir(os.path.join(apache, "errors")))
    for code, name in named.items():
        with open(os.path.join(apache, "errors", name)) as document:
            problem = json.load(document)
        assert problem.keys() == {"type", "title", "status", "detail"}
        assert str(problem["status"]) == code


def test_every_define_that_is_used_is_given():
    import re

    with open(os.path.join(files.find().apache, "slicer.conf")) as conf:
        used = set(re.findall(r"\$\{(SLICER_\w+)\}", conf.read()))
    assert used == set(compute(1, GIB).defines())


def test_apache_starts_from_a_folder_that_allows_no_programs(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "apachectl"
    script.write_text("#!/usr/bin/bash\n# what follows does not matter\n")
    script.chmod(0o644)
    assert express.control(str(tmp_path)) == ["/usr/bin/bash", str(script), "start", "-DFOREGROUND"]
    assert express.control(str(tmp_path), status=True)[4:] == ["-DSLICER_STATUS"]
