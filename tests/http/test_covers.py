"""Covers from the real server: of tags, of files beside a source, and of its folder; bounded, typed and signed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mp3_slicer.signing import add_key, read_keys, signed_url
from mp3_slicer.tags import MOST_COVER
from support.server import folder, publish, serving
from unit.tags.test_cover import JPEG, PNG, WEBP, apic
from unit.tags.test_tags import frame, tag


@pytest.fixture(scope="module")
def place(media, stream):
    place = Path(media, "covers")
    (place / "album").mkdir(parents=True)
    data = Path(stream("mpeg1-44-stereo-cbr128")).read_bytes()
    for name in ("show", "none", "text", "large", "pipe", "out", "album/one"):
        (place / f"{name}.mp3").write_bytes(data)
    for name in ("tagged", "both", "album/tagged"):
        (place / f"{name}.mp3").write_bytes(tag(frame(b"APIC", apic(PNG))) + data)
    for name in ("show.webp", "album/cover.webp"):
        (place / name).write_bytes(WEBP)
    (place / "both.mp3.jpeg").write_bytes(JPEG)
    (place / "text.jpg").write_text("<script>alert(1)</script>")
    (place / "large.jpg").write_bytes(JPEG + bytes(MOST_COVER))
    os.mkfifo(place / "pipe.jpg")
    (place / "out.jpg").symlink_to("/dev/zero")
    return place


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("show", "image/webp", WEBP),
        ("tagged", "image/png", PNG),
        ("both", "image/jpeg", JPEG),
        ("album/one", "image/webp", WEBP),
        ("album/tagged", "image/png", PNG),
    ],
)
def test_a_cover(either, place, name, kind, data):
    target = f"/covers/covers/{name}.mp3"
    status, headers, body = either.get(target)
    assert (status, headers["content-type"], body) == (200, kind, data)
    assert headers["cache-control"] == "public, max-age=3600"
    assert headers["x-content-type-options"] == "nosniff"
    assert either.get(target, If_None_Match=headers["etag"])[0] == 304
    assert either.get(target, "HEAD")[1]["content-length"] == str(len(data))
    assert json.loads(either.get(f"/info/covers/{name}.mp3")[2])["cover"] == target


@pytest.mark.parametrize("name", ["none", "text", "large", "pipe", "out"])
def test_no_cover(either, place, name):
    status, _, body = either.get(f"/covers/covers/{name}.mp3")
    assert (status, json.loads(body)["type"]) == (404, "urn:slicer:problem:cover-missing")
    assert json.loads(either.get(f"/info/covers/{name}.mp3")[2])["cover"] is None


def test_a_new_cover_is_seen_at_once(server, place, stream):
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), place / "fresh.mp3")
    publish(JPEG, str(place / "fresh.jpg"))
    etag = server.get("/covers/covers/fresh.mp3")[1]["etag"]
    publish(PNG, str(place / "fresh.jpg"))
    assert server.get("/covers/covers/fresh.mp3", If_None_Match=etag)[1]["content-type"] == "image/png"
    assert server.get("/covers/covers/fresh.mp3?t=1")[0] == 400
    assert server.get("/covers/covers/fresh.jpg")[0] == 404


def test_covers_need_the_signature_of_their_source(stream):
    media, keys = folder(), os.path.join(folder(), "keys")
    add_key(keys, "one")
    os.mkdir(os.path.join(media, "members"))
    for name in ("members/show", "open"):
        shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, f"{name}.mp3"))
    Path(media, "members", "show.jpg").write_bytes(JPEG)
    Path(media, "open.jpg").symlink_to("members/show.jpg")
    if os.geteuid() == 0:
        shutil.chown(keys, "www-data", "www-data")
        os.chmod(os.path.dirname(keys), 0o755)
    environ = {"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/members"}
    with serving(media, "--cpus", "1", environ=environ) as server:
        assert server.get("/covers/members/show.mp3")[0] == 403
        assert server.get("/covers/open.mp3")[0] == 404
        assert json.loads(server.get("/info/open.mp3")[2])["cover"] is None
        status, headers, body = server.get(
            signed_url(b"/covers/members/show.mp3", [], read_keys(keys).newest, 4_000_000_000)
        )
        assert (status, body) == (200, JPEG)
        assert headers["cache-control"].startswith("private")
