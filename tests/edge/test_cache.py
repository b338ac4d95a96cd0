"""The cache: what shares an entry, what fills it, what is kept and what never is."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.edge import site
from support.server import free_port, raw, until

SHORT = {"SLICER_CLIP_MAX_AGE": "1"}
#: Nginx counts whole seconds: an entry of one second is too old after two, at the latest.
EXPIRED = 2.1


def start_of(url):
    return url.split("=")[1].split(",")[0]


# ------------------------------------------------------------------------------------------------------------- one entry


def test_a_clip_is_asked_for_once(edge, tap, server, fresh):
    url = fresh()
    first, second = edge.get(url), edge.get(url)
    assert (first.status, first.cache, second.status, second.cache) == (200, "MISS", 200, "HIT")
    assert first.body == second.body == server.get(url)[2]
    assert tap.targets == [url]


SPELLINGS = [
    "/clips/show.mp3?t=npt:{},18",
    "/clips/show.mp3?t={}0,18.00",
    "/clips/show.mp3?t=00{},018",
    "/clips/show.mp3?t=00:0{},0:00:18",
    "/clips/show.mp3?t={}%2C18",
    "/clips/show.mp3?%74={},18",
    "/clips/show.mp3?&t={},18&",
    "/clips/show.mp3?t={},18&download=",
    "/clips/show.mp3?download=name&t={},18",
    "/clips//show.mp3?t={},18",
    "//clips/show.mp3?t={},18",
    "/clips/s%68ow%2Emp3?t={},18",
    "/%63lips/show.mp3?t={},18",
    "/clips/x/../show.mp3?t={},18",
    "/clips/x/%2e%2E/show.mp3?t={},18",
    "/clips/./show.mp3?t={},18",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_clip_shares_its_entry(edge, tap, fresh, spelling):
    url = fresh()
    spelled = spelling.format(start_of(url))
    assert edge.get(spelled).cache == "MISS"
    again, canonical = edge.get(spelled), edge.get(url)
    assert (again.status, again.cache, canonical.cache) == (200, "HIT", "HIT")
    assert again.body == canonical.body
    assert again.headers["content-location"] == url
    assert again.headers["etag"] == canonical.headers["etag"]
    # One clip came from the slicer. For a spelling that Nginx does not know it said which clip that is, without a body.
    answers = [answer.lower() for _, answer in tap.seen]
    assert sum("content-length: 0" not in answer for answer in answers) == 1
    # It was asked for the path as Nginx understands it: what the key says is what the answer is of.
    assert all(target.startswith("/clips/show.mp3?") for target in tap.targets)


def test_the_whole_file_is_one_clip(edge):
    first, second = edge.get("/clips/show.mp3"), edge.get("/clips/show.mp3?t=0")
    assert (first.cache, second.cache) == ("MISS", "HIT")
    assert first.body == second.body


def test_a_download_is_the_same_entry_under_a_name(edge, fresh):
    url = fresh()
    named = edge.get(f"{url}&download=Minute%20one")
    plain = edge.get(url)
    again = edge.get(f"{url}&download=other", Range="bytes=0-9")
    assert named.headers["content-disposition"] == 'attachment; filename="Minute one.mp3"'
    assert (plain.cache, plain.headers.get("content-disposition")) == ("HIT", None)
    assert (again.status, again.cache) == (206, "HIT")
    assert again.headers["content-disposition"] == 'attachment; filename="other.mp3"'
    assert again.body == plain.body[:10]


@pytest.mark.parametrize(
    "path", ["two%20words.mp3", "50%25.mp3", "wh%3Ft.mp3", "m%C3%BCsli.mp3", "deep/er/show.mp3", "deep%2e/../show.mp3"]
)
def test_odd_names_are_served_and_kept(edge, server, path):
    for target in (f"/clips/{path}?t=1,2", f"/clips/{path}?t=1.0,2"):
        straight = server.get(target)
        one, two = edge.get(target), edge.get(target)
        assert (straight[0], one.status, two.status, two.cache) == (200, 200, 200, "HIT")
        assert one.body == two.body == straight[2]


# ------------------------------------------------------------------------------------------------------------- poisoning


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/clips%2Fshow.mp3?t=1,2", 404),
        ("/clips/deep%2Fer/show.mp3?t=1,2", 404),
        ("/clips/deep%2fer/show.mp3?t=1,2", 404),
        ("/clips/deep%252Fer/show.mp3?t=1,2", 404),
        ("/clips/show.mp3%00?t=1,2", 400),
        ("/clips/show.mp3%3Ft=1,2", 404),
        ("/clips/show.mp3%3Ft=1,2?t=1,2", 404),
        ("/clips/show.mp3?t=1,2 /clips/show.mp3", 400),
        ("/clips/two words.mp3?t=1,2", 400),
        ("/clips/show.mp3?t=1,2%20", 400),
        ("/clips/show.mp3?t=1,2%20/clips/show.mp3", 400),
        ("/../clips/show.mp3?t=1,2", 400),
        ("/clips/../../show.mp3?t=1,2", 400),
        ("/clips/%zz.mp3?t=1,2", 400),
        ("/clips/show.mp3%0d%0aX-Injected:%201?t=1,2", 404),
        ("/clips/show.mp3%20HTTP/1.1%0d%0aX-Injected:%201?t=1,2", 404),
        ("/clips/.hidden.mp3?t=1,2", 404),
        ("/server-status", 404),
        ("/server-status?auto", 404),
        ("/%73erver-status", 404),
        ("//server-status/x", 404),
        ("/x/../server-status", 404),
        ("/.errors/503", 404),
    ],
)
def test_what_is_odd_is_an_error_of_its_own(edge, tap, server, target, status):
    good = "/clips/show.mp3?t=1,2"
    found, fields, body = raw(
        edge.port, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert found == status
    assert fields["content-type"] == "application/problem+json"
    assert json.loads(body)["status"] == status
    assert not any("server-status" in one.lower() or "\nx-injected" in one.lower() for one, _ in tap.seen)
    assert edge.get(good).body == server.get(good)[2]


@pytest.mark.parametrize(
    "fields",
    [
        {"Expect": "the-unexpected"},
        {"Content-Length": "70000"},
        {"Transfer-Encoding": "gzip"},
        {"Host": "a_b|c"},
        {"X-Large": "x" * 8185},
        {"Origin": "x" * 8180},
        {"Origin": "https://" + "x" * 400},
        {"Range": "bytes=5-6"},
        {"Range": "bytes=99999999-"},
        {"If-None-Match": "*"},
        {"If-Match": '"another"'},
        {"X-Sendfile-Type": "none"},
        {"X-Accel-Redirect": "/healthz"},
        {"X-Request-Id": "mine"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Authorization": "Basic eDp5"},
        {"Cookie": "a=b"},
        {"Connection": "close, X-Sendfile-Type"},
        {"Upgrade": "h2c"},
        {"Cache-Control": "no-store"},
        {f"X-Many-{number}": "x" for number in range(150)},
    ],
    ids=lambda fields: "-".join(next(iter(fields.items())))[:40],
)
def test_no_header_of_one_client_spoils_the_clip_of_another(edge, tap, server, fresh, fields):
    url = fresh()
    lines = {"Host": "localhost", "Connection": "close", **fields}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    raw(edge.port, f"GET {url} HTTP/1.1\r\n{head}\r\n".encode())
    answer = edge.get(url)
    assert (answer.status, answer.body) == (200, server.get(url)[2])
    for request, _ in tap.seen:
        names = {line.split(":")[0].lower() for line in request.splitlines()[1:] if line}
        assert names == {"host", "connection", "x-request-id", "x-sendfile-type", "x-slicer-address", "x-slicer-cache"}
        assert "mine" not in request


def test_no_body_reaches_the_slicer(edge, tap):
    answer = edge.get("/library", "POST", body=b"x" * 1000)
    assert (answer.status, answer.cache) == (405, "NONE")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert edge.get("/library", "POST", body=b"x" * 70000).status == 413
    assert [request for request, _ in tap.seen if "content-length" in request.lower() or "xxx" in request] == []


# ----------------------------------------------------------------------------------------------------------- the one fill


def test_fifty_first_requests_make_one_clip(edge, tap, fresh):
    url = fresh()
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: edge.get(url), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sorted(answer.cache for answer in answers) == ["HIT"] * 49 + ["MISS"]
    assert tap.targets == [url]


def test_fifty_requests_in_another_spelling_do_not_wait_for_each_other(edge, tap, fresh):
    url = fresh()
    edge.get(url)
    began = time.monotonic()
    # No more at once than processes of a busy machine have room for.
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: edge.get(url.replace("=", "=npt:")), range(50)))
    assert {answer.cache for answer in answers} == {"HIT"}
    # Behind the lock they would take half a second each, one after another.
    assert time.monotonic() - began < 15


def test_the_others_wait_as_long_as_a_fill_may_take(edge, tap, fresh):
    """Nginx's own defaults let them go to the slicer after 5 s."""
    url = fresh()
    with ThreadPoolExecutor(3) as pool, tap.hold():
        waiting = [pool.submit(edge.get, url) for _ in range(3)]
        time.sleep(6.5)
        assert len(tap.seen) == 1
        tap.release()
        assert sorted(each.result().cache for each in waiting) == ["HIT", "HIT", "MISS"]
    assert tap.targets == [url]


def test_a_fill_that_never_ends_holds_nobody_for_ever(front, tapping, server, fresh):
    """Lock age and timeout are the site's read_timeout: after it, the next one asks, and the first gets 504."""
    tap = tapping(server.port)
    edge = front(site(tap.port, read_timeout=2))
    url = fresh()
    with ThreadPoolExecutor(2) as pool, tap.hold():
        began = time.monotonic()
        first = pool.submit(edge.get, url)
        until(lambda: len(tap.seen) == 1, 30, "the first asks")
        second = pool.submit(edge.get, url)
        until(lambda: len(tap.seen) >= 2, 30, "another asks")
        late = first.result()
        assert time.monotonic() - began < 30
        assert late.status == 504
        assert (late.headers["content-type"], late.headers["retry-after"]) == ("application/problem+json", "2")
        assert json.loads(late.body)["status"] == 504
        tap.release()
        assert second.result().status in {200, 504}
    assert edge.get(url).status == 200


def test_a_fill_goes_on_when_its_client_leaves(edge, tap, fresh):
    url = fresh()
    tap.hold()
    with socket.create_connection(("127.0.0.1", edge.port)) as client:
        client.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: tap.seen, 30, "the slicer is asked")
    time.sleep(0.3)
    tap.release()
    until(lambda: tap.seen[0][1] and tap.open == 0, 30, "the slicer has answered")
    assert edge.get(url).cache == "HIT"
    assert tap.targets == [url]


# ------------------------------------------------------------------------------------------- ranges, HEAD and conditions


def test_a_range_of_a_first_request_fills_the_whole(edge, tap, server, fresh):
    url = fresh()
    whole = server.get(url)[2]
    first = edge.get(url, Range="bytes=100-199")
    assert (first.status, first.cache, first.body) == (206, "MISS", whole[100:200])
    assert first.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert "range" not in tap.seen[0][0].lower()
    for text, part in (("bytes=200-", whole[200:]), ("bytes=-50", whole[-50:]), ("bytes=0-0", whole[:1])):
        answer = edge.get(url, Range=text)
        assert (answer.status, answer.cache, answer.body) == (206, "HIT", part)
    assert (edge.get(url).body, tap.targets) == (whole, [url])


def test_several_ranges_are_answered_with_the_whole(edge, fresh):
    url = fresh()
    for cache in ("MISS", "HIT"):
        answer = edge.get(url, Range="bytes=0-1,5-6")
        assert (answer.status, answer.cache, answer.headers["content-type"]) == (200, cache, "audio/mpeg")


def test_a_range_beyond_the_end_is_a_problem(edge, fresh):
    url = fresh()
    length = len(edge.get(url).body)
    answer = edge.get(url, Range="bytes=99999999-")
    assert (answer.status, answer.headers["content-type"]) == (416, "application/problem+json")
    assert answer.headers["content-range"] == f"bytes */{length}"
    assert json.loads(answer.body)["status"] == 416
    assert "etag" not in answer.headers
    assert len({name for name, _ in answer.fields}) == len(answer.fields)


def test_a_range_holds_for_the_same_clip_only(edge, fresh):
    url = fresh()
    etag = edge.get(url).headers["etag"]
    assert edge.get(url, Range="bytes=0-9", If_Range=etag).status == 206
    assert edge.get(url, Range="bytes=0-9", If_Range='"another"').status == 200


def test_head_fills_and_is_answered_from_the_cache(edge, tap, server, fresh):
    url = fresh()
    before = len(edge.entries())
    first = edge.get(url, "HEAD")
    # It is answered before the clip is stored; on a busy machine, that takes longer than Nginx lets others wait.
    until(lambda: len(edge.entries()) > before, 30, "the clip is stored")
    second, third = edge.get(url, "HEAD"), edge.get(url)
    assert [each.cache for each in (first, second, third)] == ["MISS", "HIT", "HIT"]
    assert first.body == second.body == b""
    assert first.headers["content-length"] == str(len(third.body))
    assert third.body == server.get(url)[2]
    assert len(tap.seen) == 1
    assert edge.get(url.replace("=", "=npt:"), "HEAD").body == b""


def test_conditions_are_answered_from_the_cache(edge, tap, fresh):
    url = fresh()
    whole = edge.get(url)
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    tap.forget()
    for fields in ({"If_None_Match": etag}, {"If_None_Match": f'"x", {etag}'}, {"If_Modified_Since": modified}):
        answer = edge.get(url, **fields)
        assert (answer.status, answer.cache, answer.body) == (304, "HIT", b"")
        assert answer.headers["etag"] == etag
    assert edge.get(url, If_None_Match='"another"').status == 200
    refused = edge.get(url, If_Match='"another"')
    assert (refused.status, refused.headers["cache-control"]) == (412, "no-store")
    assert json.loads(refused.body)["status"] == 412
    assert edge.get(url, If_Match=etag).status == 200
    assert tap.seen == []


# -------------------------------------------------------------------------------------------------------- old and stale


def test_an_old_clip_is_checked_by_its_etag_behind_the_scenes(start, front, tapping, fresh):
    server = start(environ=SHORT)
    tap = tapping(server.port)
    edge = front(site(tap.port))
    url = fresh()
    first = edge.get(url)
    time.sleep(EXPIRED)
    tap.forget()
    tap.hold()
    began = time.monotonic()
    stale = edge.get(url)
    # The slicer answers nothing before the end of the test.
    assert time.monotonic() - began < 5, "it waited for the slicer"
    until(lambda: tap.seen, 30, "the slicer is asked")
    others = [edge.get(url) for _ in range(5)]
    tap.release()
    until(lambda: tap.statuses == [304], 30, "the slicer answers")
    assert (stale.cache, {each.cache for each in others}) == ("STALE", {"UPDATING"})
    assert {each.body for each in (stale, *others)} == {first.body}
    assert f"if-none-match: {first.headers['etag']}" in tap.seen[0][0].lower().replace("if-none-match", "if-none-match")
    until(lambda: edge.get(url).cache == "HIT", 30, "the entry is good again")
    assert tap.statuses == [304]


def test_a_changed_source_comes_after_one_stale_answer(media, start, front, stream):
    shutil.copy(os.path.join(media, "show.mp3"), os.path.join(media, "changing.mp3"))
    server = start(environ=SHORT)
    edge = front(site(server.port))
    url = "/clips/changing.mp3?t=1,3"
    old = edge.get(url)
    shutil.copy(stream("mpeg1-44-joint-vbr2"), os.path.join(media, "changing.new"))
    os.replace(os.path.join(media, "changing.new"), os.path.join(media, "changing.mp3"))
    time.sleep(EXPIRED)
    assert (edge.get(url).cache, edge.get(url).headers["etag"] != "") == ("STALE", True)
    until(lambda: edge.get(url).headers["etag"] != old.headers["etag"], 30, "the new clip is there")
    assert edge.get(url).body == server.get(url)[2] != old.body
    os.unlink(os.path.join(media, "changing.mp3"))
    time.sleep(EXPIRED)
    until(lambda: edge.get(url).status == 404, 30, "the source is gone")


def test_what_is_cached_is_served_while_the_slicer_is_down(start, front, fresh):
    server = start(environ=SHORT)
    edge = front(site(server.port))
    url, other = fresh(), fresh()
    first = edge.get(url)
    server.stop()
    time.sleep(EXPIRED)
    for _ in range(5):
        answer = edge.get(url)
        assert (answer.status, answer.body) == (200, first.body)
        assert answer.cache in {"STALE", "UPDATING"}
    assert edge.get(url, Range="bytes=0-9").status == 206
    for target in (other, "/healthz", "/library", url.replace("=", "=npt:")):
        began = time.monotonic()
        answer = edge.get(target)
        assert time.monotonic() - began < 10
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("2", "no-store")
        assert json.loads(answer.body)["status"] == 503


# ------------------------------------------------------------------------------------------------ what is not kept long


@pytest.mark.parametrize(
    ("target", "status", "reuse"),
    [
        ("/clips/nobody.mp3?t=1,2", 404, 10),
        ("/clips/show.mp3?t=9,8", 400, 60),
        ("/clips/show.mp3?t=500,501", 400, 60),
        ("/info/nobody.mp3", 404, 10),
        ("/library?limit=0", 400, 60),
        ("/renders/nobody.mp3?t=1,2", 404, 10),
        ("/peaks/nobody.json?t=0&pixels=9&bits=8", 404, 10),
        ("/info/show.mp3", 200, 60),
        ("/transcripts/show.vtt?t=1,2", 404, 10),
        ("/chapters/show.json", 404, 10),
        ("/covers/show.mp3", 404, 10),
        ("/openapi.json", 200, 3600),
    ],
)
def test_answers_are_kept_as_long_as_the_slicer_says(edge, tap, target, status, reuse):
    first, second = edge.get(target), edge.get(target)
    # What is no clip is not among clips. Where fills are counted it has a part of its own (tests/attack/test_cache.py).
    kept = status == 200 or target.startswith(("/info/", "/library", "/transcripts/", "/chapters/", "/covers/"))
    assert (first.status, second.status, second.cache) == (status, status, "HIT" if kept else "MISS")
    assert second.headers["cache-control"] == f"public, max-age={reuse}"
    assert first.body == second.body
    # Unless another test has asked for it before.
    assert tap.targets == ([target] * (1 if kept else 2) if first.cache == "MISS" else [])


def test_a_clip_that_is_too_long_is_kept_briefly(long_media, start, front, tapping):
    server = start(folder=long_media, environ={"SLICER_MAX_CLIP_SECONDS": "60"})
    tap = tapping(server.port)
    edge = front(site(tap.port), nginx_client_misses=600, nginx_misses_listen=f"127.0.0.1:{free_port()}")
    assert [edge.get("/clips/long.mp3?t=0,600").status for _ in range(2)] == [413, 413]
    assert len(tap.seen) == 1


def test_what_is_missing_is_looked_for_again(edge, tap, media):
    url = "/clips/coming.mp3?t=1,2"
    assert edge.get(url).status == 404
    shutil.copy(os.path.join(media, "show.mp3"), os.path.join(media, "coming.mp3"))
    time.sleep(10 + EXPIRED)
    until(lambda: edge.get(url).status == 200, 30, "the file is found")


def test_no_refusal_is_kept(start, front, tapping, fresh, no_index):
    server = start(environ={"SLICER_INDEX_SECONDS": "0.2"})
    tap = tapping(server.port)
    edge = front(site(tap.port))
    url = fresh()
    with no_index(server):
        for _ in range(2):
            refused = edge.get(url)
            assert (refused.status, refused.cache, refused.headers["retry-after"]) == (503, "MISS", "2")
            assert json.loads(refused.body)["type"] == "urn:slicer:problem:try-again"
    answer = edge.get(url)
    assert (answer.status, answer.cache) == (200, "MISS")
    assert tap.statuses == [503, 503, 200]


def test_a_refusal_does_not_replace_what_is_cached(media, start, front, no_index):
    """An entry that is too old is served while its slicer says 503, and until it says otherwise."""
    server = start(environ={**SHORT, "SLICER_INDEX_SECONDS": "0.2"})
    edge = front(site(server.port))
    path = os.path.join(media, "again.mp3")
    shutil.copy(os.path.join(media, "show.mp3"), path)
    url = "/clips/again.mp3?t=1,2"
    first = edge.get(url)
    os.utime(path)
    time.sleep(EXPIRED)
    with no_index(server):
        for _ in range(3):
            answer = edge.get(url)
            assert (answer.status, answer.cache, answer.body) == (200, "STALE", first.body)
            time.sleep(0.4)
    until(lambda: edge.get(url).headers["etag"] != first.headers["etag"], 30, "the new one is there")


def test_health_is_never_kept(edge, tap):
    for target in ("/healthz", "/readyz", "/healthz"):
        answer = edge.get(target)
        assert (answer.status, answer.cache, answer.headers["cache-control"]) == (200, "NONE", "no-store")
    assert tap.targets == ["/healthz", "/readyz", "/healthz"]


def test_without_a_cache_everything_is_asked_for(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port, cache_mib=0))
    url = fresh()
    answers = [edge.get(url), edge.get(url), edge.get(url, Range="bytes=0-9"), edge.get(url.replace("=", "=npt:"))]
    assert [each.cache for each in answers] == ["NONE"] * 4
    assert [each.status for each in answers] == [200, 200, 206, 200]
    assert answers[0].body == answers[1].body == answers[3].body
    assert edge.entries() == []


# ------------------------------------------------------------------------------------------------ what is cut short


def cut_short(edge, tap, url, how):
    """Ask for a large clip and break its making when 1 MiB of it has passed; the bytes that came, and those promised."""
    tap.hold_answers(1 << 20)
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=60)
    connection.request("GET", url)
    answer = connection.getresponse()
    assert answer.status == 200
    until(lambda: tap.seen and tap.seen[-1][1], 30, "the slicer answers")
    how()
    tap.release()
    got = b""
    with contextlib.suppress(http.client.IncompleteRead, ConnectionResetError):
        while block := answer.read(1 << 16):
            got += block
    connection.close()
    return len(got), int(answer.headers["content-length"])


@pytest.mark.parametrize("what", ["kill", "truncate"])
def test_nothing_cut_short_is_kept(long_media, start, front, tapping, what):
    path = os.path.join(long_media, f"{what}.mp3")
    shutil.copy(os.path.join(long_media, "long.mp3"), path)
    server = start(folder=long_media)
    tap = tapping(server.port)
    edge = front(site(tap.port))
    url = f"/clips/{what}.mp3?t=0,2800"

    def kill():
        for pid in server.daemons("clips"):
            os.kill(pid, signal.SIGKILL)

    def truncate():
        os.truncate(path, 20_000_000)

    got, promised = cut_short(edge, tap, url, {"kill": kill, "truncate": truncate}[what])
    assert 0 < got < promised
    assert edge.entries() == []
    shutil.copy(os.path.join(long_media, "long.mp3"), path)
    until(lambda: server.daemons("clips"), 30, "the daemons are back")
    whole = edge.get(url)
    assert (whole.status, whole.cache, len(whole.body)) == (200, "MISS", promised)
    assert edge.get(url).cache == "HIT"


def test_what_has_no_length_is_not_kept(edge, tap, server, fresh):
    """Nobody could tell whether it was cut short."""
    url = fresh()
    tap.endless = True
    try:
        first = edge.get(url)
    finally:
        tap.endless = False
    assert (first.status, first.body) == (200, server.get(url)[2])
    assert [edge.get(url).cache for _ in range(2)] == ["MISS", "HIT"]
