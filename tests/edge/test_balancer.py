"""The load balancers of docs/networks.md, in front of slicers without an edge."""

import contextlib
import http.client
import os
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from support.edge import NGINX, ROOT, Tap
from support.server import Server, folder, free_port, until

HAPROXY = "/usr/sbin/haproxy"
#: The test's own, and HAProxy's.
CHECKS = ("/healthz", "/readyz")
ADDRESSES = ("10.0.0.21:8000", "10.0.0.22:8000")
Answer = tuple[int, dict[str, str], bytes]


def ask(port: int, target: str, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", target, headers={name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def nginx_of(text: str, work: str) -> tuple[str, list[str]]:
    """The whole of a configuration, and the command that runs it from a file of the folder."""
    paths = "".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    whole = f"pid {work}/pid; error_log stderr; events {{}} http {{ access_log off; {paths}\n{text} }}\n"
    return whole, [NGINX, "-e", "stderr", "-g", "daemon off;", "-c"]


def haproxy_of(text: str, work: str) -> tuple[str, list[str]]:
    """The same of HAProxy, in the foreground."""
    return text, [HAPROXY, "-db", "-f"]


#: How each balancer is run, and where it listens in the page's text.
KINDS = {"nginx": (nginx_of, "listen 80;", "listen {};"), "haproxy": (haproxy_of, "bind :80\n", "bind {}\n")}


@contextlib.contextmanager
def balancer_of(kind: str, *ports: int) -> Iterator[int]:
    """A balancer with the page's own text, in front of these ports; its port."""
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    configured, listening, elsewhere = KINDS[kind]
    work, port = folder(), free_port()
    assert all(text.count(address) == 1 for address in ADDRESSES)
    for address, each in zip(ADDRESSES, ports, strict=True):
        text = text.replace(address, f"127.0.0.1:{each}")
    assert text.count(listening) == 1
    text = text.replace(listening, elsewhere.format(f"127.0.0.1:{port}"))
    whole, command = configured(text, work)
    path = os.path.join(work, "balancer.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(whole)
    process = subprocess.Popen([*command, path], stdin=subprocess.DEVNULL)
    try:

        def listens() -> bool:
            assert process.poll() is None
            with contextlib.suppress(OSError):
                return ask(port, "/healthz")[0] == 200
            return False

        until(listens, 60, "the balancer answers")
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(params=sorted(KINDS))
def balanced(
    tapping: Callable[[int], Tap], server: Server, request: pytest.FixtureRequest
) -> Iterator[tuple[int, Tap, Tap]]:
    one, two = tapping(server.port), tapping(server.port)
    with balancer_of(request.param, one.port, two.port) as port:
        yield port, one, two


def test_clients_get_what_slicers_send(balanced: tuple[int, Tap, Tap], server: Server) -> None:
    port, one, two = balanced
    target = "/clips/show.mp3?t=1,2"
    status, headers, body = ask(port, target)
    assert (status, body) == (200, server.get(target)[2])
    assert ask(port, target, Range="bytes=0-9")[::2] == (206, body[:10])
    assert ask(port, target, If_None_Match=headers["etag"])[0] == 304
    # One slicer for a file; the other one where that is lost.
    asked = [[each for each in tap.targets if each.startswith("/clips/")] for tap in (one, two)]
    assert sorted(map(len, asked)) == [0, 3]
    (one if asked[0] else two).close()
    assert ask(port, target)[::2] == (200, body)


def test_slicers_believe_nothing_that_clients_say(balanced: tuple[int, Tap, Tap], server: Server) -> None:
    port, one, two = balanced
    said = {"X_Slicer_Address": "192.0.2.9", "X_Sendfile_Type": "X-Accel-Redirect", "X_Slicer_Checks": "1"}
    said |= {"X_Slicer_Signature": "1 a b", "X_Slicer_Hold": "nchan", "X_Slicer_Cache": "stale", "X_Slicer_Client": "x"}
    answer = ask(port, "/clips/show.mp3?t=npt:1,2", **said, Traceparent=f"00-{'1' * 32}-{'2' * 16}-01")
    assert answer[::2] == (200, server.get("/clips/show.mp3?t=1,2")[2])
    (head,) = (request for request, _ in one.seen + two.seen if " /clips/" in request)
    own = re.findall(r"^(x-slicer-\S+|x-sendfile-type|traceparent): *(.*?)\r?$", head, re.MULTILINE | re.IGNORECASE)
    assert [(name.lower(), value) for name, value in own] == [("x-slicer-address", "127.0.0.1")]


@pytest.mark.parametrize(
    "path", ["/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/x/%2e%2e/metrics", "/server-status?auto"]
)
def test_numbers_are_not_for_clients(balanced: tuple[int, Tap, Tap], path: str) -> None:
    port, one, two = balanced
    assert ask(port, path, Host="127.0.0.1")[0] == 404
    assert not [target for target in one.targets + two.targets if target not in CHECKS]


def test_haproxy_asks_no_slicer_that_is_not_ready(tapping: Callable[[int], Tap], server: Server) -> None:
    one, two = tapping(server.port), tapping(server.port)
    with balancer_of("haproxy", one.port, two.port) as port:
        until(lambda: all("/readyz" in tap.targets for tap in (one, two)), 30, "both are checked")
        assert not _unasked(port, one, two)
        # Anything else would be answered.
        one.only = "/readyz"
        with one.hold():
            until(lambda: _unasked(port, one, two), 60, "the other one is left alone")
            assert ask(port, "/clips/show.mp3?t=1,2")[0] == 200
        until(lambda: not _unasked(port, one, two), 60, "it is asked again")


def _unasked(port: int, one: Tap, two: Tap) -> bool:
    """Return whether files that are spread over both are asked of the second alone."""
    for tap in (one, two):
        tap.forget()
    for number in range(16):
        ask(port, f"/info/no-{number}.mp3")
    assert any(target.startswith("/info/") for target in two.targets)
    return not any(target.startswith("/info/") for target in one.targets)


def test_no_name_that_only_looks_like_a_field_is_passed(balanced: tuple[int, Tap, Tap]) -> None:
    """Another server might take an underscore for a dash; Nginx drops such fields, too."""
    port, one, two = balanced
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/clips/show.mp3?t=1,2", headers={"X_Slicer_Address": "192.0.2.9"})
        assert connection.getresponse().status == 200
    (head,) = (request for request, _ in one.seen + two.seen if " /clips/" in request)
    assert "192.0.2.9" not in head
