"""Clips from the real server: their bytes, their headers, and what becomes of them when the source changes."""

import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote

import pytest

from mp3_slicer.timespan import TimeSpan
from support import streams
from support.cutting import cut_bytes, decoded, index_of, samples
from support.server import folder, publish, serving

KINDS = ["mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg1-32-mono-cbr64", "mpeg2-22-joint-cbr64"]
#: Several times what Apache, mod_wsgi (8 MB) and the kernel's sockets hold between the application and a client that waits.
LARGE_BYTES = 40 << 20
#: A read of a source that the server cuts short must not hang the test.
SECONDS = 60


@pytest.fixture(scope="module")
def place(media):
    """A part of the media folder for these tests."""
    path = os.path.join(media, "clips")
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def sources(place, stream_folder):
    """The paths of published streams by kind."""
    paths = {}
    for kind in KINDS:
        paths[kind] = os.path.join(place, f"{kind}.mp3")
        publish(pathlib.Path(streams.make(kind, stream_folder, seconds=20)).read_bytes(), paths[kind])
    return paths


@pytest.fixture(scope="module")
def show(sources):
    return sources[KINDS[0]]


@pytest.fixture(scope="module")
def url(show):
    return f"/clips/clips/{os.path.basename(show)}"


@pytest.fixture(scope="module")
def filled(place, sources):
    return place


@pytest.fixture(scope="module")
def minutes(show):
    """An MP3 much longer than all buffers on the way."""
    data = pathlib.Path(show).read_bytes()
    return data * (LARGE_BYTES // len(data) + 1)


@pytest.fixture
def large(place, minutes):
    """A fresh copy of it, published: its path and its URL."""
    path = os.path.join(place, "large.mp3")
    publish(minutes, path)
    yield path, "/clips/clips/large.mp3"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def expected(path, text=None):
    """What the engine cuts for a `t`, and the span."""
    asked = TimeSpan.parse(text) if text else TimeSpan(0, None)
    span = index_of(path).locate(asked.start, asked.end)
    return cut_bytes(path, span)[1], span


def problem(answer, status, kind):
    """The members of a problem, after a look at its headers."""
    got, headers, body = answer
    assert (got, headers["content-type"]) == (status, "application/problem+json"), body
    assert int(headers["content-length"]) == len(body)
    assert "transfer-encoding" not in headers
    members = json.loads(body)
    assert members["type"] == f"urn:slicer:problem:{kind}"
    assert members["status"] == status
    assert members["title"]
    assert members["detail"]
    return members


# ------------------------------------------------------------------------------------------------------------ bytes


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_is_what_the_engine_cuts(kind, either, server, sources, tmp_path):
    path = sources[kind]
    whole = decoded(path, "ffmpeg")
    for text in ("3,7.5", "0,0.1", "19.5", ",1", "12.3456789,12.6"):
        status, headers, body = either.get(f"/clips/clips/{kind}.mp3?t={text}")
        data, span = expected(path, text)
        assert status == 200
        assert body == data
        clip = tmp_path / "clip.mp3"
        clip.write_bytes(body)
        assert decoded(clip, "ffmpeg") == samples(whole, span)
        assert headers["content-type"] == "audio/mpeg"
        assert headers["content-length"] == str(len(data))
        assert headers["accept-ranges"] == "bytes"
        assert headers["cache-control"] == "public, max-age=86400"
        total, rate = span.segment.samples, span.segment.header.sample_rate
        assert headers["x-clip-span"] == f"first={span.first}, end={span.last}, total={total}, rate={rate}"
        modified = parsedate_to_datetime(headers["last-modified"]).timestamp()
        # A bucket has the time at which an object was put there.
        assert modified == int(os.stat(path).st_mtime) if either is server else modified <= time.time()
        assert not {"transfer-encoding", "content-disposition", "vary", "set-cookie"} & headers.keys()


def test_without_t_it_is_the_whole_file(either, show, url, tmp_path):
    body = either.get(url)[2]
    assert body == either.get(url + "?t=0")[2] == expected(show)[0]
    (tmp_path / "clip.mp3").write_bytes(body)
    assert decoded(tmp_path / "clip.mp3", "ffmpeg") == decoded(show, "ffmpeg")


def test_an_end_after_the_end_is_the_end(either, show, url):
    bodies = [either.get(f"{url}?t=15{end}")[2] for end in ("", ",20", ",21", ",999999999")]
    assert bodies == [expected(show, "15")[0]] * 4


@pytest.mark.parametrize(
    ("canonical", "spellings"),
    [
        (
            "3,10.5",
            [
                *("3,10.5", "3.0,10.50", "03,010.500000000", "npt:3,10.5", "npt%3A3%2C10.5", "3%2c10%2E5", "3.,10.5"),
                *("00:03,00:10.5", "0:00:03,0:00:10.5", "npt:0:00:03.000,10.5", "3,00:00:10.5", "000000:00:03,00:10.5"),
            ],
        ),
        ("0,2", [",2", "0,2", "npt:,2", ",0:00:02", "0.0,2", "00:00,00:02"]),
        ("18", ["18", "18.0", "npt:18", "00:18", "0:00:18."]),
    ],
)
def test_all_spellings_of_a_span_are_one_clip(canonical, spellings, either, url, show):
    bodies, etags, locations = set(), set(), set()
    for text in spellings:
        status, headers, body = either.get(f"{url}?t={text}")
        assert status == 200, text
        bodies.add(body)
        etags.add(headers["etag"])
        locations.add(headers["content-location"])
    for query in (f"&&t={canonical}&", f"download&t={canonical}", f"t={canonical}&download=a", f"%74={canonical}"):
        status, headers, body = either.get(f"{url}?{query}")
        assert status == 200, query
        bodies.add(body)
        etags.add(headers["etag"])
        locations.add(headers["content-location"])
    assert bodies == {expected(show, canonical)[0]}
    assert locations == {f"{url}?t={canonical}"}
    (etag,) = etags
    assert re.fullmatch(r'"[!#-~]+"', etag)
    again = either.get(locations.pop())
    assert (again[0], again[2], again[1]["etag"]) == (200, bodies.pop(), etag)


def test_times_that_round_to_one_sample_are_one_clip(either, url):
    # 1/44100 s is 22675.7 ns.
    answers = [either.get(f"{url}?t={text}") for text in ("1,2", "1.000011,2", "0.999989,2", "1.000012,2")]
    etags = [headers["etag"] for _, headers, _ in answers]
    assert len(set(etags[:3])) == 1
    assert etags[3] != etags[0]
    assert len({body for _, _, body in answers[:3]}) == 1
    firsts = [re.match(r"first=(\d+)", headers["x-clip-span"])[1] for _, headers, _ in answers]
    assert firsts == ["44100", "44100", "44100", "44101"]


def test_etags_differ_where_clips_do(either, sources):
    targets = [f"/clips/clips/{kind}.mp3?t={text}" for kind in KINDS for text in ("1,2", "1,2.001", "1.001,2", "2,3")]
    etags = [either.get(target, "HEAD")[1]["etag"] for target in targets]
    assert len(set(etags)) == len(targets)
    assert etags == [either.get(target, "HEAD")[1]["etag"] for target in targets]


def test_a_copy_that_kept_its_time_has_the_same_etag(server, media, sources):
    """So a client that is sent to another server asks with an ETag that is known there."""
    original = pathlib.Path(sources["mpeg1-44-joint-vbr2"])
    copies = [pathlib.Path(media, f"etag-{name}.mp3") for name in ("copy", "later", "other")]
    try:
        for copy in copies:
            shutil.copy2(original, copy)
        status = original.stat()
        os.utime(copies[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        with copies[2].open("r+b") as file:
            file.seek(-5000, os.SEEK_END)
            file.write(bytes(4000))
        os.utime(copies[2], ns=(status.st_atime_ns, status.st_mtime_ns))
        wanted = server.get("/clips/clips/mpeg1-44-joint-vbr2.mp3?t=1,2", "HEAD")[1]["etag"]
        found = [server.get(f"/clips/{copy.name}?t=1,2", "HEAD")[1]["etag"] for copy in copies]
        assert found[0] == wanted
        assert len({wanted, *found}) == 3
    finally:
        for copy in copies:
            copy.unlink(missing_ok=True)


def test_sixteen_threads_get_their_own_bytes(either, sources):
    indexes = {kind: index_of(path) for kind, path in sources.items()}

    def worker(number):
        draw = random.Random(number)
        for _ in range(12):
            kind = draw.choice(KINDS)
            start = draw.randrange(0, 18_000_000_000)
            end = start + draw.randrange(100_000_000, 19_000_000_000)
            text = f"{start / 1e9:.9f},{end / 1e9:.9f}"
            asked = TimeSpan.parse(text)
            span = indexes[kind].locate(asked.start, asked.end)
            # 503 is the right answer of a full server; asking again has to help.
            for _ in range(20):
                status, headers, body = either.get(f"/clips/clips/{kind}.mp3?t={text}")
                if status != 503:
                    break
                time.sleep(float(headers["retry-after"]) / 4)
            if (status, body) != (200, cut_bytes(sources[kind], span)[1]):
                return f"{kind} {text}: {status}"
        return None

    with ThreadPoolExecutor(16) as pool:
        assert [wrong for wrong in pool.map(worker, range(16)) if wrong] == []


# ---------------------------------------------------------------------------------------------- HEAD, ranges, conditions


@pytest.mark.parametrize("query", ["?t=3,7", "", "?t=3,7&download=x", "?t=7,3", "?t=30", "?x=1"])
def test_head_has_the_headers_and_no_body(query, either, url):
    status, headers, body = either.get(url + query)
    other = either.get(url + query, "HEAD")
    assert (other[0], other[2]) == (status, b"")
    for each in (headers, other[1]):
        each.pop("date")
        each.pop("x-request-id")
    assert other[1] == headers
    assert int(headers["content-length"]) == len(body)


def test_head_ignores_a_range(either, url):
    status, headers, _ = either.get(f"{url}?t=3,7", "HEAD", Range="bytes=0-9")
    assert (status, headers["content-length"]) == (200, either.get(f"{url}?t=3,7", "HEAD")[1]["content-length"])
    assert "content-range" not in headers


def test_any_range_is_a_part_of_the_whole(either, url):
    target = f"{url}?t=3.21,8"
    _, whole_headers, whole = either.get(target)
    size = len(whole)
    draw = random.Random(7)
    cuts = sorted(draw.sample(range(1, size), 15))
    pieces = []
    for start, stop in zip([0, *cuts], [*cuts, size], strict=True):
        status, headers, body = either.get(target, Range=f"bytes={start}-{stop - 1}")
        assert status == 206
        assert headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert headers["content-length"] == str(len(body)) == str(stop - start)
        for name in ("etag", "content-location", "last-modified", "cache-control", "content-type", "x-clip-span"):
            assert headers[name] == whole_headers[name]
        pieces.append(body)
    assert b"".join(pieces) == whole
    for text, start, stop in [
        ("0-0", 0, 1),
        (f"{size - 1}-", size - 1, size),
        ("1000-", 1000, size),
        ("-1", size - 1, size),
        ("-1000", size - 1000, size),
        (f"-{size + 5}", 0, size),
        (f"1000-{size + 99}", 1000, size),
    ]:
        status, headers, body = either.get(target, Range=f"bytes={text}")
        assert (status, body) == (206, whole[start:stop]), text
        assert headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"


@pytest.mark.parametrize("text", ["999999999-", "-0", "999999999-999999999"])
def test_a_range_outside_is_416(text, either, url):
    size = either.get(f"{url}?t=3,4", "HEAD")[1]["content-length"]
    answer = either.get(f"{url}?t=3,4", Range=f"bytes={text}")
    assert text in problem(answer, 416, "range-outside")["detail"]
    assert answer[1]["content-range"] == f"bytes */{size}"
    assert answer[1]["accept-ranges"] == "bytes"
    assert answer[1]["cache-control"] == "public, max-age=10"


@pytest.mark.parametrize("text", ["bytes=0-1,5-6", "bytes=5-1", "items=0-1", "bytes=", "bytes=a-", "nonsense"])
def test_ranges_that_mean_nothing_give_the_whole(text, either, url, show):
    status, headers, body = either.get(f"{url}?t=3,4", Range=text)
    assert (status, body) == (200, expected(show, "3,4")[0])
    assert "content-range" not in headers


def test_if_range(either, url):
    target = f"{url}?t=3,4"
    _, headers, whole = either.get(target)
    for validator, status in [
        (headers["etag"], 206),
        (headers["last-modified"], 206),
        ("W/" + headers["etag"], 200),
        ('"other"', 200),
        (formatdate(0, usegmt=True), 200),
        ("nonsense", 200),
    ]:
        answer = either.get(target, Range="bytes=10-19", If_Range=validator)
        assert (answer[0], answer[2]) == (status, whole[10:20] if status == 206 else whole), validator
    assert either.get(target, Range="bytes=99999999-", If_Range='"other"')[0] == 200


def test_not_modified(either, url):
    target = f"{url}?t=3,4"
    _, headers, _ = either.get(target)
    for method in ("GET", "HEAD"):
        for condition in (
            {"If_None_Match": headers["etag"]},
            {"If_None_Match": "W/" + headers["etag"]},
            {"If_None_Match": f'"other", {headers["etag"]}'},
            {"If_None_Match": "*"},
            {"If_Modified_Since": headers["last-modified"]},
            {"If_Modified_Since": formatdate(time.time() + 9, usegmt=True)},
            {"If_None_Match": headers["etag"], "If_Modified_Since": formatdate(0, usegmt=True)},
            {"If_None_Match": headers["etag"], "Range": "bytes=0-9"},
        ):
            status, found, body = either.get(target, method, **condition)
            assert (status, body) == (304, b""), condition
            for name in ("etag", "cache-control", "content-location", "last-modified"):
                assert found[name] == headers[name]
            assert not {"content-length", "transfer-encoding"} & found.keys()
    for condition in (
        {"If_None_Match": '"other"'},
        {"If_Modified_Since": formatdate(0, usegmt=True)},
        {"If_Modified_Since": "nonsense"},
        {"If_None_Match": '"other"', "If_Modified_Since": headers["last-modified"]},
    ):
        assert either.get(target, **condition)[0] == 200, condition


def test_precondition_failed(either, url):
    target = f"{url}?t=3,4"
    headers = either.get(target)[1]
    for condition in (
        {"If_Match": '"other"'},
        {"If_Match": "W/" + headers["etag"]},
        {"If_Unmodified_Since": formatdate(0, usegmt=True)},
        {"If_Match": '"other"', "If_None_Match": headers["etag"]},
    ):
        answer = either.get(target, **condition)
        problem(answer, 412, "precondition-failed")
        assert answer[1]["cache-control"] == "no-store"
    for condition in ({"If_Match": headers["etag"]}, {"If_Match": "*"}, {"If_Unmodified_Since": headers["date"]}):
        assert either.get(target, **condition)[0] == 200, condition


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT",
        "Mon, 01 Jan 2020 00:00:00 +99999999999999999999",
        "9" * 4000,
    ],
)
def test_dates_beyond_all_bounds_are_ignored(date, either, url):
    for name in ("If_Modified_Since", "If_Unmodified_Since", "If_Range"):
        assert either.get(f"{url}?t=3,4", Range="bytes=10000000-", **{name: date})[0] in {200, 416}


# ------------------------------------------------------------------------------------------------------------- downloads


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("download", 'attachment; filename="mpeg1-44-stereo-cbr128_3-4.mp3"'),
        ("download=Minute%20one", 'attachment; filename="Minute one.mp3"'),
        ("download=a+b%2Bc.mp3", 'attachment; filename="a b+c.mp3"'),
        (
            f"download={quote('Grüße')}",
            "attachment; filename=\"Gr__e.mp3\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.mp3",
        ),
        ("download=%22%0d%0aX-Evil:%201%22", 'attachment; filename="_X-Evil_ 1_.mp3"'),
        ("download=..%2F..%2Fetc", 'attachment; filename="_.._etc.mp3"'),
    ],
)
def test_a_download_has_a_name(option, value, either, url, show):
    status, headers, body = either.get(f"{url}?t=3,4&{option}")
    assert (status, body) == (200, expected(show, "3,4")[0])
    assert headers["content-disposition"] == value
    assert headers["etag"] == either.get(f"{url}?t=3,4")[1]["etag"]
    assert headers["content-location"] == f"{url}?t=3,4"
    assert "x-evil" not in headers


def test_a_download_name_that_is_not_utf8(either, url):
    status, headers, _ = either.get(f"{url}?t=3,4&download=%FF%FEa")
    assert status == 200
    assert re.match(r'attachment; filename="_+a\.mp3"', headers["content-disposition"])


# ------------------------------------------------------------------------------------------------------------ behind a proxy

ACCEL = {"X-Sendfile-Type": "X-Accel-Redirect"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", "0"),
        ("?t=3,7.50", "3,7.5"),
        ("?t=0:00:03,7.5", "3,7.5"),
        ("?t=3%2C7.5", "3,7.5"),
        ("?t=3,7.5&", "3,7.5"),
        ("?t=3,7.5&download=Caf%C3%A9", "3,7.5"),
        ("?download&t=3,7.5", "3,7.5"),
        ("?t=9999,", None),
    ],
)
def test_a_proxy_is_sent_to_the_canonical_url(method, query, canonical, either, url):
    status, headers, body = either.get(url + query, method, **ACCEL)
    if canonical is None:
        assert status == 400
        return
    assert (status, body) == (200, b"")
    own = {
        name: value
        for name, value in headers.items()
        if name not in {"date", "server", "connection", "x-request-id", "x-content-type-options"}
    }
    _, plain, _ = either.get(url + query, "HEAD")
    wanted = {
        # Apache says no length of 0 in the answer to a HEAD.
        "content-length": "0" if method == "GET" else None,
        "x-accel-redirect": f"{url}?t={canonical}",
        "x-accel-expires": "86400",
        "vary": "X-Sendfile-Type",
        "content-disposition": plain.get("content-disposition"),
    }
    assert own == {name: value for name, value in wanted.items() if value is not None}
    assert ("download" in query) == ("content-disposition" in own)
    # There it finds what it would have been given here.
    there = either.get(own["x-accel-redirect"], **ACCEL)
    here = either.get(url + query)
    assert (there[0], there[2]) == (200, here[2])
    assert "x-accel-redirect" not in there[1]
    assert there[1]["content-type"] == "audio/mpeg"


def test_nothing_is_looked_at_to_send_a_proxy_elsewhere(either):
    path = "/clips/no/" + quote("such%20/Ünïcode?&=#;'", safe="/") + "%FF.mp3"
    status, headers, _ = either.get(path + "?t=0:00:03", **ACCEL)
    assert (status, headers["x-accel-redirect"]) == (200, path + "?t=3")
    assert either.get(headers["x-accel-redirect"], **ACCEL)[0] == 404


def test_what_the_proxy_must_not_keep(strict, url):
    assert strict.get(url + "?t=03", **ACCEL)[1]["x-accel-expires"] == "0"


def test_other_ways_to_send_files_are_not_ours(either, url):
    for kind in ("X-Sendfile", "x-accel-redirect ,", ""):
        status, headers, body = either.get(url + "?t=3,7.50", X_Sendfile_Type=kind)
        assert (status, headers["content-type"]) == (200, "audio/mpeg")
        assert body


# --------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "10,", "10,10", "20,10", "-1,5", "%2B1,5", "+1,5", "1e3,2e3", "ten", "0:50,1:00", "00:60,00:61"),
        *("1.0123456789,2", "10%20,20", "10,20,30", "smpte:0:00:10", "NPT:1,2", "npt:npt:1,2", "clock:1,2", "1;2"),
        *("1,2%00", "%00", "%FF", "1,%D9%A2", "1234567890,", "inf", "nan,1", "0x1,2", "1_0,2_0", ".5,1", "10-20"),
        *("0:00:5,9", "60:00,61:00", "1:2:3,4", "'1,2'", "1" * 81),
    ],
)
def test_a_span_that_is_none_is_named(text, either, url):
    answer = either.get(f"{url}?t={text}")
    members = problem(answer, 400, "span-malformed")
    assert members["allowed"].startswith("t=start,end")
    if re.fullmatch(r"[\w.,:;'-]*", text):
        assert members["t"] == text
        assert repr(text[:80])[:40] in members["detail"]
    assert answer[1]["cache-control"] == "public, max-age=60"


def test_spans_that_this_source_cannot_give(either, url):
    members = problem(either.get(f"{url}?t=20,21"), 400, "span-outside")
    assert members["t"] == "20,21"
    assert "20 s" in members["detail"]
    members = problem(either.get(f"{url}?t=3,3.05"), 400, "span-too-short")
    assert members["t"] == "3,3.05"
    assert "2205 samples" in members["detail"]
    # What counts is what is left of it at the end.
    problem(either.get(f"{url}?t=19.95,40"), 400, "span-too-short")
    assert either.get(f"{url}?t=19.9,40")[0] == 200


@pytest.mark.parametrize(
    ("query", "kind", "named"),
    [
        ("time=1,2", "option-unknown", "time"),
        ("t=1,2&T=3", "option-unknown", "T"),
        ("t=1,2&t=1,2", "option-repeated", "t"),
        ("t=1,2&utm_source=x", "option-unknown", "utm_source"),
    ],
)
def test_options_that_are_none_are_named(query, kind, named, either, url):
    members = problem(either.get(f"{url}?{query}"), 400, kind)
    assert members["option"] == named
    assert repr(named) in members["detail"]


def test_a_query_that_is_too_long(either, url):
    answer = either.get(f"{url}?t=1,2&download={'a' * 4096}")
    assert "4096" in problem(answer, 400, "query-too-long")["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_other_methods_are_refused(method, either, url):
    answer = either.get(f"{url}?t=1,2", method)
    assert method in problem(answer, 405, "method")["detail"]
    assert answer[1]["allow"] == "GET, HEAD, OPTIONS"
    assert answer[1]["cache-control"] == "public, max-age=60"


def test_what_is_no_mp3(server, place, stream_folder, show):
    wav = streams.source(44100, 2, stream_folder, 20)
    files = {
        "empty": (b"", 415, "not-an-mp3"),
        "text": (b"no audio here\n" * 999, 415, "not-an-mp3"),
        "wav": (pathlib.Path(wav).read_bytes()[:100_000], 415, "not-an-mp3"),
        "layer2": (streams.layer2(wav), 415, "not-an-mp3"),
        "free": (streams.free_format(wav), 422, "cannot-be-cut"),
    }
    for name, (data, status, kind) in files.items():
        publish(data, os.path.join(place, f"{name}.mp3"))
        for target in (f"/clips/clips/{name}.mp3?t=1,2", f"/info/clips/{name}.mp3"):
            for _ in range(2):
                answer = server.get(target)
                problem(answer, status, kind)
                assert answer[1]["cache-control"] == "public, max-age=60"
    # And once it is one, the answer changes.
    publish(pathlib.Path(show).read_bytes(), os.path.join(place, "text.mp3"))
    assert server.get("/clips/clips/text.mp3?t=1,2")[2] == expected(show, "1,2")[0]


def test_a_span_across_a_change_of_rate(server, place, sources, tmp_path):
    first, second = (pathlib.Path(sources[kind]).read_bytes() for kind in (KINDS[0], KINDS[3]))
    path = os.path.join(place, "joined.mp3")
    publish(streams.concatenated(first, second), path)
    (one, two) = index_of(path).segments
    border = float(one.seconds)
    answer = server.get(f"/clips/clips/joined.mp3?t={border - 1:.3f},{border + 1:.3f}")
    members = problem(answer, 422, "span-crosses-segments")
    assert f"{border:.3f}".rstrip("0") in members["detail"]
    assert members["t"] == f"{border - 1:.3f},{border + 1:.3f}"
    problem(server.get("/clips/clips/joined.mp3"), 422, "span-crosses-segments")
    for text, segment in ((f"{border - 1:.3f},{border - 0.5:.3f}", one), (f"{border + 1:.3f}", two)):
        status, headers, body = server.get(f"/clips/clips/joined.mp3?t={text}")
        assert (status, body) == (200, expected(path, text)[0])
        assert headers["x-clip-span"].endswith(f"total={segment.samples}, rate={segment.header.sample_rate}")


@pytest.fixture(scope="module")
def strict(sources, media):
    """A server with narrow limits."""
    limits = {
        "SLICER_MIN_CLIP_SECONDS": "1",
        "SLICER_MAX_CLIP_SECONDS": "5",
        "SLICER_MAX_SOURCE_BYTES": "400000",
        "SLICER_INDEX_SECONDS": "0.5",
        "SLICER_CLIP_MAX_AGE": "0",
    }
    with serving(media, "--cpus", "1", environ=limits) as running:
        yield running


def test_a_clip_that_is_too_long(strict, url):
    for text in ("0,5.001", "3", "0,999"):
        answer = strict.get(f"{url}?t={text}")
        members = problem(answer, 413, "span-too-long")
        assert members["t"] == text
        assert "5 s" in members["detail"]
        assert answer[1]["cache-control"] == "public, max-age=60"
    problem(strict.get(url), 413, "span-too-long")
    for text in ("0,5", "15", "16,999", "3,8"):
        assert strict.get(f"{url}?t={text}")[0] == 200


def test_a_clip_that_is_too_short(strict, url):
    assert "1 s" in problem(strict.get(f"{url}?t=1,1.9"), 400, "span-too-short")["detail"]
    assert strict.get(f"{url}?t=1,2")[0] == 200


def test_a_source_that_is_too_large(strict, place, show):
    publish(pathlib.Path(show).read_bytes() * 2, os.path.join(place, "double.mp3"))
    for target in ("/clips/clips/double.mp3?t=1,3", "/info/clips/double.mp3"):
        assert "400000" in problem(strict.get(target), 413, "source-too-large")["detail"]


def test_clips_that_must_not_be_kept(strict, url):
    status, headers, _ = strict.get(f"{url}?t=1,3")
    assert (status, headers["cache-control"]) == (200, "no-store")


def test_a_source_that_is_being_indexed(strict, place, show):
    """Another process holds the locks of the indexes, as it does while it makes one."""
    publish(pathlib.Path(show).read_bytes(), os.path.join(place, "fresh.mp3"))
    with contextlib.ExitStack() as stack:
        for number in range(64):
            path = os.path.join(strict.work, "index", "locks", f"{number:02d}")
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, fd)
            os.fchmod(fd, 0o666)
            fcntl.flock(fd, fcntl.LOCK_EX)
        for target in ("/clips/clips/fresh.mp3?t=1,3", "/info/clips/fresh.mp3"):
            answer = strict.get(target)
            problem(answer, 503, "try-again")
            assert int(answer[1]["retry-after"]) >= 1
            assert answer[1]["cache-control"] == "no-store"
    assert strict.get("/clips/clips/fresh.mp3?t=1,3")[2] == expected(show, "1,3")[0]


# ----------------------------------------------------------------------------------------------------- large and changing


class Slow:
    """A client that has read the beginning of a large clip, and for now no more."""

    def __init__(self, server, target, **headers):
        self.socket = socket.socket()
        self.socket.settimeout(SECONDS)
        # Linux doubles it. Little of the body is under way in the kernel then.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        self.socket.connect(("127.0.0.1", server.port))
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port)
        self.connection.sock = self.socket
        self.connection.request("GET", target, headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status in {200, 206}, self.answer.read()
        self.length = int(self.answer.headers["Content-Length"])
        self.start = self.answer.read(100_000)
        # Until all buffers on the way are full, and the application waits.
        time.sleep(1)

    def rest(self):
        """All of the body, and whether it is complete."""
        try:
            return self.start + self.answer.read(), True
        except http.client.IncompleteRead as error:
            return self.start + error.partial, False
        except ConnectionResetError:
            return self.start, False
        finally:
            self.connection.close()
            self.answer.close()


def test_a_large_clip_is_streamed(server, large):
    path, target = large
    data, _ = expected(path, "1,2400")
    assert len(data) > 30 << 20
    status, headers, body = server.get(f"{target}?t=1,2400")
    assert (status, headers["content-length"]) == (200, str(len(data)))
    assert "transfer-encoding" not in headers
    assert body == data
    status, headers, body = server.get(f"{target}?t=1,2400", Range=f"bytes=1000000-{20 << 20}")
    assert (status, body) == (206, data[1_000_000 : (20 << 20) + 1])
    assert server.get(f"{target}?t=1,2400", Range="bytes=-1500000")[2] == data[-1_500_000:]


def test_the_border_between_whole_and_streamed(server, large):
    """Bodies up to 1 MiB are read before they are sent."""
    path, target = large
    # 44.1 kHz at 128 kbit/s: a frame is 418 bytes at most.
    for seconds in (65, 65.5, 65.51, 65.53, 65.55, 66):
        status, headers, body = server.get(f"{target}?t=0,{seconds}")
        data = expected(path, f"0,{seconds}")[0]
        assert (status, body) == (200, data)
        assert headers["content-length"] == str(len(data))


def test_a_slow_client_gets_every_byte(server, large):
    path, target = large
    client = Slow(server, f"{target}?t=1,2400")
    assert client.rest() == (expected(path, "1,2400")[0], True)


def test_a_source_replaced_meanwhile_is_sent_whole(server, large, minutes, sources):
    path, target = large
    data, _ = expected(path, "1,2400")
    client = Slow(server, f"{target}?t=1,2400")
    etag = client.answer.headers["ETag"]
    other = pathlib.Path(sources["mpeg1-44-joint-vbr2"]).read_bytes()
    publish(other * 60, path)
    # The next one gets the new file at once, in every process.
    fresh, _ = expected(path, "1,9")
    for _ in range(20):
        status, headers, body = server.get(f"{target}?t=1,9")
        assert (status, body) == (200, fresh)
        assert headers["etag"] != etag
    assert client.rest() == (data, True)


def test_a_source_taken_away_meanwhile_is_sent_whole(server, large):
    path, target = large
    data, _ = expected(path, "1,2400")
    client = Slow(server, f"{target}?t=1,2400")
    os.unlink(path)
    for _ in range(20):
        problem(server.get(f"{target}?t=1,2400"), 404, "not-found")
    assert client.rest() == (data, True)


def test_a_source_that_grows_meanwhile_is_sent_whole(server, large, show):
    path, target = large
    data, _ = expected(path, "1,2400")
    client = Slow(server, f"{target}?t=1,2400")
    etag = client.answer.headers["ETag"]
    with open(path, "ab") as file:
        file.write(pathlib.Path(show).read_bytes() * 3)
    status, headers, body = server.get(f"{target}?t=2520,2530")
    assert (status, body) == (200, expected(path, "2520,2530")[0])
    assert headers["etag"] != etag
    assert client.rest() == (data, True)


def truncate(path, other):
    os.truncate(path, os.path.getsize(path) // 2)


def overwrite(path, other):
    """Same name, same inode, other audio: what `cp` does, up to the same size."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.write((other * (size // len(other) + 1))[:size])


def overwrite_middle(path, other):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) * 3 // 4)
        file.write(other)


def overwrite_middle_and_append(path, other):
    overwrite_middle(path, other)
    with open(path, "ab") as file:
        file.write(bytes(1000))


def rewrite_larger(path, other):
    size = os.path.getsize(path)
    pathlib.Path(path).write_bytes(other * (size // len(other) + 20))


@pytest.mark.parametrize("change", [truncate, overwrite, overwrite_middle, overwrite_middle_and_append, rewrite_larger])
def test_a_source_overwritten_meanwhile_ends_the_answer(change, server, large, sources):
    path, target = large
    data, _ = expected(path, "1,2400")
    client = Slow(server, f"{target}?t=1,2400")
    change(path, pathlib.Path(sources["mpeg1-44-joint-vbr2"]).read_bytes())
    body, complete = client.rest()
    assert not complete
    assert len(client.start) <= len(body) < client.length == len(data)
    # What came is of the old file alone.
    assert data.startswith(body)
    # And who asks now gets what is there now, whatever that is.
    status, _, body = server.get(f"{target}?t=1,9")
    assert (status, body) == (200, expected(path, "1,9")[0])


def test_a_range_of_a_source_overwritten_meanwhile(server, large, sources):
    path, target = large
    data, _ = expected(path, "1,2400")
    client = Slow(server, f"{target}?t=1,2400", Range="bytes=1000000-")
    assert client.answer.status == 206
    overwrite(path, pathlib.Path(sources["mpeg1-44-joint-vbr2"]).read_bytes())
    body, complete = client.rest()
    assert not complete
    assert data[1_000_000:].startswith(body)


def test_a_client_that_goes_away_frees_its_thread(server, large):
    _, target = large
    for _ in range(30):
        client = Slow.__new__(Slow)
        client.socket = socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)
        client.socket.sendall(f"GET {target}?t=1,2400 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.socket.recv(1000).startswith(b"HTTP/1.1 200 ")
        # A reset instead of an orderly end.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: server.get("/healthz")[0], range(40))) == [200] * 40


def test_each_answer_is_of_one_state_of_the_file(server, place, sources):
    """Two versions take turns under one name; every answer is a clip of one of them, with that one's ETag."""
    path = os.path.join(place, "turns.mp3")
    versions = [pathlib.Path(sources[kind]).read_bytes() for kind in (KINDS[0], KINDS[2])]
    wanted = [expected(sources[kind], "2,9")[0] for kind in (KINDS[0], KINDS[2])]
    publish(versions[0], path)
    done = threading.Event()

    def turn():
        number = 0
        while not done.is_set():
            number += 1
            publish(versions[number % 2], path)
            time.sleep(0.005)

    turner = threading.Thread(target=turn)
    turner.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: server.get("/clips/clips/turns.mp3?t=2,9"), range(150)))
    finally:
        done.set()
        turner.join()
    seen = {}
    for status, headers, body in answers:
        if status == 503:
            assert json.loads(body)["type"] == "urn:slicer:problem:try-again"
            continue
        assert (status, body in wanted) == (200, True)
        assert seen.setdefault(headers["etag"], body) == body
    assert set(seen.values()) == set(wanted)


# --------------------------------------------------------------------------------------------------- the first time


def test_many_ask_for_a_new_source_at_once(server, place, minutes):
    """Both processes make or wait for the one index; all answers are the same, and one file is left of it."""
    index = os.path.join(server.work, "index")

    def kept():
        return {name for name in os.listdir(index) if name != "locks"}

    both = False
    for number in range(5):
        path = os.path.join(place, f"new{number}.mp3")
        publish(minutes, path)
        before = kept()
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _, n=number: server.get(f"/clips/clips/new{n}.mp3?t=1000,1010"), range(12)))
        assert {status for status, _, _ in answers} == {200}
        assert {body for _, _, body in answers} == {expected(path, "1000,1010")[0]}
        assert len({headers["etag"] for _, headers, _ in answers}) == 1
        assert len(kept() - before) == 1
        assert not [name for name in kept() if name.endswith(".tmp")]
        # A process that has given a clip of a file keeps it open for the next one. Not every root may look: in a container
        # without CAP_SYS_PTRACE the bytes alone must do.
        try:
            both = both or sum(path in open_files(pid) for pid in server.daemons("clips")) > 1
        except PermissionError:
            both = True
        os.unlink(path)
    if len(server.daemons("clips")) > 1:
        assert both


def open_files(pid):
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def test_an_index_that_cannot_be_kept_costs_no_clip(place, show):
    """Where the folder of indexes was is a file: clips are answered, and readiness says so."""
    root = folder()
    try:
        shutil.copy(show, os.path.join(root, "show.mp3"))
        with serving(root, "--cpus", "1") as running:
            shutil.rmtree(os.path.join(running.work, "index"))
            pathlib.Path(running.work, "index").write_text("in the way")
            status, _, body = running.get("/clips/show.mp3?t=3,4")
            assert (status, body) == (200, expected(show, "3,4")[0])
            members = problem(running.get("/readyz"), 503, "try-again")
            assert members["checks"] == {"media": True, "index": False}
    finally:
        shutil.rmtree(root)
