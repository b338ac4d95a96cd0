"""What one client can do to the others: many fills, slow reading, odd framing, paths that two servers may read differently."""

import contextlib
import json
import pathlib
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.edge import site
from support.server import free_port, raw, until


def misses(front, tap, rate=6, burst=3, **more):
    """An Nginx that counts fills: so many a minute, and so many at once."""
    variables = {"nginx_client_misses": rate, "nginx_client_misses_burst": burst}
    return front(site(tap.port), nginx_misses_listen=f"127.0.0.1:{free_port()}", **variables, **more)


def assert_refused(answer):
    assert (answer.status, answer.headers["content-type"]) == (429, "application/problem+json")
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("2", "no-store")
    assert json.loads(answer.body)["status"] == 429
    names = [name for name, _ in answer.fields]
    assert len(names) == len(set(names)), names


def test_fills_are_counted_and_hits_are_not(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = misses(front, tap)
    kept = fresh()
    assert (edge.get(kept).status, edge.get(kept).cache) == (200, "HIT")
    answers = [edge.get(fresh()) for _ in range(8)]
    # One, and three more at once: the first of four was `kept`.
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 5
    for answer in answers[3:]:
        assert_refused(answer)
    assert len(tap.seen) == 4
    # What is there is there, for as many as ask and in every spelling.
    for _ in range(50):
        assert edge.get(kept).cache == "HIT"
    again = edge.get(kept.replace("t=", "t=npt:"))
    assert (again.status, again.cache) == (200, "HIT")
    assert edge.get(kept + "&download=x", Range="bytes=0-9").status == 206
    # Nor is anything else refused.
    assert edge.get("/library").status == edge.get("/readyz").status == edge.get("/info/show.mp3").status == 200


def test_a_refused_fill_is_made_once_there_is_room(front, tapping, server, fresh):
    edge = misses(front, tapping(server.port), rate=60, burst=1)
    for _ in range(2):
        assert edge.get(fresh()).status == 200
    url = fresh()
    assert_refused(edge.get(url))
    until(lambda: edge.get(url).status == 200, 30, "a second later there is room")
    assert edge.get(url).cache == "HIT"


def test_each_client_is_counted_by_itself(front, tapping, server, fresh):
    """Where a proxy in front is trusted, by whom it names; nobody else is believed."""
    edge = misses(front, tapping(server.port), burst=1, nginx_trusted_proxies=["127.0.0.0/8"])
    for client in ("192.0.2.1", "192.0.2.2"):
        assert [edge.get(fresh(), X_Forwarded_For=client).status for _ in range(3)] == [200, 200, 429]
    strict = misses(front, tapping(server.port), burst=1)
    named = [strict.get(fresh(), X_Forwarded_For=f"192.0.2.{number}").status for number in range(4)]
    assert named == [200, 200, 429, 429]
    assert [strict.get(fresh(), X_Slicer_Client=f"192.0.2.{number}").status for number in range(2)] == [429, 429]


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1", "2001:db8:1:3:3:4:5:6"),
        ("2001:db8::1", "2001:db8::ffff:0:1", "2001:db9::1"),
        ("2001:db8:1::1", "2001:db8:1::7:8:9:a", "2001:db8:1:1::1"),
        ("2001:db8::1", "2001:db8:0:0:1::", "2001:db8:0:1::"),
        ("2001::1", "2001::2", "2002::1"),
        ("::1", "::1", "::2"),
    ],
)
def test_a_client_is_an_address_or_a_network(front, tapping, server, fresh, first, same, other):
    """Whoever has an IPv6 address has the 2^64 of its network."""
    edge = misses(front, tapping(server.port), burst=1, nginx_trusted_proxies=["127.0.0.0/8"])
    named = [edge.get(fresh(), X_Forwarded_For=client).status for client in (first, same, same, other)]
    assert named == [200, 200, 429, 200]


def test_counted_fills_are_what_others_are(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = misses(front, tap, rate=6000, burst=100)
    url = fresh()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: edge.get(url), range(20)))
    assert {answer.body for answer in answers} == {server.get(url)[2]}
    assert len(tap.seen) == 1
    for target in (
        "/clips/wh%3Ft.mp3?t=1,2",
        "/clips/50%25.mp3?t=1,2",
        "/clips/m%C3%BCsli.mp3?t=1,2",
        "/clips/two%20words.mp3?t=1,2",
    ):
        assert edge.get(target).body == server.get(target)[2]
        assert edge.get(target).cache == "HIT"
    rendered = edge.get("/renders/show.wav?t=1,2&gain=-3")
    assert (rendered.status, edge.get("/renders/show.wav?t=1,2&gain=-3").cache) == (200, "HIT")
    assert edge.get("/renders/show.wav?gain=-3.0&t=1,2").cache == "HIT"
    missing = edge.get("/clips/nothing.mp3?t=1,2")
    assert (missing.status, missing.headers["cache-control"]) == (404, "public, max-age=10")
    names = [name for name, _ in rendered.fields]
    assert len(names) == len(set(names)), names
    tap.close()
    away = edge.get(fresh())
    assert (away.status, away.headers["retry-after"]) == (503, "2")
    assert edge.get(url).cache == "HIT"


def test_where_fills_are_counted_is_for_this_machine_only(front, tapping, server):
    edge = misses(front, tapping(server.port))
    config = pathlib.Path(edge.conf).read_text(encoding="utf-8")
    (inner,) = [part for part in config.split("server {") if "limit_req zone" in part]
    assert "allow 127.0.0.0/8;" in inner
    assert "deny all;" in inner
    port = int(inner.partition("listen 127.0.0.1:")[2].partition(";")[0])
    # Its own answers are for Nginx: what they say of other places is not done there.
    found = raw(port, b"GET /.errors/429 HTTP/1.1\r\nHost: main\r\nConnection: close\r\n\r\n")
    assert found[0] == 404


# ------------------------------------------------------------------------------------------------------------ slow clients


def test_slow_readers_hold_no_thread_of_a_daemon(start, front, long_media, fresh):
    """More of them than all daemons have threads, each in the middle of 46 MB: the next client waits for nobody."""
    shutil.copy(pathlib.Path(long_media, "long.mp3"), pathlib.Path(long_media, "show.mp3"))
    server = start(folder=long_media)
    edge = front(site(server.port))
    with contextlib.ExitStack() as stack:
        for number in range(16):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", edge.port))
            client.sendall(f"GET /clips/long.mp3?t=0.{number + 1:02d}1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.recv(12) == b"HTTP/1.1 200"
        # Nginx has taken all of it from Slicer: nobody is connected there any more.
        until(lambda: not connected(server.port), 60, "Nginx has taken all of it")
        began = time.monotonic()
        assert edge.get("/clips/show.mp3?t=1,2").status == 200
        assert time.monotonic() - began < 20


def connected(port):
    """Connections that somebody has to a port of this machine, by the kernel's table."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return [each for each in fields if each[2].endswith(f":{port:04X}") and each[3] == "01"]


def test_slow_headers_end_after_their_time_and_reach_nobody(edge, tap):
    """Ten seconds from the first byte on, however the bytes come."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", edge.port), timeout=30) as client:
        client.sendall(b"GET /library HTTP/1.1\r\nHost: localhost\r\n")
        data = b""  # what is closed by a reset has none either
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 25:
                client.settimeout(1)
                try:
                    data = client.recv(4096)
                    break
                except TimeoutError:
                    client.sendall(b"X-Slow: 1\r\n")
    assert 8 < time.monotonic() - began < 25
    assert data == b"" or data.startswith(b"HTTP/1.1 408")
    assert tap.seen == []


def test_a_request_line_and_fields_have_bounds_in_both_servers(edge, server):
    for port in (edge.port, server.port):
        assert raw(port, b"GET /library?prefix=" + b"x" * 8300 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 414
        assert raw(port, b"GET /library HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 8300 + b"\r\n\r\n")[0] in {
            400,
            431,
        }
        many = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 300) for number in range(200))
        assert raw(port, b"GET /library HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n")[0] in {400, 431}


# --------------------------------------------------------------------------------------------------------------- smuggling

#: What would be a request of its own to a server that thinks the first one over.
HIDDEN = "GET /info/smuggled.mp3 HTTP/1.1\r\nHost: localhost\r\nX-Smuggled: yes\r\n\r\n"
CHUNKED = f"{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"


def fields(*lines):
    return "".join(f"{line}\r\n" for line in lines)


FRAMINGS = {
    "content-length-and-chunked": fields("Content-Length: 6", "Transfer-Encoding: chunked") + "\r\n0\r\n\r\n" + HIDDEN,
    "chunked-and-content-length": fields("Transfer-Encoding: chunked", "Content-Length: 4") + "\r\n" + CHUNKED,
    "two-lengths": fields("Content-Length: 0", f"Content-Length: {len(HIDDEN)}") + "\r\n" + HIDDEN,
    "two-lengths-in-one": fields(f"Content-Length: 0, {len(HIDDEN)}") + "\r\n" + HIDDEN,
    "the-same-length-twice": fields("Content-Length: 0", "Content-Length: 0") + "\r\n" + HIDDEN,
    "length-with-a-sign": fields("Content-Length: +0") + "\r\n" + HIDDEN,
    "length-in-hexadecimal": fields("Content-Length: 0x0") + "\r\n" + HIDDEN,
    "negative-length": fields("Content-Length: -1") + "\r\n" + HIDDEN,
    "length-with-a-space-before-the-colon": fields("Content-Length : 0") + "\r\n" + HIDDEN,
    "chunked-with-a-space-before-the-colon": fields("Transfer-Encoding : chunked", "Content-Length: 0")
    + "\r\n"
    + CHUNKED,
    "chunked-twice": fields("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "\r\n0\r\n\r\n" + HIDDEN,
    "chunked-and-identity": fields("Transfer-Encoding: chunked, identity") + "\r\n0\r\n\r\n" + HIDDEN,
    "unknown-coding": fields("Transfer-Encoding: xchunked", "Content-Length: 0") + "\r\n" + CHUNKED,
    "chunked-with-a-tab": fields("Transfer-Encoding:\tchunked") + "\r\n0\r\n\r\n" + HIDDEN,
    "chunked-after-a-vertical-tab": fields("Transfer-Encoding: \x0bchunked") + "\r\n" + CHUNKED,
    "chunked-folded": fields("Transfer-Encoding:", " chunked", "Content-Length: 0") + "\r\n" + CHUNKED,
    "length-folded": fields("X: 1", f" Content-Length: {len(HIDDEN)}") + "\r\n" + HIDDEN,
    "bare-line-feeds": fields("X: 1\nTransfer-Encoding: chunked") + "\r\n0\r\n\r\n" + HIDDEN,
    "bare-carriage-return": fields("X: 1\rContent-Length: 5") + "\r\n" + HIDDEN,
    "end-by-line-feed": "\n" + HIDDEN,
    "nul-in-a-field": fields("X: 1\x00", "Content-Length: 0") + "\r\n" + HIDDEN,
    "chunk-size-with-an-extension": fields("Transfer-Encoding: chunked") + '\r\n0;x="\r\n\r\n' + HIDDEN + '"\r\n\r\n',
    "chunk-size-that-wraps": fields("Transfer-Encoding: chunked") + "\r\n10000000000000000\r\n" + HIDDEN,
    "chunk-size-with-a-sign": fields("Transfer-Encoding: chunked") + f"\r\n+{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n",
    "trailers": fields("Transfer-Encoding: chunked", "Trailer: Content-Length")
    + f"\r\n0\r\nContent-Length: {len(HIDDEN)}\r\nX-Sendfile-Type: none\r\n\r\n"
    + HIDDEN,
    "upgrade": fields("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    + "\r\n"
    + HIDDEN,
    "body-of-a-get": fields(f"Content-Length: {len(HIDDEN)}") + "\r\n" + HIDDEN,
    "expect": fields("Expect: 100-continue", f"Content-Length: {len(HIDDEN)}") + "\r\n" + HIDDEN,
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_whatever_is_in_a_body_is_no_request_to_slicer(edge, tap, server, fresh, method, framing):
    """Each request that the slicer gets is one that Nginx made, on a connection of its own, without a body and without framing."""
    url = fresh()
    raw(
        edge.port,
        f"{method} {url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{FRAMINGS[framing]}".encode("latin-1"),
    )
    for request, answer in tap.seen:
        assert "x-smuggled" not in request.lower()
        assert "transfer-encoding" not in request.lower()
        assert "content-length" not in request.lower()
        assert "upgrade" not in request.lower()
        assert "connection: close" in request.lower()
        assert request.endswith("\r\n\r\n")
        assert request.count("HTTP/1.1\r\n") == 1
        assert answer
    # Nor does it come out of the cache as the answer to somebody else.
    answer = edge.get(url)
    assert (answer.status, answer.body) == (200, server.get(url)[2])


@pytest.mark.parametrize("framing", FRAMINGS)
def test_behind_each_odd_framing_a_connection_that_stays_is_answered_right_or_closed(edge, tap, framing):
    """What follows on the same connection is answered as itself; an answer too many would be somebody else's."""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=5) as client:
        client.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{FRAMINGS[framing]}".encode("latin-1"))
        with contextlib.suppress(OSError):
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = b""
        with contextlib.suppress(OSError):
            while block := client.recv(65536):
                data += block
    # Nginx may take what hides for a second request of this client, which is as if the client had sent it so. The slicer may not.
    for request, _ in tap.seen:
        assert request.count("HTTP/1.1\r\n") == 1
        assert "x-smuggled" not in request.lower()
    assert data.count(b"HTTP/1.1 ") <= 4


@pytest.mark.parametrize("framing", FRAMINGS)
def test_apache_alone_closes_after_each(server, framing):
    """Who reaches it past Nginx, or a proxy of another make, finds no connection that stays: there is never a second request on one."""
    request = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{FRAMINGS[framing]}".encode("latin-1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        with contextlib.suppress(OSError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        data = b""
        with contextlib.suppress(OSError):
            while block := client.recv(65536):
                data += block
    assert data.count(b"HTTP/1.1 ") - data.count(b"HTTP/1.1 100 ") <= 1
    assert b"smuggled" not in data


def test_two_bodies_of_jobs_in_one_connection_stay_two(edge, tap):
    """The one place where a body is passed on: its length is what Nginx counted."""
    body = b'{"request": "/renders/show.wav?t=1,2"}' + HIDDEN.encode()
    for head in ("Transfer-Encoding: chunked\r\n", f"Content-Length: {len(body)}\r\n"):
        sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if "chunked" in head else body
        raw(
            edge.port,
            f"POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n{head}\r\n".encode()
            + sent,
        )
    assert len(tap.seen) == 2
    for request, _ in tap.seen:
        assert request.startswith("POST /jobs HTTP/1.1\r\n")
        assert request.lower().count(f"content-length: {len(body)}\r\n") == 1
        assert "transfer-encoding" not in request.lower().partition("\r\n\r\n")[0]


# ------------------------------------------------------------------------------------------------------------------- paths

PATHS = [
    "/clips/%2e%2e/%2e%2e/etc/passwd",
    "/clips/..%2f..%2fetc/passwd",
    "/clips/%252e%252e/show.mp3",
    "/clips/%c0%ae%c0%ae/show.mp3",
    "/clips/..;/show.mp3",
    "/clips/..%5c..%5cshow.mp3",
    "/clips/..\\show.mp3",
    "/clips/show.mp3/",
    "/clips/show.mp3/..;/x",
    "/clips/show.mp3%0a",
    "/clips/show.mp3%00.mp3",
    "/clips/show.mp3;a=b",
    "/clips/show.mp3%23",
    "/clips/%2fetc/passwd",
    "/clips/etc/passwd",
    "/clips//etc/passwd",
    "/clips/~root/x.mp3",
    "/clips/%7eroot/x.mp3",
    "/clips/.index/x.mp3",
    "/.%2e/%2e./etc/passwd",
    "/%2e%2e/wsgi/slicer.wsgi",
    "/handler.wsgi",
    "/httpd.conf",
    "/.errors/503.json",
    "/errors/503.json",
    "/server-status/",
    "/server-info",
    "/cgi-bin/test",
    "/icons/",
    "*",
    "//[::1]/clips",
    "/" + "a/" * 2000,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_no_path_means_another_thing_to_one_of_the_two(edge, server, path):
    for port in (edge.port, server.port):
        for request in (f"GET {path} HTTP/1.1", f"GET {path}?t=1,2 HTTP/1.1"):
            found, headers, body = raw(
                port, f"{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1")
            )
            assert found in {400, 403, 404, 405, 414}, (port, request)
            assert headers["content-type"] == "application/problem+json"
            assert json.loads(body)["status"] == found


def test_another_host_in_the_request_line_changes_nothing(edge, server, fresh):
    url = fresh()
    found, headers, _ = raw(
        edge.port, f"GET http://elsewhere.test{url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert (found, headers["x-cache-status"]) == (200, "MISS")
    assert edge.get(url).cache == "HIT"
    assert edge.get(url).body == server.get(url)[2]
