"""Who is let through: which paths need a signature, what is told to proxies, and that nothing goes round it."""

import os
import time
from pathlib import Path

import pytest

from mp3_slicer.settings import Settings, SettingsError
from mp3_slicer.signing import KeysError, add_key, read_keys, signed_url
from mp3_slicer.web.access import Access
from mp3_slicer.web.app import create_app
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.request import Request
from support.requests import request_of


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name in ("media/open", "media/members/deep", "media/elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("top", "open/a", "members/b", "members/deep/c", "membersonly"):
        (tmp_path / "media" / f"{name}.mp3").write_bytes(b"no audio")
    keys = str(tmp_path / "keys")
    add_key(keys, "one")
    made = {f"SLICER_{name}_DIR": str(tmp_path / name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")}
    return {"SLICER_MEDIA": str(tmp_path / "media"), "SLICER_SIGNING_KEYS": keys, **made}


def access(environ: dict[str, str], signed: str = "/members") -> Access:
    return Access(Settings.from_environ(environ | {"SLICER_SIGNED": signed}))


def signed(environ: dict[str, str], url: str, seconds: int = 60) -> str:
    path, _, query = url.partition("?")
    pairs = [tuple(part.split("=", 1)) for part in query.split("&") if part]
    return signed_url(
        path.encode(), pairs, read_keys(environ["SLICER_SIGNING_KEYS"]).newest, int(time.time()) + seconds
    )


@pytest.mark.parametrize(
    ("path", "covered"),
    [
        (b"members/b.mp3", True),
        (b"members", True),
        (b"/members//b.mp3", True),
        (b"./members/b.mp3", True),
        (b"open/../members/b.mp3", True),
        (b"..", True),
        (b"membersonly.mp3", False),
        (b"Members/b.mp3", False),
        (b"open/members/b.mp3", False),
        (b"open/a.mp3", False),
        (b"", False),
    ],
)
def test_folders_are_whole_names_however_they_are_spelled(environ, path, covered) -> None:
    for spelled in ("/members", "members", " /members/ , /elsewhere"):
        assert access(environ, spelled).protected.names(path) is covered


def test_all_is_covered_by_the_top_and_nothing_without_keys(environ) -> None:
    for path in (b"", b"a.mp3", b"members/b.mp3"):
        assert access(environ, "/").protected.names(path)
        assert Access(Settings.from_environ(environ)).protected.names(path)
        assert not access(environ | {"SLICER_SIGNING_KEYS": ""}, "/").protected.names(path)


@pytest.mark.parametrize(
    "signed",
    [
        ",",
        " , ",
        "/a/../b",
        "/members/../members",
        "/members/.",
        "..",
        "./x",
        "/memebrs",
        "/members,/gone",
        "/top.mp3",
        "/out",
    ],
)
def test_folders_that_are_none_stop_the_start(environ, signed: str) -> None:
    os.symlink("/usr", os.path.join(environ["SLICER_MEDIA"], "out"))
    with pytest.raises(SettingsError, match="SLICER_SIGNED"):
        access(environ, signed)


def test_keys_that_cannot_be_used_stop_the_start(environ) -> None:
    os.chmod(environ["SLICER_SIGNING_KEYS"], 0o644)
    with pytest.raises(KeysError):
        access(environ)


def test_a_job_needs_the_signature_of_what_it_makes(environ) -> None:
    """A job's body holds a URL: its path and query come here without a request."""
    url = signed(environ, "/renders/members/b.opus?t=0,10")
    query = url.partition("?")[2]

    def passed(path: str, asked: str) -> Request:
        return application._inner(request_of(), "/renders/<path>", path.encode(), asked)

    application = create_app(Settings.from_environ(environ | {"SLICER_SIGNED": "/members"}))
    assert passed("members/b.opus", query).options == [("t", "0,10")]
    for path, asked, status in (
        ("members/b.opus", "t=0,10", 403),
        ("members/b.opus", query.replace("0,10", "0,11"), 403),
        ("members/deep/c.opus", query, 403),
        ("members/b.opus", signed(environ, "/renders/members/b.opus?t=0,10", -1).partition("?")[2], 410),
    ):
        with pytest.raises(Problem) as error:
            passed(path, asked)
        assert error.value.status == status


def ask(environ: dict[str, str], url: str, method: str = "GET", signed_folders: str = "/members", **fields: str):
    application = create_app(Settings.from_environ(environ | {"SLICER_SIGNED": signed_folders}))
    path, _, query = url.partition("?")
    told: list = []
    request = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **fields}
    body = b"".join(application(request, lambda status, headers: told.extend([int(status[:3]), dict(headers)])))
    return told[0], told[1], body


PROXY = {"HTTP_X_SENDFILE_TYPE": "X-Accel-Redirect", "HTTP_X_SLICER_CHECKS": "1"}


def test_a_proxy_that_checks_is_always_sent_to_its_own_place(environ) -> None:
    status, headers, _ = ask(environ, "/clips/open/a.mp3?t=1,2", **PROXY)
    assert (status, headers["X-Accel-Redirect"]) == (200, "/.open/clips/open/a.mp3?t=1,2")
    status, headers, _ = ask(environ, signed(environ, "/clips/members/b.mp3?t=1,2"), **PROXY)
    place = headers["X-Accel-Redirect"]
    _, _, reuse, expires, key, mac, rest = place.split("/", 6)
    assert (status, key, rest) == (200, "one", "clips/members/b.mp3?t=1,2")
    assert 50 <= int(reuse) <= 60
    # That is a signature of the canonical URL, and by it the proxy may fill.
    again = ask(environ, f"/{rest}", HTTP_X_SLICER_SIGNATURE=f"{expires} {key} {mac}")
    assert again[0] == 415
    for wrong in (f"{expires} {key} {'0' * 64}", f"{expires} {key}", "", f"{int(expires) + 1} {key} {mac}", "x"):
        assert ask(environ, f"/{rest}", HTTP_X_SLICER_SIGNATURE=wrong)[0] == 403


def test_a_proxy_that_does_not_check_is_sent_nowhere(environ) -> None:
    status, headers, _ = ask(
        environ, signed(environ, "/clips/members/b.mp3?t=1,2"), HTTP_X_SENDFILE_TYPE="X-Accel-Redirect"
    )
    assert status == 415
    assert "X-Accel-Redirect" not in headers
    assert headers["Cache-Control"].startswith("private, ")


@pytest.mark.parametrize(
    "room", ["clips/members/b.mp3", "renders/members/b.wav", "peaks/members/b.json", "info/members/b.mp3"]
)
def test_every_room_has_the_same_door(environ, room: str) -> None:
    for method in ("GET", "HEAD"):
        assert ask(environ, f"/{room}", method)[0] == 403
        assert ask(environ, signed(environ, f"/{room}", -1), method)[0] == 410
        assert ask(environ, signed(environ, f"/{room}"), method)[0] == 415
    assert ask(environ, f"/{room}", "OPTIONS")[0] == 204
    assert ask(environ, f"/{room.replace('members/b', 'open/a')}?expires=1&key=x&signature=y")[0] == 415


def test_the_list_leaves_closed_folders_out(environ) -> None:
    def paths(folders: str, query: str = "") -> list[str]:
        body = ask(environ, f"/library?{query}", signed_folders=folders)[2].decode()
        return [
            path for path in ("top", "open/a", "members/b", "members/deep/c", "membersonly") if f'"{path}.mp3"' in body
        ]

    assert paths("/members") == ["top", "open/a", "membersonly"]
    assert paths("/members/deep") == ["top", "open/a", "members/b", "membersonly"]
    assert paths("/members", "prefix=members/") == []
    assert paths("/") == []
    assert ask(environ | {"SLICER_LIST_LIBRARY": "0"}, "/library")[0] == 403
