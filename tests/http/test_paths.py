"""Which paths name a source, from the real server: every way out of the media folder, and names of every kind."""

import contextlib
import json
import os
import pathlib
import shutil

import pytest

from mp3_slicer.timespan import TimeSpan
from support import streams
from support.cutting import cut_bytes, index_of
from support.server import folder, raw


@pytest.fixture(scope="module")
def data(stream_folder):
    return pathlib.Path(streams.make("mpeg1-44-stereo-cbr128", stream_folder, seconds=20)).read_bytes()


@pytest.fixture(scope="module")
def clip(stream_folder):
    """What a clip of 3,4 of it is."""
    path = streams.make("mpeg1-44-stereo-cbr128", stream_folder, seconds=20)
    asked = TimeSpan.parse("3,4")
    return cut_bytes(path, index_of(path).locate(asked.start, asked.end))[1]


@pytest.fixture(scope="module")
def outside(data):
    """A folder beside the media folder, with a source that must not be given out."""
    path = folder()
    pathlib.Path(path, "secret.mp3").write_bytes(data)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def place(media, data, outside):
    """Sources that may be given out, and all kinds of things that may not, in media/paths."""
    place = os.path.join(media, "paths")
    os.makedirs(os.path.join(place, "sub", "deep"))
    os.makedirs(os.path.join(place, ".private"))
    for name in ("good.mp3", "sub/deep/good.mp3", "LOUD.MP3", ".hidden.mp3", ".private/a.mp3", "music.wav", "mp3"):
        pathlib.Path(place, name).write_bytes(data)
    os.makedirs(os.path.join(place, "folder.mp3"))
    os.mkfifo(os.path.join(place, "pipe.mp3"))
    for name, target in {
        "inside.mp3": "good.mp3",
        "absolute.mp3": os.path.join(place, "good.mp3"),
        "way-out.mp3": os.path.join(outside, "secret.mp3"),
        "relative-out.mp3": os.path.join("..", "..", os.path.basename(outside), "secret.mp3"),
        "linked-in": "sub",
        "linked-out": outside,
        "nowhere.mp3": "no such file",
        "circle.mp3": "circle.mp3",
        "passwd.mp3": "/etc/passwd",
        "null.mp3": "/dev/null",
        "self.mp3": "/proc/self/environ",
    }.items():
        os.symlink(target, os.path.join(place, name))
    closed = pathlib.Path(place, "closed.mp3")
    closed.write_bytes(data)
    closed.chmod(0)
    # A folder whose name begins as the media folder's does.
    sibling = media + "-sibling"
    os.makedirs(sibling)
    pathlib.Path(sibling, "a.mp3").write_bytes(data)
    os.symlink(os.path.join(sibling, "a.mp3"), os.path.join(place, "sibling.mp3"))
    yield place
    shutil.rmtree(sibling)


@pytest.fixture(scope="module")
def missing(server, place):
    """The answer for what is not there."""
    status, headers, body = server.get("/clips/paths/missing.mp3?t=3,4")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(body)["type"] == "urn:slicer:problem:not-found"
    assert headers["cache-control"] == "public, max-age=10"
    return headers, body


@pytest.mark.parametrize(
    "path",
    [
        *("good.mp3", "sub/deep/good.mp3", "LOUD.MP3", "inside.mp3", "absolute.mp3", "linked-in/deep/good.mp3"),
        *("%67ood.mp3", "good%2Emp3", "good%2emp%33", "./good.mp3", "sub/../good.mp3", "sub//deep//good.mp3"),
        *("%2e/good.mp3", "sub/%2e%2e/good.mp3", "sub/.%2E/good.mp3", "no/such/../../good.mp3"),
    ],
)
def test_a_source(path, server, place, clip):
    status, headers, body = server.get(f"/clips/paths/{path}?t=3,4")
    assert (status, body) == (200, clip)
    assert server.get(headers["content-location"])[2] == clip
    assert server.get(f"/info/paths/{path}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        # No such name.
        *("no", "missing.mp3", "missing/good.mp3", "good.mp3/x.mp3", "good", "good.mp4", "good.mp3.", "good.mp3%20"),
        *("good.mp3;x", "good.mp3/", "GOOD.mp3", "%25%32%65%25%32%65/good.mp3", "", "sub", "sub/", "sub/deep"),
        # Not a source.
        *("music.wav", "mp3", "folder.mp3", "folder.mp3/", "pipe.mp3", "null.mp3", "closed.mp3"),
        # Hidden.
        *(".hidden.mp3", "%2ehidden.mp3", ".private/a.mp3", "%2Eprivate/a.mp3", "sub/../.hidden.mp3", "..."),
        # Elsewhere.
        *("way-out.mp3", "relative-out.mp3", "linked-out/secret.mp3", "passwd.mp3", "self.mp3", "nowhere.mp3"),
        *("circle.mp3", "sibling.mp3", "../../etc/passwd", "../../healthz.mp3", "..%5c..%5cgood.mp3", "~/good.mp3"),
        *("a" * 250 + ".mp3", "a" * 300 + ".mp3", "a/" * 100 + "good.mp3", "a/" * 900 + "good.mp3", "a" * 2000),
        *("%ff%fe.mp3", "%c0%ae%c0%ae/good.mp3", "%e2%80%ae.mp3", "%0d%0aX-Evil:%201.mp3", "%7f.mp3", "%01.mp3"),
    ],
)
@pytest.mark.parametrize("endpoint", ["clips", "info"])
def test_what_must_not_be_given_out_is_missing(endpoint, path, server, place, missing):
    query = "?t=3,4" if endpoint == "clips" else ""
    status, headers, body = raw_get(server, f"/{endpoint}/paths/{path}{query}")
    assert (status, body) == (404, missing[1])
    assert headers.keys() == missing[0].keys()
    assert headers["cache-control"] == missing[0]["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "no",
            "missing/good",
            "good.mp3/x",
            "GOOD",
            "%25%32%65%25%32%65/good",
            "sub/",
            "folder",
            "pipe",
            "null",
            "closed",
        ),
        *(".hidden", "%2ehidden", ".private/a", "sub/../.hidden", "way-out", "linked-out/secret", "passwd", "self"),
        *(
            "circle",
            "sibling",
            "../../etc/passwd",
            "~/good",
            "a" * 250,
            "a/" * 100 + "good",
            "%ff%fe",
            "%0d%0aX-Evil:%201",
        ),
    ],
)
@pytest.mark.parametrize(("endpoint", "suffix"), [("renders", "wav"), ("peaks", "json")])
def test_renders_and_waveforms_see_no_more(endpoint, suffix, path, server, place, missing):
    assert raw_get(server, f"/{endpoint}/paths/good.{suffix}?t=3,4")[0] == 200
    status, headers, body = raw_get(server, f"/{endpoint}/paths/{path}.{suffix}?t=3,4")
    assert (status, body) == (404, missing[1])
    assert headers.keys() == missing[0].keys()


@pytest.mark.parametrize(
    "path",
    [
        *("paths%2Fgood.mp3", "paths/sub%2fdeep/good.mp3", "..%2F..%2Fetc%2Fpasswd", "paths/good.mp3%00", "%00.mp3"),
        *("paths/good.mp3%00.mp3", "paths/%2e%2e%2f%2e%2e%2fa.mp3"),
    ],
)
def test_encoded_slashes_and_zeros_never_reach_the_application(path, server, place):
    status, headers, body = raw_get(server, f"/clips/{path}?t=3,4")
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "public, max-age=10"
    assert json.loads(body)["status"] == 404


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/../etc/passwd",
            "/clips/../../etc/passwd",
            "/clips/%2e%2e/%2e%2e/etc/passwd.mp3",
            "/clips/paths/../../../a",
        ),
        *("/clips/paths/%zz.mp3", "/clips/paths/%", "/clips/paths/%4.mp3", "/clips/paths/a b.mp3", "clips/x.mp3"),
    ],
)
def test_what_is_no_path_is_refused(target, server, place):
    status, headers, body = raw_get(server, target)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["status"] == 400


@pytest.mark.parametrize(
    "target", ["/clips", "/clips/", "/info", "/info/", "/nothing", "/studio", "/studio/", "/Clips/paths/good.mp3"]
)
def test_what_is_no_endpoint_is_missing(target, server, missing):
    status, _, body = server.get(target)
    assert (status, body) == (404, missing[1])


NAMES = [
    "Grüße aus Köln.mp3".encode(),
    "日本語/番組.mp3".encode(),
    "🎵.mp3".encode(),
    "e\u0301.mp3".encode(),  # a name in two code points is not the one in one
    b"a b  c.mp3",
    b"a+b.mp3",
    b"100%.mp3",
    b"%41.mp3",
    b"%2e%2e.mp3",
    b"%2F.mp3",
    b"a&b=c?d#e.mp3",
    b"a;b,c:d@e!f$g'h(i)*j.mp3",
    b'"quoted" <a>.mp3',
    b"back\\slash.mp3",
    b"[brackets]{braces}|^`~.mp3",
    b"line\nbreak.mp3",
    b"tab\tand\x7f.mp3",
    b"latin-\xfc.mp3",
    b"\xff\xfe\xfd.mp3",
    b"two..dots.mp3",
    b"a.mp3.mp3",
    b" leading and trailing /x .mp3",
    b"-rf.mp3",
    b"x" * 251 + b".mp3",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_kind(name, server, place, data, clip):
    path = os.path.join(os.fsencode(place), b"names", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pathlib.Path(os.fsdecode(path)).write_bytes(data)
    try:
        # The library says how it is asked for; so does a plain encoding of every byte.
        listed = json.loads(server.get("/library?prefix=paths/names/")[2])["sources"]
        (source,) = listed
        assert source["path"] == (b"paths/names/" + name).decode("utf-8", "replace")
        encoded = "/".join("".join(f"%{byte:02X}" for byte in part) for part in name.split(b"/"))
        for url in (source["clips"], f"/clips/paths/names/{encoded}"):
            status, headers, body = server.get(f"{url}?t=3,4")
            assert (status, body) == (200, clip)
            assert headers["content-location"] == f"{source['clips']}?t=3,4"
        info = json.loads(server.get(source["info"])[2])
        assert (info["path"], info["clips"]) == (source["path"], source["clips"])
        status, headers, body = server.get(f"{source['clips']}?t=3,4&download")
        assert (status, body) == (200, clip)
        assert headers["content-disposition"].startswith('attachment; filename="')
    finally:
        os.unlink(path)


def test_plus_and_percent_are_themselves_in_a_path(server, place, data, clip):
    os.makedirs(os.path.join(place, "literal"), exist_ok=True)
    pathlib.Path(place, "literal", "a+b.mp3").write_bytes(data)
    for url, status in (("a+b.mp3", 200), ("a%2Bb.mp3", 200), ("a%20b.mp3", 404), ("a%252Bb.mp3", 404)):
        assert server.get(f"/clips/paths/literal/{url}?t=3,4")[0] == status


def test_two_forms_of_a_letter_are_two_names(server, place, data):
    os.makedirs(os.path.join(place, "forms"), exist_ok=True)
    pathlib.Path(place, "forms", "e\u0301.mp3").write_bytes(data)
    assert server.get("/clips/paths/forms/e%CC%81.mp3?t=3,4")[0] == 200
    assert server.get("/clips/paths/forms/%C3%A9.mp3?t=3,4")[0] == 404


def test_a_source_that_is_withdrawn_is_missing(server, place, data, clip, missing):
    """Processes keep files open: none of them may go on with one that is not to be read any more."""
    path = os.path.join(place, "withdrawn.mp3")
    pathlib.Path(path).write_bytes(data)
    for _ in range(12):
        assert server.get("/clips/paths/withdrawn.mp3?t=3,4")[2] == clip
    os.chmod(path, 0)
    try:
        answers = [server.get("/clips/paths/withdrawn.mp3?t=3,4") for _ in range(12)]
        assert [(status, body) for status, _, body in answers] == [(404, missing[1])] * 12
    finally:
        os.unlink(path)


def test_a_link_that_is_led_elsewhere_is_followed_there(server, place, data, clip, outside, missing):
    path = os.path.join(place, "changing.mp3")

    def lead(target):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + ".new")
        os.symlink(target, path + ".new")
        os.replace(path + ".new", path)

    lead("good.mp3")
    for _ in range(12):
        assert server.get("/clips/paths/changing.mp3?t=3,4")[2] == clip
    lead(os.path.join(outside, "secret.mp3"))
    for _ in range(12):
        assert server.get("/clips/paths/changing.mp3?t=3,4")[::2] == (404, missing[1])


def test_a_folder_on_the_way_that_is_led_elsewhere(server, place, data, clip, outside, missing):
    """The same, one level up, and with the very same file: it now lies outside."""
    os.makedirs(os.path.join(place, "moving"))
    pathlib.Path(place, "moving", "a.mp3").write_bytes(data)
    for _ in range(12):
        assert server.get("/clips/paths/moving/a.mp3?t=3,4")[2] == clip
    os.rename(os.path.join(place, "moving"), os.path.join(outside, "moved"))
    os.symlink(os.path.join(outside, "moved"), os.path.join(place, "moving"))
    for _ in range(12):
        assert server.get("/clips/paths/moving/a.mp3?t=3,4")[::2] == (404, missing[1])


def raw_get(server, target):
    """Exactly this request target: http.client refuses some, and other clients resolve dots."""
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return raw(server.port, request.encode("latin-1"))
