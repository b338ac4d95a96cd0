"""A door with another spelling: what is for operators alone is at one URL of a slicer, and at none of an edge."""

import contextlib
import pathlib
import re
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from mp3_slicer.settings import Settings
from mp3_slicer.web.app import Slicer
from support.edge import Edge, Tap, site
from support.server import Server, raw

#: Apache's own page, which Slicer's routes do not know.
APACHES = ["/server-status"]


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Slicer:
    place = tmp_path_factory.mktemp("application")
    return Slicer(Settings(media=str(place), index_dir=str(place / "index")))


def internal(application: Slicer) -> list[str]:
    """The paths that no client is to reach."""
    found = [route.path for route in application.routes.table if route.is_internal]
    assert "/metrics" in found
    return found + APACHES


def spellings(path: str) -> Iterator[str]:
    """Request targets that one server or another may take for a path."""
    name = path[1:]
    tails = ["", "/", "//", "/.", "/..", "/x", "/x/..", "/x/../", "/;", ";", ";x=y", ".", "%20", "%09", "%0a", "%0d%0a"]
    tails += [
        "%2f",
        "%2F",
        "%5c",
        "\\",
        "?",
        "?auto",
        "?/",
        "&",
        "%3f",
        "%23",
        "*",
        ",",
        "~",
        ".json",
        "%c0%af",
        "%252f",
    ]
    tails += ["/./", "/%2e", "/%2e/", "/%2e%2e/" + name]
    heads = ["/", "//", "///", "/./", "/x/../", "/x/%2e%2e/", "/%2e/", "/.;/", "/;/", "/x;/../", "/clips/../", "/.//"]
    heads += ["/clips/x/../../", "/healthz/../", "/library/../", "/%2f", "/%2F", "/%5c", "/\\", "/clips/..%2f"]
    heads += ["/studio/..%2f", "/studio/../", "/jobs/x/../../", "/.errors/../", "/.open/../"]
    first, last = (f"%{ord(letter):02x}" for letter in (name[0], name[-1]))
    names = [name, name.upper(), name.capitalize(), name.swapcase(), first + name[1:], name[:-1] + last.upper()]
    names += ["".join(f"%{ord(letter):02x}" for letter in name), first.replace("%", "%25") + name[1:]]
    names.append(name.replace("s", "\N{LATIN SMALL LETTER LONG S}"))
    for each in names:
        for tail in tails:
            yield "/" + each + tail
        for head in heads:
            yield head + each
    for head in heads:
        for tail in ("/", "//", ";", "%2f", "/."):
            yield head + name + tail


def requests(path: str, host: str) -> Iterator[bytes]:
    """Whole requests for all spellings of a path, in each form that HTTP has."""
    for number, target in enumerate(spellings(path)):
        method = ("GET", "HEAD", "POST")[number % 17 if number % 17 < 3 else 0]
        lines = [f"{method} {target} HTTP/1.1"]
        if number % 5 == 0:
            lines.append(f"GET http://{host}{target} HTTP/1.1")
            lines.append(f"GET http://127.0.0.1{target} HTTP/1.1")
        for line in lines:
            yield f"{line}\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def asked(edge: Edge, request: bytes, host: str, tls: bool) -> bytes:
    """All that comes back."""
    data = b""
    with socket.create_connection(("127.0.0.1", edge.tls_port if tls else edge.port), timeout=30) as plain:
        connection = ssl._create_unverified_context().wrap_socket(plain, server_hostname=host) if tls else plain
        with contextlib.closing(connection), contextlib.suppress(ConnectionResetError):
            connection.sendall(request)
            while block := connection.recv(65536):
                data += block
    return data


def assert_shut(edge: Edge, request: bytes, host: str, tls: bool) -> None:
    data = asked(edge, request, host, tls)
    status = int(data.split(b" ", 2)[1])
    if status == 200:
        # The path is that of the page, spelled oddly.
        assert b"\r\nContent-Type: text/html; charset=utf-8\r\n" in data, (host, request)
    else:
        # 301: plain HTTP of a TLS site. 400: a path that no server takes. 405: POST of the page.
        assert status in {301, 400, 404, 405}, (host, request)
    assert b"slicer_requests" not in data, (host, request)
    assert b"Scoreboard" not in data, (host, request)


@pytest.mark.parametrize(
    ("host", "tls"), [("plain.test", False), ("signed.test", False), ("tls.test", True), ("tls.test", False), ("nobody.test", False)]
)  # fmt: skip
def test_no_spelling_leads_through_the_edge_to_what_is_internal(
    edge: Edge, application: Slicer, host: str, tls: bool
) -> None:
    for path in internal(application):
        for request in requests(path, host):
            assert_shut(edge, request, host, tls)


def test_nor_does_any_at_a_site_for_all_hosts(front: Callable[..., Edge], server: Server, application: Slicer) -> None:
    everybody = front(site(server.port))
    for path in internal(application):
        for request in requests(path, "127.0.0.1"):
            assert_shut(everybody, request, "127.0.0.1", False)


def test_a_slicer_knows_each_internal_path_in_one_spelling(application: Slicer) -> None:
    """Its own decoding of the path has been done by Apache: what it sees is what it means."""
    for path in internal(application):
        if path in APACHES:
            continue
        found = application.routes.find(path)
        assert found is not None
        assert found[0].routes["GET"].is_internal
        for spelled in (
            path + "/",
            path + "//",
            "/" + path,
            path.upper(),
            path + ";",
            path + "\n",
            path + " ",
            path + "/.",
        ):
            assert application.routes.find(spelled) is None


def test_a_slicer_itself_answers_one_spelling(server: Server) -> None:
    """Whatever Apache makes of a path before."""
    assert server.get("/metrics")[0] == 200
    for tail in ("/", "//", "/.", "/x", ";", "%20", "%0a"):
        assert server.get("/metrics" + tail)[0] == 404, tail


def test_the_edge_knows_each_route_as_public_or_not_at_all(edge: Edge, application: Slicer) -> None:
    """A route that is new is 404 there until somebody says that it is public; and all that are public are there."""
    text = pathlib.Path(edge.conf).read_text(encoding="utf-8").split("site plain\n")[1].split("===")[0]
    found = re.findall(r"^ *location ((?:= |\^~ )?/[^ ]*) \{\n((?:.*\n)*?)^        \}$", text, re.MULTILINE)
    public = {where for where, body in found if "proxy_pass" in body}
    refused = {where for where, body in found if "proxy_pass" not in body}
    wanted = set()
    for route in application.routes.table:
        if route.is_internal:
            assert f"^~ {route.path}" in refused
            continue
        fixed, parameter, _ = route.path.partition("<")
        wanted.add(fixed if parameter else f"= {fixed}")
    assert public == wanted
    assert "/" in refused


def test_what_the_edge_does_not_know_never_reaches_a_slicer(
    front: Callable[..., Edge], tapping: Callable[[int], Tap], server: Server
) -> None:
    tap = tapping(server.port)
    edge = front(site(tap.port))
    for target in (
        "/nothing",
        "/.well-known/x",
        "/metricsx",
        "/library/",
        "/clips",
        "/jobs.",
        "/openapi.json/",
        "/healthz/",
    ):
        assert edge.get(target).status == 404, target
    assert tap.seen == []
    assert raw(edge.port, b"GET /library HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200
