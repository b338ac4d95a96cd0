"""The media folder: nothing outside of it is ever opened, everything inside is, and the list is complete and in order."""

import os
import random
import socket
from pathlib import Path

import pytest

from mp3_slicer.media.library import Library
from mp3_slicer.media.source import SourceMissingError
from support.descriptors import descriptors


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    (folder / "shows" / "deep").mkdir(parents=True)
    for name in (
        "a.mp3",
        "B.MP3",
        "shows/one.mp3",
        "shows/deep/two.mp3",
        "Ünï cödé 音.mp3",
        "50%.mp3",
        "a+b&c=d.mp3",
        "shows.mp3",
        "shows-x.mp3",
    ):
        (folder / name).write_bytes(b"audio")
    (folder / "notes.txt").write_text("text")
    (folder / ".hidden.mp3").write_bytes(b"audio")
    (folder / "folder.mp3").mkdir()
    (tmp_path / "secret.mp3").write_bytes(b"secret")
    (tmp_path / "media-other").mkdir()
    (tmp_path / "media-other" / "x.mp3").write_bytes(b"secret")
    (folder / "inside.mp3").symlink_to(folder / "shows" / "one.mp3")
    (folder / "outside.mp3").symlink_to(tmp_path / "secret.mp3")
    (folder / "relative.mp3").symlink_to("../secret.mp3")
    (folder / "neighbour.mp3").symlink_to(tmp_path / "media-other" / "x.mp3")
    (folder / "broken.mp3").symlink_to("nowhere.mp3")
    (folder / "circle.mp3").symlink_to("circle.mp3")
    (folder / "linked").symlink_to(tmp_path / "media-other")
    (folder / "zero.mp3").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.mp3")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.mp3"))
    return folder


@pytest.fixture
def library(media: Path) -> Library:
    return Library(str(media))


INSIDE = [
    "a.mp3",
    "B.MP3",
    "shows/one.mp3",
    "shows/deep/two.mp3",
    "Ünï cödé 音.mp3",
    "50%.mp3",
    "a+b&c=d.mp3",
    "inside.mp3",
]


@pytest.mark.parametrize("path", INSIDE)
def test_what_is_inside_opens(library: Library, path: str) -> None:
    with library.open(path.encode()) as source:
        assert os.pread(source.fd, 10, 0) == b"audio"


def test_names_need_not_be_utf8(library: Library, media: Path) -> None:
    name = b"\xff\xfe latin \xe9.mp3"
    Path(os.fsdecode(os.path.join(os.fsencode(media), name))).write_bytes(b"audio")
    with library.open(name) as source:
        assert source.identity.path.endswith(name)
    assert name in [entry.path for entry in library.list()]


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b".",
        b"..",
        b"../secret.mp3",
        b"shows/../a.mp3",
        b"shows/../../secret.mp3",
        b"/etc/passwd",
        b"//a.mp3",
        b"a.mp3\x00",
        b"\x00.mp3",
        b"shows//one.mp3",
        b"./a.mp3",
        b"shows/./one.mp3",
        b".hidden.mp3",
        b"a.mp3/",
        b"shows",
        b"folder.mp3",
        b"notes.txt",
        b"nope.mp3",
        b"outside.mp3",
        b"relative.mp3",
        b"neighbour.mp3",
        b"broken.mp3",
        b"circle.mp3",
        b"linked/x.mp3",
        b"zero.mp3",
        b"pipe.mp3",
        b"socket.mp3",
        b"x" * 300 + b".mp3",
        b"x/" * 600 + b".mp3",
        b"a.mp3/b.mp3",
        b"..%2fsecret.mp3",
    ],
)
def test_what_is_outside_or_no_file_is_missing(library: Library, path: bytes) -> None:
    before = descriptors()
    with pytest.raises(SourceMissingError):
        library.open(path)
    assert descriptors() - before == set()


def test_an_unreadable_file_is_missing_too(library: Library, media: Path) -> None:
    if os.geteuid() == 0:
        # Root reads everything: become somebody else for the question, as the server does.
        os.chmod(media / "a.mp3", 0o600)
        # As far as the folder everybody has to get: one that nobody can look into is not missing, it is away.
        for folder in (media, *media.parents):
            # Those above that pytest did not make are open already.
            if folder.stat().st_mode & 0o77 == 0:
                os.chmod(folder, 0o755)
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                library.open(b"a.mp3")
            except SourceMissingError:
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    else:
        os.chmod(media / "a.mp3", 0)
        with pytest.raises(SourceMissingError):
            library.open(b"a.mp3")


def test_the_list_is_complete_in_byte_order(library: Library) -> None:
    paths = [entry.path for entry in library.list()]
    assert paths == sorted(paths)
    assert {path.decode() for path in paths} == {*INSIDE, "shows.mp3", "shows-x.mp3"}
    assert [entry.path for entry in library.list(prefix=b"shows")] == [
        path for path in paths if path.startswith(b"shows")
    ]


def test_pages_of_any_size_make_the_whole_list(library: Library) -> None:
    paths = [entry.path for entry in library.list()]
    draw = random.Random(2)
    for _ in range(20):
        seen: list[bytes] = []
        while True:
            page = [entry.path for entry in library.list(after=seen[-1] if seen else b"")][: draw.randint(1, 4)]
            if not page:
                break
            seen += page
        assert seen == paths
