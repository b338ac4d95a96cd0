"""Documents from the real server: /info, /library, health, CORS; and every answer held to the OpenAPI description."""

import json
import os
import pathlib
import re
import shutil
import time
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

import mp3_slicer
from mp3_slicer.web.cors import EXPOSED
from support import streams
from support.cutting import index_of
from support.server import folder, serving

#: Headers that HTTP itself or Apache adds to every answer.
UNDESCRIBED = {"date", "server", "connection", "content-type", "keep-alive"}


@pytest.fixture(scope="module")
def place(media, stream_folder):
    place = os.path.join(media, "documents")
    os.makedirs(os.path.join(place, "list", "b"))
    for kind in ("mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg1-44-untagged-cbr128"):
        shutil.copy(streams.make(kind, stream_folder, seconds=20), os.path.join(place, f"{kind}.mp3"))
    pathlib.Path(place, "mpeg1-44-stereo-cbr128.srt").write_text("1\n00:01.000 --> 00:02.000\nx\n", encoding="ascii")
    chapters = '{"chapters": [{"startTime": 1, "title": "x"}]}'
    pathlib.Path(place, "mpeg1-44-stereo-cbr128.chapters.json").write_text(chapters, encoding="ascii")
    pathlib.Path(place, "text.mp3").write_bytes(b"nothing to hear\n" * 100)
    data = pathlib.Path(place, "mpeg1-44-stereo-cbr128.mp3").read_bytes()
    for name in ("a.mp3", "b/1.mp3", "b/2.mp3", "b-.mp3", "b0.mp3", "ü.mp3", "z.MP3", ".no.mp3", "no.txt"):
        pathlib.Path(place, "list", name).write_bytes(data)
    return place


@pytest.fixture(scope="module")
def document(server):
    """The description as the server gives it."""
    status, headers, body = server.get("/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert headers["cache-control"] == "public, max-age=3600"
    return json.loads(body)


WORDS = "/transcripts/documents/mpeg1-44-stereo-cbr128"
CHAPTERS = "/chapters/documents/mpeg1-44-stereo-cbr128.json"
CBR = "/info/documents/mpeg1-44-stereo-cbr128.mp3"
CLIP = "/clips/documents/mpeg1-44-stereo-cbr128.mp3"
RENDER = "/renders/documents/mpeg1-44-stereo-cbr128"
PEAKS = "/peaks/documents/mpeg1-44-stereo-cbr128"
LISTED = ["a.mp3", "b-.mp3", "b/1.mp3", "b/2.mp3", "b0.mp3", "z.MP3", "ü.mp3"]


# ------------------------------------------------------------------------------------------------------- the description


def test_the_description_is_valid_and_names_the_version(document):
    OpenAPIV31SpecValidator(document).validate()
    assert document["info"]["version"] == mp3_slicer.__version__


def resolved(document, value):
    while "$ref" in value:
        found = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        value = found
    return value


def check(document, method, target, answer):
    """That an answer is as described: its status, each of its headers with its schema, the required ones, and its body."""
    status, headers, body = answer
    path = target.partition("?")[0]
    template = re.sub(r"^/(clips|renders|peaks|transcripts|chapters|info)/.*", r"/\1/{path}", path)
    responses = document["paths"][template][method.lower()]["responses"]
    response = resolved(document, responses[str(status)] if str(status) in responses else responses["default"])
    described = {name.lower(): resolved(document, header) for name, header in response.get("headers", {}).items()}
    assert headers.keys() - UNDESCRIBED <= described.keys()
    assert {name for name, header in described.items() if header.get("required")} <= headers.keys()
    for name in headers.keys() & described.keys():
        schema = described[name]["schema"]
        value = int(headers[name]) if schema.get("type") == "integer" else headers[name]
        Draft202012Validator(schema).validate(value)
    if "content" in response:
        kind = headers["content-type"]
        media = response["content"][kind]
        if kind.endswith("json") and method == "GET":
            schema = {**media["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(json.loads(body))
    else:
        assert body == b""
        assert "content-length" not in headers
    return template, method, status


REQUESTS = [
    ("GET", f"{CLIP}?t=1,2", {}, 200),
    ("GET", f"{CLIP}?t=1,2&download", {}, 200),
    ("GET", f"{CLIP}?t=1,2", {"Range": "bytes=0-9"}, 206),
    ("GET", f"{CLIP}?t=1,2", {"If_None_Match": "*"}, 304),
    ("GET", f"{CLIP}?t=2,1", {}, 400),
    ("GET", f"{CLIP}?t=20", {}, 400),
    ("GET", f"{CLIP}?t=1,1.01", {}, 400),
    ("GET", f"{CLIP}?x", {}, 400),
    ("GET", f"{CLIP}?t=1&t=2", {}, 400),
    ("GET", f"{CLIP}?{'x' * 5000}", {}, 400),
    ("GET", f"{CLIP}?{'x' * 9000}", {}, 414),
    ("GET", "/clips/%2F.mp3", {}, 404),
    ("GET", "/clips/none.mp3", {}, 404),
    ("GET", f"{CLIP}?t=1,2", {"If_Match": '"x"'}, 412),
    ("GET", "/clips/documents/text.mp3", {}, 415),
    ("GET", f"{CLIP}?t=1,2", {"Range": "bytes=9999999-"}, 416),
    ("GET", f"{CLIP}?t=1,2", {"Expect": "wonders"}, 417),
    ("HEAD", f"{CLIP}?t=1,2", {}, 200),
    ("HEAD", f"{CLIP}?t=2,1", {}, 400),
    ("OPTIONS", CLIP, {}, 204),
    *(("GET", f"{RENDER}.{form}?t=1,2", {}, 200) for form in ("mp3", "wav", "flac", "ogg", "opus", "m4a")),
    ("GET", f"{RENDER}.ogg?t=1,2&t=3,4&fade=0.1,0.2&gain=-3&download", {}, 200),
    ("GET", f"{RENDER}.wav?t=1,2", {"Range": "bytes=0-9"}, 206),
    ("GET", f"{RENDER}.wav?t=1,2", {"If_None_Match": "*"}, 304),
    ("GET", f"{RENDER}.wav?t=2,1", {}, 400),
    ("GET", f"{RENDER}.xyz", {}, 400),
    ("GET", f"{RENDER}.wav?t=20", {}, 400),
    ("GET", f"{RENDER}.wav?x", {}, 400),
    ("GET", "/renders/none.wav", {}, 404),
    ("GET", f"{RENDER}.wav?t=1,2", {"If_Match": '"x"'}, 412),
    ("GET", "/renders/documents/text.wav", {}, 415),
    ("GET", f"{RENDER}.wav?t=1,2", {"Range": "bytes=9999999-"}, 416),
    ("HEAD", f"{RENDER}.wav?t=1,2", {}, 200),
    ("HEAD", f"{RENDER}.wav?t=2,1", {}, 400),
    ("OPTIONS", f"{RENDER}.wav", {}, 204),
    ("GET", f"{PEAKS}.json?t=1,2", {}, 200),
    ("GET", f"{PEAKS}.mp3?t=1,2&pixels=2&bits=16", {}, 200),
    ("GET", f"{PEAKS}.dat", {}, 200),
    ("GET", f"{PEAKS}.dat", {"Range": "bytes=0-9"}, 206),
    ("GET", f"{PEAKS}.json", {"If_None_Match": "*"}, 304),
    ("GET", f"{PEAKS}.json?bits=9", {}, 400),
    ("GET", "/peaks/none.json", {}, 404),
    ("GET", f"{PEAKS}.json", {"If_Match": '"x"'}, 412),
    ("GET", f"{PEAKS}.json?zoom=2", {"Range": "bytes=99999999-"}, 416),
    ("HEAD", f"{PEAKS}.json", {}, 200),
    ("OPTIONS", f"{PEAKS}.json", {}, 204),
    ("GET", f"{CLIP}?id=chapter-1&snap=cue", {}, 200),
    ("GET", f"{CLIP}?id=chapter-9", {}, 404),
    *(("GET", f"{WORDS}.{form}?t=1,2", {}, 200) for form in ("vtt", "srt", "json", "txt")),
    ("GET", f"{WORDS}.vtt", {"If_None_Match": "*"}, 304),
    ("GET", f"{WORDS}.vtt", {"If_Match": '"x"'}, 412),
    ("GET", f"{WORDS}.xyz", {}, 400),
    ("GET", "/transcripts/documents/mpeg1-44-joint-vbr2.vtt", {}, 404),
    ("HEAD", f"{WORDS}.vtt", {}, 200),
    ("OPTIONS", f"{WORDS}.vtt", {}, 204),
    ("GET", CHAPTERS, {}, 200),
    ("GET", CHAPTERS, {"If_None_Match": "*"}, 304),
    ("GET", f"{CHAPTERS}?t=1", {}, 400),
    ("GET", "/chapters/documents/mpeg1-44-joint-vbr2.json", {}, 404),
    ("HEAD", CHAPTERS, {}, 200),
    ("OPTIONS", CHAPTERS, {}, 204),
    ("GET", CBR, {}, 200),
    ("HEAD", CBR, {}, 200),
    ("OPTIONS", CBR, {}, 204),
    ("GET", CBR, {"If_None_Match": "*"}, 304),
    ("GET", f"{CBR}?t=1,2", {}, 400),
    ("GET", "/info/none.mp3", {}, 404),
    ("GET", CBR, {"If_Match": '"x"'}, 412),
    ("GET", "/info/documents/text.mp3", {}, 415),
    ("GET", "/info/documents/mpeg1-44-joint-vbr2.mp3", {}, 200),
    ("GET", "/info/documents/mpeg1-44-untagged-cbr128.mp3", {}, 200),
    ("GET", "/library", {}, 200),
    ("GET", "/library?limit=1", {}, 200),
    ("HEAD", "/library", {}, 200),
    ("OPTIONS", "/library", {}, 204),
    ("GET", "/library?prefix=documents/list", {"If_None_Match": "*"}, 304),
    ("GET", "/library?limit=0", {}, 400),
    ("GET", f"/library?prefix={'x' * 2000}", {}, 400),
    ("GET", "/library?t=1", {}, 400),
    ("GET", "/library", {"If_Match": '"x"'}, 412),
    ("GET", "/search?q=x", {}, 501),
    ("GET", "/search?q=", {}, 400),
    ("GET", "/library?q=x", {}, 501),
    ("OPTIONS", "/search", {}, 204),
    *((method, "/metrics", {}, status) for method, status in (("GET", 200), ("HEAD", 200), ("OPTIONS", 204))),
    *((method, f"/{name}", {}, 200) for name in ("healthz", "readyz", "openapi.json") for method in ("GET", "HEAD")),
    *(("OPTIONS", f"/{name}", {}, 204) for name in ("healthz", "readyz", "openapi.json")),
    *(("GET", f"/{name}", {"If_None_Match": "*"}, 304) for name in ("healthz", "readyz", "openapi.json")),
    *(("GET", f"/{name}", {"If_Match": '"x"'}, 412) for name in ("healthz", "readyz", "openapi.json")),
]


@pytest.mark.parametrize(("method", "target", "headers", "status"), REQUESTS)
def test_every_answer_is_as_described(method, target, headers, status, server, place, document):
    answer = server.get(target, method, **headers)
    assert answer[0] == status
    check(document, method, target, answer)


def test_the_check_can_fail(server, place, document):
    answer = server.get(f"{CLIP}?t=1,2")
    status, headers, body = answer
    check(document, "GET", CLIP, answer)
    for wrong in (
        (status, {**headers, "x-other": "1"}, body),
        (status, {**headers, "etag": "W/x"}, body),
        (status, {name: value for name, value in headers.items() if name != "content-location"}, body),
        (404, headers, body),
    ):
        with pytest.raises((AssertionError, ValidationError)):
            check(document, "GET", CLIP, wrong)


# -------------------------------------------------------------------------------------------------------------- /info


def test_info(server, place):
    status, headers, body = server.get(CBR)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "public, max-age=60"
    path = os.path.join(place, os.path.basename(CBR))
    stem = path.removesuffix(".mp3")
    newest = max(int(os.stat(each).st_mtime) for each in (path, f"{stem}.srt", f"{stem}.chapters.json"))
    assert parsedate_to_datetime(headers["last-modified"]).timestamp() == newest
    stream = {
        "duration": 20.0,
        "samples": 882000,
        "sample_rate": 44100,
        "channels": 2,
        "mpeg_version": "1",
        "frames": len(streams.frames(pathlib.Path(path).read_bytes())) - 1,
    }
    info = json.loads(body)
    assert info == {
        "path": "documents/mpeg1-44-stereo-cbr128.mp3",
        "clips": CLIP,
        **stream,
        "bitrate_mode": "constant",
        "bitrate": 128000,
        "size": os.path.getsize(path),
        "encoder": info["encoder"],
        "delay": 576,
        "padding": stream["frames"] * 1152 - 576 - 882000,
        "tags": ["Info"],
        "segments": [stream],
        "damage": {
            "gaps": 0,
            "gap_bytes": 0,
            "leading_bytes": 0,
            "dropped_frames": 0,
            "other_layer_bytes": 0,
            "unread_bytes": 0,
            "claimed_frames": None,
        },
        **dict.fromkeys(("title", "artist", "album", "date"), ""),
        "chapters": 1,
        "cover": None,
        "transcript": {"file": "mpeg1-44-stereo-cbr128.srt", "form": "srt", "cues": 1},
        "unreadable": [],
    }
    assert info["encoder"].startswith("LAME")
    assert server.get(info["clips"] + "?t=1,2")[0] == 200


def test_info_of_other_streams(server, place):
    vbr = json.loads(server.get("/info/documents/mpeg1-44-joint-vbr2.mp3")[2])
    assert (vbr["bitrate_mode"], vbr["tags"]) == ("variable", ["Xing"])
    assert vbr["bitrate"] == pytest.approx(vbr["size"] * 8 / 20, rel=0.01)
    plain = json.loads(server.get("/info/documents/mpeg1-44-untagged-cbr128.mp3")[2])
    assert (plain["encoder"], plain["delay"], plain["padding"], plain["tags"]) == ("", None, None, [])
    assert plain["samples"] == plain["frames"] * 1152


def test_info_follows_the_file(server, place):
    path = os.path.join(place, "changing.mp3")
    data = pathlib.Path(place, "mpeg1-44-stereo-cbr128.mp3").read_bytes()
    seen = []
    for count in (1, 2, 1):
        pathlib.Path(path + ".part").write_bytes(data * count)
        os.replace(path + ".part", path)
        answers = [server.get("/info/documents/changing.mp3") for _ in range(8)]
        assert {json.loads(body)["size"] for _, _, body in answers} == {len(data) * count}
        assert len({headers["etag"] for _, headers, _ in answers}) == 1
        seen.append(answers[0][1]["etag"])
    assert seen[0] != seen[1]
    with open(path, "ab") as file:
        file.write(data[:200_000])
    grown = json.loads(server.get("/info/documents/changing.mp3")[2])
    assert grown["size"] == len(data) + 200_000
    assert grown["samples"] == sum(segment.samples for segment in index_of(path).segments)


@pytest.mark.parametrize("target", [CBR, "/library?prefix=documents/list", "/openapi.json"])
def test_documents_answer_conditions_and_ignore_ranges(target, server, place):
    _, headers, body = server.get(target)
    assert server.get(target, If_None_Match=headers["etag"])[::2] == (304, b"")
    assert server.get(target, If_None_Match='"x"')[::2] == (200, body)
    assert server.get(target, If_Match=headers["etag"])[0] == 200
    assert server.get(target, If_Match='"x"')[0] == 412
    assert server.get(target, Range="bytes=0-1")[::2] == (200, body)
    assert server.get(target, Range="bytes=99999999-")[0] == 200
    head = server.get(target, "HEAD")
    assert (head[0], head[2], head[1]["content-length"]) == (200, b"", str(len(body)))


# ----------------------------------------------------------------------------------------------------------- /library


def listed(server, query):
    status, headers, body = server.get(f"/library?{query}")
    assert (status, headers["cache-control"]) == (200, "public, max-age=10")
    document = json.loads(body)
    return [source["path"].removeprefix("documents/list/") for source in document["sources"]], document["next"]


def test_the_library_in_byte_order(server, place):
    assert listed(server, "prefix=documents/list/") == (LISTED, None)
    _, _, body = server.get("/library?prefix=documents/list/")
    for source in json.loads(body)["sources"]:
        path = os.path.join(server.media, source["path"])
        assert source["size"] == os.path.getsize(path)
        assert parsedate_to_datetime(source["modified"]).timestamp() == int(os.stat(path).st_mtime)
        assert source["clips"] == f"/clips/{quote(source['path'])}"
        assert server.get(source["clips"] + "?t=1,2")[0] == 200
        assert json.loads(server.get(source["info"])[2])["size"] == source["size"]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 1000])
def test_pages_of_the_library(limit, server, place):
    found, pages, target = [], 0, f"/library?prefix=documents/list/&limit={limit}"
    while target:
        status, _, body = server.get(target)
        assert status == 200
        page = json.loads(body)
        assert 0 < len(page["sources"]) <= limit
        found += [source["path"].removeprefix("documents/list/") for source in page["sources"]]
        target = page["next"]
        pages += 1
        assert pages <= len(LISTED)
    assert found == LISTED
    assert pages == -(-len(LISTED) // limit)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("prefix=documents/list/b", ["b-.mp3", "b/1.mp3", "b/2.mp3", "b0.mp3"]),
        ("prefix=documents/list/b/", ["b/1.mp3", "b/2.mp3"]),
        ("prefix=documents/list/%C3%BC", ["ü.mp3"]),
        ("prefix=documents/list/&after=documents/list/b/1.mp3", LISTED[3:]),
        ("prefix=documents/list/&after=documents/list/b", LISTED[1:]),
        ("prefix=documents/list/&after=documents/list/%C3%BC.mp3", []),
        ("prefix=documents/list/&after=zzz", []),
        ("prefix=documents/list/nothing", []),
        ("prefix=documents/list/.no", []),
        ("prefix=../", []),
        ("prefix=/", []),
        ("prefix=documents/list/../", []),
    ],
)
def test_parts_of_the_library(query, found, server, place):
    assert listed(server, query) == (found, None)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1.5", "+1", "1e2", "%D9%A1", "99999", "0x1", "1%00"])
def test_a_limit_that_is_none_is_named(limit, server):
    status, headers, body = server.get(f"/library?limit={limit}")
    problem = json.loads(body)
    assert (status, problem["type"]) == (400, "urn:slicer:problem:limit-malformed")
    assert "1 to 1000" in problem["detail"]
    assert headers["cache-control"] == "public, max-age=60"
    if re.fullmatch(r"[\w.-]*", limit):
        assert problem["limit"] == limit
        assert repr(limit) in problem["detail"]


def test_a_new_source_is_listed_at_once(server, place):
    path = os.path.join(place, "list", "new.mp3")
    pathlib.Path(path).write_bytes(b"not looked into yet")
    try:
        assert "new.mp3" in listed(server, "prefix=documents/list/")[0]
    finally:
        os.unlink(path)
    assert "new.mp3" not in listed(server, "prefix=documents/list/")[0]


# --------------------------------------------------------------------------------------------------------------- health


@pytest.mark.parametrize("name", ["healthz", "readyz"])
def test_health(name, server):
    status, headers, body = server.get(f"/{name}")
    assert (status, headers["cache-control"]) == (200, "no-store")
    if name == "healthz":
        assert json.loads(body) == {"status": "alive", "version": mp3_slicer.__version__}
    else:
        assert json.loads(body) == {"status": "ready", "checks": {"media": True, "index": True}}


def test_a_media_folder_that_is_gone(document):
    root = folder()
    try:
        with serving(root, "--cpus", "1") as running:
            assert running.get("/readyz")[0] == 200
            os.rename(root, root + "-gone")
            answer = running.get("/readyz")
            assert answer[0] == 503
            check(document, "GET", "/readyz", answer)
            problem = json.loads(answer[2])
            assert problem["type"] == "urn:slicer:problem:try-again"
            assert problem["checks"] == {"media": False, "index": True}
            assert "media" in problem["detail"]
            assert running.get("/healthz")[0] == 200
            assert json.loads(running.get("/library")[2]) == {"sources": [], "next": None}
            os.rename(root + "-gone", root)
            assert running.get("/readyz")[0] == 200
    finally:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(root + "-gone", ignore_errors=True)


# -------------------------------------------------------------------------------------------------------------- OPTIONS


@pytest.mark.parametrize("target", [f"{CLIP}?t=1,2", CLIP, "/info/none.mp3", "/library", "/healthz", "/openapi.json"])
def test_options(target, server, place):
    status, headers, body = server.get(target, "OPTIONS")
    assert (status, body, headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert headers["cache-control"] == "no-store"
    assert not {"content-length", "transfer-encoding"} & headers.keys()
    assert not [name for name in headers if name.startswith("access-control")]


def test_options_of_nothing(server):
    assert server.get("/nothing", "OPTIONS")[0] == 404


@pytest.mark.parametrize("target", ["/library", "/healthz", "/readyz", "/openapi.json", CBR])
def test_other_methods(target, server, place):
    status, headers, body = server.get(target, "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert json.loads(body)["type"] == "urn:slicer:problem:method"


# ----------------------------------------------------------------------------------------------------------------- CORS

A, B = "https://a.example", "https://b.example:8443"


def cors_headers(headers):
    return {name: value for name, value in headers.items() if name.startswith("access-control") or name == "vary"}


@pytest.mark.parametrize(
    ("origins", "origin", "allowed", "vary"),
    [
        ("*", A, "*", None),
        (A, B, A, None),
        (f"{A}, {B}", B, B, "Origin"),
    ],
)
def test_cors(origins, origin, allowed, vary, start, place, document):
    server = start(environ={"SLICER_CORS_ORIGINS": origins})
    wanted = {"access-control-expose-headers": EXPOSED.lower()}
    if vary:
        wanted["vary"] = vary
    answers = [
        ("GET", f"{CLIP}?t=1,2", {}, 200),
        ("HEAD", f"{CLIP}?t=1,2", {}, 200),
        ("GET", f"{CLIP}?t=1,2", {"Range": "bytes=0-9"}, 206),
        ("GET", f"{CLIP}?t=1,2", {"If_None_Match": "*"}, 304),
        ("GET", f"{CLIP}?t=1,2", {"If_Match": '"x"'}, 412),
        ("GET", f"{CLIP}?t=1,2", {"Range": "bytes=9999999-"}, 416),
        ("GET", f"{CLIP}?t=2,1", {}, 400),
        ("GET", "/clips/none.mp3", {}, 404),
        ("GET", CBR, {}, 200),
        ("GET", "/library", {}, 200),
    ]
    for method, target, headers, status in answers:
        for asks, gets in ((origin, allowed), (None, allowed if not vary else None), ("https://evil.example", None)):
            if asks and "evil" in asks and not vary:
                gets = allowed
            answer = server.get(target, method, **headers, **({"Origin": asks} if asks else {}))
            assert answer[0] == status
            found = cors_headers(answer[1])
            found["access-control-expose-headers"] = found["access-control-expose-headers"].lower()
            assert found == {**wanted, **({"access-control-allow-origin": gets} if gets else {})}
            check(document, method, target, answer)
    answer = server.get(CLIP, "OPTIONS", Origin=origin, Access_Control_Request_Method="GET")
    assert answer[0] == 204
    assert answer[1]["access-control-allow-origin"] == allowed
    assert answer[1]["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "Range" in answer[1]["access-control-allow-headers"].split(", ")
    assert int(answer[1]["access-control-max-age"]) > 0
    check(document, "OPTIONS", CLIP, answer)
    # What scripts may read is what clips have beyond the headers that are always readable.
    given = {name for name in server.get(f"{CLIP}?t=1,2", Range="bytes=0-9")[1] if not name.startswith("access-")}
    safe = {"cache-control", "content-language", "content-type", "expires", "last-modified", "pragma"}
    exposed = {name.lower() for name in EXPOSED.split(", ")}
    # The name of a request is for who reads logs.
    assert given - safe - UNDESCRIBED - {"vary", "x-request-id", "x-content-type-options"} <= exposed


def test_no_cors_unless_set(server, place):
    for target in (f"{CLIP}?t=1,2", "/library", "/nothing"):
        assert cors_headers(server.get(target, Origin=A)[1]) == {}


def test_answers_are_fast_enough_to_be_asked_often(server):
    """A health check that waits for anything would be useless just when it is needed."""
    started = time.monotonic()
    for _ in range(20):
        assert server.get("/healthz")[0] == server.get("/readyz")[0] == 200
    assert time.monotonic() - started < 10
