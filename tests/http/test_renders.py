"""Renders from the real server: their bytes and headers, what is kept, and what load and accidents do."""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from mp3_slicer import timeslice
from mp3_slicer.mp3.header import FrameHeader
from mp3_slicer.render import FORMATS, RenderRequest
from mp3_slicer.server.machine import cpus
from mp3_slicer.server.sizes import compute
from support import streams
from support.cutting import index_of
from support.server import ALL_CPUS, Server, publish, raw, status, until
from unit.render.sounds import bytes_of, decode, lag, mono, whole

KIND = "mpeg1-44-stereo-cbr128"
SPAN = "3.333,5.5"
#: Takes some seconds, nearly all of them in ffmpeg.
SLOW = "/renders/renders/minutes.m4a?t=0,90.{:03d}"
ONE = compute(1, 1 << 30)


@pytest.fixture(scope="module")
def place(media):
    path = os.path.join(media, "renders")
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def show(place, stream_folder):
    """20 s, and ten minutes of it."""
    path = os.path.join(place, "show.mp3")
    data = pathlib.Path(streams.make(KIND, stream_folder, seconds=20)).read_bytes()
    publish(data, path)
    publish(data * 30, os.path.join(place, "minutes.mp3"))
    return path


@pytest.fixture(scope="module")
def filled(place, show):
    return place


def url(form, query):
    return f"/renders/renders/show.{form}?{query}"


def pairs_of(query):
    return [tuple(part.split("=", 1)) for part in query.split("&")]


def problem(answer, code, kind):
    """The members of a problem, after a look at its headers."""
    got, headers, body = answer
    assert (got, headers["content-type"]) == (code, "application/problem+json"), body
    assert int(headers["content-length"]) == len(body)
    members = json.loads(body)
    assert (members["type"], members["status"]) == (f"urn:slicer:problem:{kind}", code)
    assert members["detail"]
    return members


def helpers_of(daemon: int) -> list[int]:
    """The ffmpeg that run for a daemon; a child belongs to the thread that started it."""
    found = []
    for path in pathlib.Path(f"/proc/{daemon}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return [pid for pid in found if status(pid).get("Name") == "ffmpeg"]


def helpers(server: Server) -> list[int]:
    """The ffmpeg that run for a server."""
    return [pid for daemon in server.daemons("renders") for pid in helpers_of(daemon)]


def kept(server: Server) -> list[str]:
    """The names of finished results; anything else but the account is a failure."""
    names = set(os.listdir(server.folders["SLICER_RESULTS_DIR"])) - {"account"}
    assert all(re.fullmatch("[0-9a-f]{40}", name) for name in names), names
    return sorted(names)


def nothing_is_left(server: Server) -> None:
    """No ffmpeg, no file: neither one with a name nor one without that a daemon has open."""

    def unnamed() -> list[str]:
        opened = []
        for pid in server.daemons("renders"):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    opened.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        return [path for path in opened if "(deleted)" in path and server.work in path]

    # A client has the last byte of its answer before the daemon has closed the file that it came from.
    until(lambda: not helpers(server), 30, "no ffmpeg is left")
    until(lambda: not os.listdir(server.folders["SLICER_SCRATCH_DIR"]), 30, "no scratch file is left")
    until(lambda: not unnamed(), 30, "no file without a name is left")
    kept(server)


# ---------------------------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("form", FORMATS)
def test_both_ends_are_exact(form, server, show):
    code, headers, body = server.get(url(form, f"t={SPAN}"))
    assert (code, headers["content-type"]) == (200, FORMATS[form].content_type)
    assert int(headers["content-length"]) == len(body)
    asked = RenderRequest.parse(form, [("t", SPAN)]).spans[0]
    span = index_of(show).locate(asked.start, asked.end)
    source = whole(show)[2 * span.first : 2 * span.last]
    heard, rate, channels = decode(body, form)
    assert channels == 2
    if form in {"wav", "flac"}:
        assert (heard, rate) == (source, 44_100)
        return
    frames = span.last - span.first
    if form == "opus":
        frames = (frames * 48_000 * 2 + 44_100) // (2 * 44_100)
        source = decode(server.get(url("wav", f"t={SPAN}&rate=48000"))[2], "wav")[0]
    # This ffmpeg may not cut off what follows the end of AAC, though the file says where that is.
    assert 0 <= len(heard) // 2 - frames < (1024 if form == "m4a" else 1)
    wanted, got = mono(source, 2), mono(heard[: 2 * frames], 2)
    for begin in (200, len(wanted) - 6200):
        assert lag(got[begin : begin + 6000], wanted[begin : begin + 6000], 60) == 0


@pytest.mark.parametrize(
    ("form", "query"),
    [
        ("mp3", "t=1,3&fade=0.5,1&gain=-3"),
        ("wav", "t=1,3&t=5,7&crossfade=0.25"),
        ("ogg", "t=1,4&speed=1.25&channels=1"),
        ("opus", "t=1,4&normalize=peak"),
        ("flac", "t=1,4&normalize=ebu:-20&rate=22050"),
        ("m4a", "t=1,3&bitrate=96"),
        ("wav", "t=19"),
        ("mp3", "t=,2&trim=-50"),
    ],
)
def test_a_render_is_what_the_renderer_makes(form, query, either, show):
    code, headers, body = either.get(url(form, query))
    assert code == 200, body
    assert body == bytes_of(show, form, *pairs_of(query))
    request = RenderRequest.parse(form, pairs_of(query))
    assert headers["content-location"] == url(form, request.canonical)
    assert headers["cache-control"] == "public, max-age=86400"
    assert headers["accept-ranges"] == "bytes"
    assert "x-clip-span" not in headers


def test_without_options_it_is_the_whole_file(server, show):
    code, headers, body = server.get(url("wav", "")[:-1])
    assert (code, headers["content-location"]) == (200, url("wav", "t=0"))
    assert decode(body, "wav")[0] == whole(show)


@pytest.mark.parametrize(
    "spelling",
    [
        "t=npt:0:00:01,00:02.50&gain=-3.0&fade=0.50,1",
        "fade=0.5,1&gain=-3&t=1,2.5",
        "t=1%2C2.5&fade=00.5,1&gain=-3&channels=2&download=x".replace("&channels=2", ""),
        "&t=1.0,2.5&&fade=0.5,1.000&gain=-03",
    ],
)
def test_spellings_are_one_render(spelling, server, show):
    canonical = url("mp3", "t=1,2.5&fade=0.5,1&gain=-3")
    one, other = server.get(canonical), server.get(url("mp3", spelling))
    assert (one[0], other[0]) == (200, 200)
    assert one[2] == other[2]
    for name in ("etag", "content-location", "last-modified"):
        assert one[1][name] == other[1][name]
    assert one[1]["content-location"] == canonical


def test_a_source_in_capitals(server, place, show):
    shutil.copy(show, os.path.join(place, "CAPITALS.MP3"))
    assert server.get("/renders/renders/CAPITALS.wav?t=1,2")[2] == server.get(url("wav", "t=1,2"))[2]
    problem(server.get("/renders/renders/CAPITALS.MP3?t=1,2"), 400, "option-refused")
    for name in ("Mixed.Mp3", "mixed.mP3"):
        shutil.copy(show, os.path.join(place, name))
        assert server.get(f"/renders/renders/{name[:-4]}.wav?t=1,2")[2] == server.get(url("wav", "t=1,2"))[2]
        assert server.get(f"/peaks/renders/{name[:-4]}.json?t=1,2")[0] == 200


def test_a_replaced_source_is_another_render(server, place, show):
    path = os.path.join(place, "changing.mp3")
    publish(pathlib.Path(show).read_bytes(), path)
    target = "/renders/renders/changing.wav?t=1,2"
    before = server.get(target)
    publish(pathlib.Path(show).read_bytes()[100_000:], path)
    after = server.get(target)
    assert (before[0], after[0]) == (200, 200)
    assert after[2] == bytes_of(path, "wav", ("t", "1,2")) != before[2]
    assert after[1]["etag"] != before[1]["etag"]
    os.unlink(path)
    problem(server.get(target), 404, "not-found")


# --------------------------------------------------------------------------------------------- conditions and ranges


def test_head_has_the_headers_and_no_body(server, show):
    target = url("mp3", "t=6,7")
    head, got = server.get(target, "HEAD"), server.get(target)
    assert (head[0], head[2]) == (200, b"")
    own = {"date": "", "x-request-id": ""}
    assert {**head[1], **own} == {**got[1], **own}


@pytest.mark.parametrize(
    ("asked", "part"), [("0-99", slice(0, 100)), ("100-", slice(100, None)), ("-7", slice(-7, None))]
)
def test_ranges(asked, part, either, show):
    target = url("ogg", "t=6,8")
    whole_of_it = either.get(target)[2]
    code, headers, body = either.get(target, Range=f"bytes={asked}")
    assert (code, body) == (206, whole_of_it[part])
    first = whole_of_it.index(body) if len(body) > 50 else len(whole_of_it) - len(body)
    assert headers["content-range"] == f"bytes {first}-{first + len(body) - 1}/{len(whole_of_it)}"


def test_conditions(either, show):
    target = url("mp3", "t=6,7")
    _, headers, body = either.get(target)
    etag, modified = headers["etag"], headers["last-modified"]
    assert re.fullmatch('"[0-9a-f]+"', etag)
    for fields in ({"If_None_Match": etag}, {"If_None_Match": f'W/{etag}, "x"'}, {"If_Modified_Since": modified}):
        code, found, nothing = either.get(target, **fields)
        assert (code, nothing, found["etag"]) == (304, b"", etag)
        assert found["content-location"] == target
        assert "content-length" not in found
    assert either.get(target, If_None_Match='"x"')[0] == 200
    problem(either.get(target, If_Match='"x"'), 412, "precondition-failed")
    assert either.get(target, Range="bytes=0-9", If_Range=etag)[0] == 206
    assert either.get(target, Range="bytes=0-9", If_Range='"x"')[2] == body
    outside = either.get(target, Range=f"bytes={len(body)}-")
    problem(outside, 416, "range-outside")
    assert outside[1]["content-range"] == f"bytes */{len(body)}"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("t=1,2&download", "show_1-2.ogg"),
        ("t=1,2&t=3,4.5&download=", "show_1-2_3-4.5.ogg"),
        ("t=1,2&download=one.OGG", "one.OGG"),
        ("download=one.mp3&t=1,2", "one.mp3.ogg"),
    ],
)
def test_a_download_has_a_name(query, name, server, show):
    code, headers, _ = server.get(url("ogg", query), "HEAD")
    assert (code, headers["content-disposition"]) == (200, f'attachment; filename="{name}"')


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_proxy_is_sent_to_the_canonical_url(method, server, show):
    canonical = "t=1,2&fade=0.5,0&gain=2"
    for query in ("gain=2&t=1,2&fade=0.5,0", f"{canonical}&download", "t=1.0,2&fade=0.5,0&gain=2&channels=1"):
        code, headers, body = server.get(url("ogg", query), method, X_Sendfile_Type="X-Accel-Redirect")
        wanted = canonical + "&channels=1" * ("channels" in query)
        # Apache sends no length of nothing with a HEAD.
        assert (code, body, headers.get("content-length", "0")) == (200, b"", "0")
        assert (headers["x-accel-redirect"], headers["x-accel-expires"]) == (url("ogg", wanted), "86400")
        assert ("content-disposition" in headers) == ("download" in query)
        assert not {"content-type", "cache-control", "etag"} & headers.keys()
    code, headers, _ = server.get(url("ogg", canonical), method, X_Sendfile_Type="X-Accel-Redirect")
    assert (code, headers["content-type"]) == (200, "audio/ogg")


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("target", "option"),
    [
        ("show.xyz?t=1,2", "format"),
        ("show?t=1,2", "format"),
        ("show.MP3?t=1,2", "format"),
        ("show.wav?t=2,1", "t"),
        ("show.wav?t=", "t"),
        ("show.wav?t=1,2&t=x", "t"),
        ("show.wav?" + "&".join(["t=1,2"] * 21), "t"),
        ("show.wav?t=1,2&gain=25", "gain"),
        ("show.wav?t=1,2&gain=1e1", "gain"),
        ("show.wav?t=1,2&gain=nan", "gain"),
        ("show.wav?t=1,2&gain=1&normalize=peak", "gain"),
        ("show.wav?t=1,2&normalize=loud", "normalize"),
        ("show.wav?t=1,2&crossfade=1", "crossfade"),
        ("show.wav?t=1,2&t=3,4&crossfade=1.5", "crossfade"),
        ("show.wav?t=1,2&fade=0.6,0.6", "fade"),
        ("show.wav?t=1,2&bitrate=64", "bitrate"),
        ("show.mp3?t=1,2&bitrate=31", "bitrate"),
        ("show.mp3?t=1,2&bitrate=320&rate=8000", "bitrate"),
        ("show.opus?t=1,2&rate=44100", "rate"),
        ("show.wav?t=1,2&channels=3", "channels"),
        ("show.wav?t=1,2&speed=3", "speed"),
        ("show.wav?t=1,2&trim=0", "trim"),
        ("show.wav?t=1,1.2&normalize=ebu", "normalize"),
    ],
)
def test_what_cannot_be_is_refused_by_name(target, option, server, show):
    answer = server.get(f"/renders/renders/{target}")
    members = problem(answer, 400, "option-refused")
    assert members["option"] == option
    assert members["allowed"]
    assert answer[1]["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(
    ("target", "code", "kind"),
    [
        ("show.wav?t=1,2&x=1", 400, "option-unknown"),
        ("show.wav?t=1,2&gain=1&gain=1", 400, "option-repeated"),
        ("show.wav?t=1,2&pixels=3", 400, "option-unknown"),
        (f"show.wav?{'x' * 5000}", 400, "query-too-long"),
        ("show.wav?t=20", 400, "span-outside"),
        ("show.wav?t=1,1.05", 400, "span-too-short"),
        ("minutes.wav?t=0,600.5", 413, "render-too-long"),
        ("none.wav?t=1,2", 404, "not-found"),
        (".wav?t=1,2", 404, "not-found"),
        ("show/.wav?t=1,2", 404, "not-found"),
        ("..wav?t=1,2", 404, "not-found"),
    ],
)
def test_other_refusals(target, code, kind, server, show):
    members = problem(server.get(f"/renders/renders/{target}"), code, kind)
    if kind.startswith(("option", "span")):
        assert members["option"]


def test_other_methods(server, show):
    assert server.get(url("wav", "t=1,2"), "OPTIONS")[0] == 204
    code, headers, _ = server.get(url("wav", "t=1,2"), "POST")
    assert (code, headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_limits_are_settings(start, show):
    server = start(
        environ={
            "SLICER_MAX_RENDER_SECONDS": "3",
            "SLICER_MAX_RENDER_BYTES": "300000",
            "SLICER_MIN_CLIP_SECONDS": "1",
            "SLICER_CLIP_MAX_AGE": "0",
        }
    )
    code, headers, _ = server.get(url("mp3", "t=1,4"))
    assert (code, headers["cache-control"]) == (200, "no-store")
    assert "3 s" in problem(server.get(url("mp3", "t=1,4.001")), 413, "render-too-long")["detail"]
    assert "3 s" in problem(server.get(url("mp3", "t=1,3&t=5,6.5")), 413, "render-too-long")["detail"]
    assert "300000" in problem(server.get(url("wav", "t=1,4")), 413, "render-too-large")["detail"]
    # Known only when it has been made.
    assert "300000" in problem(server.get(url("flac", "t=1,4&gain=20")), 413, "render-too-large")["detail"]
    assert "1 s" in problem(server.get(url("wav", "t=1,1.9")), 400, "span-too-short")["detail"]
    nothing_is_left(server)


# ------------------------------------------------------------------------------------------------------------- the store


def mark(server: Server, body: bytes) -> bytes:
    """Change the last byte of the one kept result, so that it can be told from one that is made anew."""
    (name,) = kept(server)
    with open(os.path.join(server.folders["SLICER_RESULTS_DIR"], name), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    return body[:-1] + bytes([body[-1] ^ 1])


def test_a_result_is_found_again(start, show):
    first = start(*ALL_CPUS)
    target = url("ogg", "t=1,3&gain=-2")
    body = first.get(target)[2]
    marked = mark(first, body)
    # By every process, in every spelling, for ranges and HEAD.
    for _ in range(8):
        assert first.get(url("ogg", "gain=-2.0&t=1,3"))[2] == marked
    assert first.get(target, Range="bytes=-10")[2] == marked[-10:]
    assert len(kept(first)) == 1
    # By another server that has the same folder, and by one that is started anew.
    folders = {"SLICER_RESULTS_DIR": first.folders["SLICER_RESULTS_DIR"]}
    assert start(environ=folders).get(target)[2] == marked
    assert first.get(url("ogg", "t=1,3&gain=-1"))[2] == bytes_of(show, "ogg", ("t", "1,3"), ("gain", "-1"))


def test_a_result_that_is_not_kept_is_sent(start, show):
    server = start(environ={"SLICER_RESULTS_BYTES": "0"})
    target = url("mp3", "t=1,3")
    body = bytes_of(show, "mp3", ("t", "1,3"))
    one, part = server.get(target), server.get(target, Range="bytes=5-9")
    assert (one[0], one[2], part[0], part[2]) == (200, body, 206, body[5:10])
    assert one[1]["etag"] == part[1]["etag"]
    assert kept(server) == []
    shutil.rmtree(server.folders["SLICER_RESULTS_DIR"])
    assert server.get(url("mp3", "t=1,3&channels=1"))[0] == 200


def test_what_a_killed_process_left_goes_at_the_start(start, show, tmp_path):
    folders = {
        f"SLICER_{name}_DIR": f"/tmp/slicer-test-{os.getpid()}-{name.lower()}" for name in ("RESULTS", "SCRATCH")
    }
    old = time.time() - 7200
    try:
        left = []
        for path, name in zip(folders.values(), ("0" * 40 + ".abc.tmp", "slicer-scratch-abc"), strict=True):
            os.makedirs(path)
            os.chmod(path, 0o777)
            left.append(os.path.join(path, name))
            pathlib.Path(left[-1]).touch()
            os.utime(left[-1], (old, old))
            pathlib.Path(path, "foreign").touch()
        server = start(environ=folders)
        until(lambda: not any(map(os.path.exists, left)), 30, "they are gone")
        assert all("foreign" in os.listdir(path) for path in folders.values())
        assert server.get(url("ogg", "t=1,2"))[0] == 200
    finally:
        for path in folders.values():
            shutil.rmtree(path, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------------ load

MIXED = [
    ("mp3", "t={},{}&fade=0.2,0.2"),
    ("wav", "t={},{}&normalize=peak"),
    ("flac", "t={},{}"),
    ("ogg", "t={},{}&speed=1.25"),
    ("opus", "t={},{}"),
    ("m4a", "t={},{}&channels=1"),
    ("mp3", "t={},{}&gain=-3&channels=1"),
    ("wav", "t={},{}&rate=22050"),
]


def get_in_the_end(server, target):
    """Ask again as long as the pool is full."""
    for _ in range(300):
        answer = server.get(target)
        if answer[0] != 503:
            return answer
        time.sleep(float(answer[1]["retry-after"]) / 10)
    raise AssertionError("always full")


def test_many_at_once_are_what_each_is_alone(start, show):
    server = start(*ALL_CPUS)
    asked = [(form, query.format(at, at + 1)) for at, (form, query) in zip(range(24), itertools.cycle(MIXED))]
    wanted = {each: bytes_of(show, each[0], *pairs_of(each[1])) for each in asked[:16]}
    many = [asked[number % 16] for number in range(200)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: get_in_the_end(server, url(*each)), many))
    assert {answer[0] for answer in answers} == {200}
    assert all(answer[2] == wanted[each] for each, answer in zip(many, answers, strict=True))
    nothing_is_left(server)
    assert len(kept(server)) == 16


class Renders:
    """Connections that ask for slow renders, each another one, and are not read."""

    def __init__(self, server, count, first=0):
        self.open = []
        for number in range(first, first + count):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            connection.sendall(
                f"GET {SLOW.format(number)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            self.open.append(connection)

    def close(self):
        for connection in self.open:
            connection.close()


def test_a_full_pool_refuses_fast_and_clips_do_not_notice(start, show):
    server = start("--cpus", "1", "--memory", "1G")
    before = sorted(server.children()), server.daemons("clips"), server.daemons("renders")
    one = Renders(server, 1)
    until(lambda: helpers(server), 30, "one is being made")
    # Linux holds one connection more than the backlog.
    waiting = Renders(server, ONE.renders_backlog + 1, 1)
    time.sleep(0.5)
    began = time.monotonic()
    code, headers, body = raw(server.port, f"GET {SLOW.format(500)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    # In the queue it would wait for its timeout of 10 s.
    assert time.monotonic() - began < 8
    assert (code, headers["content-type"], headers["retry-after"]) == (503, "application/problem+json", "2")
    assert json.loads(body)["type"] == "about:blank"
    assert helpers(server), "it was still being made"
    began = time.monotonic()
    clip = server.get("/clips/renders/show.mp3?t=1,2")[2]
    for _ in range(50):
        assert server.get("/clips/renders/show.mp3?t=1,2")[2] == clip
    assert time.monotonic() - began < 10
    one.close()
    waiting.close()
    # Those that wait have gone, and what waited too long is not made for them.
    until(lambda: not helpers(server) and server.get(url("wav", "t=8,9"))[0] == 200, 90, "the pool is free")
    assert (sorted(server.children()), server.daemons("clips"), server.daemons("renders")) == before
    nothing_is_left(server)


# ------------------------------------------------------------------------------------------------------------- accidents


def overwrite(path, data):
    with open(path, "r+b") as file:
        file.write(data[: os.path.getsize(path)])


def refill(path, data):
    """Every frame stays where it was, and holds something else: only the file's time tells."""
    frames = bytearray(pathlib.Path(path).read_bytes())
    for run in index_of(path).segments[0].runs:
        place = run.anchors[0]
        while place < run.end and (header := FrameHeader.parse(frames[place : place + 4])):
            # Behind the header and the side information, which say how to read it.
            frames[place + 36 : place + header.length] = b"\x5a" * (header.length - 36)
            place += header.length
    overwrite(path, bytes(frames))


def rewrite(path, data):
    pathlib.Path(path).write_bytes(data * 2)


def truncate(path, data):
    os.truncate(path, os.path.getsize(path) // 4)


def append(path, data):
    with open(path, "ab") as file:
        file.write(data)


#: What happens to a source, and whether the render that was begun is still one of a state of it.
CHANGES = [
    (refill, False),
    (overwrite, False),
    (rewrite, False),
    (truncate, False),
    (append, True),
    (publish, True),
    ("unlink", True),
]


@pytest.mark.parametrize(("change", "right"), CHANGES, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_source_that_is_changed_during_a_render(change, right, start, place, show, stream_folder):
    """The answer is that of the old file, or an error; never of a mixture, and nothing of a mixture is kept."""
    path = os.path.join(place, "victim.mp3")
    other = pathlib.Path(streams.make("mpeg1-44-joint-vbr2", stream_folder, seconds=20)).read_bytes() * 12
    publish(pathlib.Path(show).read_bytes() * 3, path)
    old = bytes_of(path, "flac", ("t", "0,40"))
    server = start("--cpus", "1", "--memory", "1G")
    (daemon,) = server.daemons("renders")
    target = "/renders/renders/victim.flac?t=0,40"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.get, target)
        until(lambda: helpers_of(daemon), 30, "ffmpeg works")
        (helper,) = helpers_of(daemon)
        # So it takes no more samples than its pipe holds: what follows is read after the change.
        os.kill(helper, signal.SIGSTOP)
        if change == "unlink":
            os.unlink(path)
        elif change is publish:
            publish(other, path)
        else:
            change(path, other)
        os.kill(helper, signal.SIGCONT)
        answer = asked.result()
    if right:
        assert (answer[0], answer[2] == old) == (200, True)
    else:
        problem(answer, 503, "try-again")
        assert (answer[1]["cache-control"], answer[1]["retry-after"]) == ("no-store", "1")
        assert kept(server) == []
    nothing_is_left(server)
    # Who asks now is answered from what is there now.
    if change == "unlink":
        problem(server.get(target), 404, "not-found")
    elif change is truncate:
        assert server.get("/renders/renders/victim.flac?t=0,10")[2] == bytes_of(path, "flac", ("t", "0,10"))
    else:
        again = server.get(target)
        assert again[2] == bytes_of(path, "flac", ("t", "0,40"))
        assert again[1]["etag"] != answer[1].get("etag") or change is append


def test_a_daemon_that_is_killed_leaves_nothing(start, show):
    server = start("--cpus", "1", "--memory", "1G")
    (daemon,) = server.daemons("renders")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.get, SLOW.format(0))
        until(lambda: helpers_of(daemon), 30, "ffmpeg works")
        (helper,) = helpers_of(daemon)
        (clips,) = server.daemons("clips")
        nicer = min(19, os.getpriority(os.PRIO_PROCESS, clips) + 10)
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in (daemon, helper)} == {nicer}
        # A clip interrupts a render whose turn is longer than its own, on the whole of its way. An older kernel says 0 of all.
        threads = {pid: [int(name) for name in os.listdir(f"/proc/{pid}/task")] for pid in (clips, daemon, helper)}
        turns = {pid: {timeslice.of(thread) for thread in found} for pid, found in threads.items()}
        assert turns[daemon] == turns[helper] == {timeslice.LONGEST if timeslice.of() else 0}
        assert turns[clips] == {timeslice.of(pid) for pid in server.children()} == {timeslice.of()}
        os.kill(daemon, signal.SIGKILL)
        # Its input has ended, and so does it; by itself, since nobody is left who could wait for it.
        until(lambda: not status(helper), 30, "ffmpeg has gone too")
        code, headers, body = asked.result()
    assert (code, headers["content-type"]) in [(each, "application/problem+json") for each in (500, 502, 503)], body
    until(lambda: server.daemons("renders") not in ([daemon], []), 30, "a new daemon")
    nothing_is_left(server)
    assert kept(server) == []
    assert get_in_the_end(server, url("ogg", "t=1,2"))[0] == 200


def test_a_client_that_goes_away_leaves_a_result(start, show):
    server = start("--cpus", "1", "--memory", "1G")
    (daemon,) = server.daemons("renders")
    gone = Renders(server, 1)
    until(lambda: helpers_of(daemon), 30, "ffmpeg works")
    gone.close()
    results = server.folders["SLICER_RESULTS_DIR"]
    until(lambda: any(len(name) == 40 for name in os.listdir(results)), 60, "it is finished")
    nothing_is_left(server)
    (name,) = kept(server)
    when = os.stat(os.path.join(server.folders["SLICER_RESULTS_DIR"], name)).st_ctime_ns
    code, _, body = server.get(SLOW.format(0))
    assert code == 200
    assert len(body) > 500_000
    assert kept(server) == [name]
    assert when
    assert server.daemons("renders") == [daemon]


def stuck(server: Server, target: str):
    """What a request is answered whose ffmpeg does not go on, and how many seconds that took."""
    (daemon,) = server.daemons("renders")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        asked = pool.submit(server.get, target)
        until(lambda: helpers_of(daemon), 30, "ffmpeg works")
        (helper,) = helpers_of(daemon)
        os.kill(helper, signal.SIGSTOP)
        answer = asked.result()
        took = time.monotonic() - began
    assert not status(helper)
    assert server.daemons("renders") == [daemon]
    nothing_is_left(server)
    assert kept(server) == []
    return answer, took


def test_work_that_takes_too_long_is_ended(start, show):
    server = start("--cpus", "1", "--memory", "1G", environ={"SLICER_RENDER_SECONDS": "4"})
    # Known before anything is done.
    problem(server.get("/renders/renders/minutes.m4a?t=0,600"), 413, "render-too-long")
    answer, took = stuck(server, "/renders/renders/minutes.m4a?t=0,60")
    problem(answer, 504, "overstayed")
    assert (answer[1]["cache-control"], answer[1]["retry-after"]) == ("no-store", "2")
    assert 3.5 < took < 20
    assert server.get(url("m4a", "t=1,2"))[0] == 200


def test_the_servers_own_answer_comes_before_the_request_is_ended(start, show):
    server = start("--cpus", "1", "--memory", "1G", "--request-timeout", "3")
    answer, took = stuck(server, "/renders/renders/minutes.m4a?t=0,30")
    problem(answer, 504, "overstayed")
    # mod_wsgi would end it later, and its process with it.
    assert 2 < took < 10


def leave_room(pid, room):
    """Let a daemon take only so many bytes more than it has. Asked for as its own user, which may always do that."""
    taken = int(status(pid)["VmData"].split()[0]) << 10
    code = (
        "import resource, sys\n"
        "pid, room = map(int, sys.argv[1:])\n"
        "hard = resource.prlimit(pid, resource.RLIMIT_DATA)[1]\n"
        "resource.prlimit(pid, resource.RLIMIT_DATA, (room, hard))\n"
    )
    user, group = (int(status(pid)[name].split()[0]) for name in ("Uid", "Gid"))
    me = {} if os.geteuid() else {"user": user, "group": group, "extra_groups": []}
    words = [sys.executable, "-c", code, str(pid), str(taken + room)]
    subprocess.run(words, check=True, timeout=30, cwd="/", **me)


def test_a_process_that_runs_out_of_memory_is_replaced(start, show):
    server = start("--cpus", "1", "--memory", "1G")
    (full,) = server.daemons("renders")
    clips = server.daemons("clips")
    # So that Apache's part of the process has what it needs: it gives up where Python says that there is no more.
    assert server.get(url("wav", "t=1,1.1"))[0] == 200
    leave_room(full, 64 << 10)
    code, headers, body = server.get(url("wav", "t=1,15&gain=1"))
    assert code == 503, (body, server.log())
    assert (headers["retry-after"], headers["cache-control"]) == ("2", "no-store")
    assert json.loads(body)["type"] == "urn:slicer:problem:try-again"
    until(lambda: server.daemons("renders") not in ([full], []), 30, "a new one")
    assert get_in_the_end(server, url("wav", "t=1,15&gain=1"))[0] == 200
    assert server.daemons("clips") == clips
    nothing_is_left(server)


def test_a_folder_that_is_gone_is_told(start, show):
    server = start("--cpus", "1", "--memory", "1G")
    os.rmdir(server.folders["SLICER_SCRATCH_DIR"])
    answer = server.get(url("wav", "t=1,3"))
    problem(answer, 503, "try-again")
    until(lambda: "scratch" in server.log(), 30, "it is logged")
    assert server.get("/clips/renders/show.mp3?t=1,3")[0] == 200


def test_renders_have_as_many_processes_as_cpus_and_no_more(server, show):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        most = []
        stop = threading.Event()

        def watch():
            while not stop.is_set():
                most.append(len(helpers(server)))
                time.sleep(0.02)

        watching = threading.Thread(target=watch)
        watching.start()
        list(pool.map(lambda at: server.get(url("m4a", f"t={at},{at + 3}")), range(8)))
        stop.set()
        watching.join()
    assert 1 <= max(most) <= 2 * cpus()
