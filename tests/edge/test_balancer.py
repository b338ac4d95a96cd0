"""The load balancer of docs/networks.md, in front of slicers without an edge."""

import contextlib
import http.client
import os
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from support.edge import NGINX, ROOT, Tap
from support.server import Server, folder, free_port, until

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


@contextlib.contextmanager
def balancer_of(*ports: int) -> Iterator[int]:
    """Nginx with the page's own text, in front of these ports; its port."""
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```nginx\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    work, port = folder(), free_port()
    assert all(text.count(address) == 1 for address in ADDRESSES)
    for address, each in zip(ADDRESSES, ports, strict=True):
        text = text.replace(address, f"127.0.0.1:{each}")
    assert text.count("listen 80;") == 1
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    paths = "".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    path = os.path.join(work, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"pid {work}/pid; error_log stderr; events {{}} http {{ access_log off; {paths}\n{text} }}\n")
    process = subprocess.Popen([NGINX, "-e", "stderr", "-c", path, "-g", "daemon off;"], stdin=subprocess.DEVNULL)
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


@pytest.fixture
def balanced(tapping: Callable[[int], Tap], server: Server) -> Iterator[tuple[int, Tap, Tap]]:
    one, two = tapping(server.port), tapping(server.port)
    with balancer_of(one.port, two.port) as port:
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


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/server-status?auto"])
def test_numbers_are_not_for_clients(balanced: tuple[int, Tap, Tap], path: str) -> None:
    port, one, two = balanced
    assert ask(port, path, Host="127.0.0.1")[0] == 404
    assert not [target for target in one.targets + two.targets if target != "/healthz"]
