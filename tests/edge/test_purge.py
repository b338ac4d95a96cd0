"""Entries that an operator removes from the cache: those of a site, of a file, of a folder or of one clip, and no others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.edge import edge_of, site
from support.programs import ROOT
from support.server import folder, serving, until

PROGRAM = ROOT / "ansible/roles/nginx/files/purge_cache.py"
NAMES = ("show.mp3", "news/show.mp3", "news/two words.mp3")
OTHERS = ("/renders/show.wav?t=1,2", "/info/show.mp3")


@pytest.fixture(scope="module")
def archive(media):
    path = folder()
    try:
        for name in NAMES:
            Path(path, name).parent.mkdir(exist_ok=True)
            Path(path, name).parent.chmod(0o755)
            shutil.copy(Path(media, "show.mp3"), Path(path, name))
        with serving(path, "--cpus", "1") as server:
            yield server
    finally:
        shutil.rmtree(path)


ORIGINS = ["https://a.example", "https://b.example"]


@pytest.fixture(params=["alike", "by origin"])
def edge(request, archive):
    origins = ORIGINS if request.param == "by origin" else []
    with edge_of([site(archive.port, "a-site", origins=origins)]) as edge:
        yield edge


def clip(name, span="1,2"):
    return f"/clips/{name.replace(' ', '%20')}?t={span}"


#: What is asked for, and what of it each call removes.
ASKED = [clip(name) for name in NAMES] + [clip("show.mp3", "3,4.5"), *OTHERS]
CALLS = {
    (): ASKED,
    ("show.mp3",): [clip("show.mp3"), clip("show.mp3", "3,4.5"), *OTHERS],
    ("/show.mp3",): [clip("show.mp3"), clip("show.mp3", "3,4.5"), *OTHERS],
    ("show.mp3", "3,4.5"): [clip("show.mp3", "3,4.5")],
    ("news/",): [clip("news/show.mp3"), clip("news/two words.mp3")],
    ("news/two words.mp3",): [clip("news/two words.mp3")],
    ("/",): ASKED,
    ("", "3,4.5"): [clip("show.mp3", "3,4.5")],
    ("how.mp3",): [],
    ("news",): [],
    ("new/",): [],
    ("show.mp3", "3,4"): [],
}


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_what_is_named_is_removed_and_nothing_else(edge, call):
    for target in ASKED:
        assert edge.get(target, Origin=ORIGINS[0]).status == 200, target
    assert {edge.get(target, Origin=ORIGINS[0]).cache for target in ASKED} == {"HIT"}
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), f"{edge.cache}/slicer_a_site", *call],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{len(CALLS[call])}\n", "")
    before = edge.workers()
    edge.reload()
    until(lambda: not set(before) & set(edge.workers()), 30, "new workers")
    assert {target for target in ASKED if edge.get(target, Origin=ORIGINS[0]).cache == "MISS"} == set(CALLS[call])


def test_only_files_of_the_cache_are_touched(tmp_path):
    """Nginx's user could have put anything there, and root removes."""
    (tmp_path / "slicer_x/0").mkdir(parents=True)
    (tmp_path / "victim/sub").mkdir(parents=True)
    kept = tmp_path / "victim/sub/file"
    kept.write_bytes(b"\nKEY: t=1,2 /clips/show.mp3\n")
    os.mkfifo(tmp_path / "slicer_x/0/pipe")
    (tmp_path / "slicer_x/0/link").symlink_to(kept)
    (tmp_path / "slicer_x.evil").symlink_to(tmp_path / "victim")
    command = [sys.executable, "-I", str(PROGRAM), f"{tmp_path}/slicer_x", "show.mp3"]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout == "0\n"
    assert kept.exists()
    assert subprocess.run(command[:-1], capture_output=True, text=True, check=True, timeout=30).stdout == "2\n"
    assert kept.exists()
