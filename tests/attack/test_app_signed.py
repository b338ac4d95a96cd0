"""Signed folders by other names, and rooms that might forget to ask: nothing of such a folder is given to a request without a signature."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from mp3_slicer.media.protected import Permit, Protected
from mp3_slicer.settings import Settings
from mp3_slicer.signing import add_key, read_keys, signed_url
from mp3_slicer.web.app import Slicer, create_app
from support import streams
from support.server import folder, until

PROGRAM = str(pathlib.Path(__file__).parents[1] / "support" / "foldfuse.py")
#: Rooms whose paths name no source.
OTHER_ROOMS = {"studio"}
SUFFIXES = {"renders": ".wav", "peaks": ".json", "transcripts": ".txt", "chapters": ".json"}


class Place:
    """Media with a signed folder, and an application for them."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.media = os.path.join(path, "media")
        self.real = os.path.join(path, "real")
        os.mkdir(self.media)
        for name in ("members/deep", "open"):
            os.makedirs(os.path.join(self.real, name))
        source = streams.make("mpeg1-44-stereo-cbr128", path, seconds=2)
        for name in ("members/b", "members/deep/c", "open/a"):
            shutil.copy(source, os.path.join(self.real, f"{name}.mp3"))
            pathlib.Path(self.real, f"{name}.srt").write_text("00:01.000 --> 00:02.000\nx\n", encoding="ascii")
            pathlib.Path(self.real, f"{name}.jpg").write_bytes(b"\xff\xd8\xff" + bytes(20))
            chapters = '{"chapters": [{"startTime": 1, "title": "x"}]}'
            pathlib.Path(self.real, f"{name}.chapters.json").write_text(chapters, encoding="ascii")
        self.keys = os.path.join(path, "keys")
        add_key(self.keys, "one")

    def app(self, media: str | None = None, signed: str = "/members") -> Slicer:
        environ = {
            "SLICER_MEDIA": media or self.real,
            "SLICER_SIGNING_KEYS": self.keys,
            "SLICER_SIGNED": signed,
            **{f"SLICER_{name}_DIR": os.path.join(self.path, name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")},
        }
        return create_app(Settings.from_environ(environ))

    def signed(self, path: str) -> str:
        key = read_keys(self.keys).newest
        return signed_url(path.encode(), [], key, int(time.time()) + 60).partition("?")[2]


def ask(app: Slicer, path: str, query: str = "") -> tuple[int, bytes]:
    told: list[int] = []
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1"}
    body = b"".join(app(request, lambda status, headers: told.append(int(status[:3]))))  # type: ignore[arg-type]
    return told[0], body


@pytest.fixture
def place() -> Iterator[Place]:
    path = folder()
    yield Place(path)
    shutil.rmtree(path)


def rooms(app: Slicer) -> list[str]:
    """Every room whose paths name sources, by the table of routes: those to come are among them."""
    found = []
    for route in app.routes.table:
        if route.path.endswith("/<path>") and route.name not in OTHER_ROOMS:
            assert route.is_media
            found.append(route.prefix.strip("/"))
    return found


def target(room: str, name: str) -> str:
    return f"/{room}/{name}{SUFFIXES.get(room, '.mp3')}"


def check(app: Slicer, *names: str) -> None:
    """No room gives anything of a source that lies in the signed folder, by any of its names."""
    assert {"clips", "renders", "peaks", "info"} <= set(rooms(app))
    for room in rooms(app):
        assert ask(app, target(room, "open/a"))[0] == 200
        for name in names:
            for _ in range(2):
                status, body = ask(app, target(room, name))
                assert (status, json.loads(body)["type"]) == (403, "urn:slicer:problem:signature-missing"), (room, name)
    listed = ask(app, "/library")[1].decode().lower()
    assert "open/a.mp3" in listed
    assert not [name for name in names if name.lower() in listed]


def test_every_room_asks_for_the_signature(place: Place) -> None:
    app = place.app()
    check(app, "members/b", "members/deep/c")
    for room in rooms(app):
        path = target(room, "members/b")
        assert ask(app, path, place.signed(path))[0] == 200
        # It is at hand now, for those alone who have a signature.
        assert ask(app, path)[0] == 403


def test_links_into_a_signed_folder_open_nothing(place: Place) -> None:
    for name, to in (
        ("open/link.mp3", "../members/b.mp3"),
        ("other", "members"),
        ("open/deep", "../members/deep"),
    ):
        os.symlink(to, os.path.join(place.real, name))
    check(place.app(), "members/b", "open/link", "other/b", "other/deep/c", "open/deep/c")


def test_a_link_in_a_signed_folder_is_part_of_it(place: Place) -> None:
    os.symlink("../open/a.mp3", os.path.join(place.real, "members", "link.mp3"))
    app = place.app()
    check(app, "members/link")
    assert ask(app, "/clips/members/link.mp3", place.signed("/clips/members/link.mp3"))[0] == 200


def test_a_signed_folder_that_is_renamed_stays_one(place: Place) -> None:
    app = place.app()
    check(app, "members/b")
    os.rename(os.path.join(place.real, "members"), os.path.join(place.real, "former"))
    check(app, "former/b", "former/deep/c")
    os.mkdir(os.path.join(place.real, "members"))
    check(app, "former/b")


def test_a_second_mount_opens_nothing(place: Place) -> None:
    other = os.path.join(place.real, "other")
    os.mkdir(other)
    done = subprocess.run(
        ["mount", "--bind", os.path.join(place.real, "members"), other], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
    try:
        check(place.app(), "members/b", "other/b", "other/deep/c")
    finally:
        subprocess.run(["umount", "--lazy", other], check=True)


def test_media_that_ignore_case(place: Place) -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse here (most containers have none), so no file system can ignore case")
    with subprocess.Popen(
        [sys.executable, PROGRAM, place.real, place.media], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            until(lambda: os.path.ismount(place.media) or process.poll() is not None, 20, "it is mounted")
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.skip(f"nothing may be mounted here: {process.stderr.read()[:200]!r}")
            app = place.app(place.media)
            check(app, "members/b", "Members/b", "MEMBERS/Deep/C", "mEMBERS/deep/c")
            assert ask(app, "/clips/members/b.mp3", place.signed("/clips/members/b.mp3"))[0] == 200
        finally:
            subprocess.run(["umount", "--lazy", place.media], check=False, capture_output=True)
            process.terminate()


def test_a_folder_that_was_never_seen_keeps_all_closed(place: Place) -> None:
    """Media that come later than the server: nobody can tell yet what the name stands for."""
    late = Protected(place.media, (b"/members",))
    os.rename(place.real, os.path.join(place.path, "x"))
    shutil.copytree(os.path.join(place.path, "x"), place.media, dirs_exist_ok=True)
    os.rename(os.path.join(place.media, "members"), os.path.join(place.media, "memebrs"))
    assert late.holds(b"memebrs/b.mp3")
    assert late.holds(b"open/a.mp3")
    os.rename(os.path.join(place.media, "memebrs"), os.path.join(place.media, "members"))
    assert late.holds(b"members/b.mp3")
    assert not late.holds(b"open/a.mp3")


def test_nothing_is_protected_where_nothing_is_signed(place: Place) -> None:
    assert not Protected(place.real).holds(b"members/b.mp3")
    assert Protected(place.real, (b"/",)).holds(b"open/a.mp3")
    assert not Permit(signed=False).signed
