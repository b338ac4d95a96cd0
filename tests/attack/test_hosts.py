"""Hosts and addresses that a client makes up: no site answers for another, and nobody is believed to be this machine."""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from support.edge import Edge, Tap, site
from support.server import Server, free_port, raw

#: What a client may say of itself.
CLAIMS = ("127.0.0.1", "::1", "10.0.0.1", "127.0.0.1, 127.0.0.1")


def handshake(edge: Edge, name: str | None) -> bytes:
    """The certificate that is shown to who names a host, or none, in the handshake. Raises ssl.SSLError."""
    with (
        socket.create_connection(("127.0.0.1", edge.tls_port), timeout=30) as plain,
        ssl._create_unverified_context().wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True) or b""


def test_over_tls_nobody_is_shown_a_site_that_it_did_not_name(edge: Edge) -> None:
    assert handshake(edge, "tls.test")
    for name in ("other.test", "plain.test", "127.0.0.1", None):
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            handshake(edge, name)


def test_who_names_one_site_and_asks_another_gets_neither(edge: Edge) -> None:
    with (
        socket.create_connection(("127.0.0.1", edge.tls_port), timeout=30) as plain,
        ssl._create_unverified_context().wrap_socket(plain, server_hostname="tls.test") as wrapped,
    ):
        wrapped.sendall(b"GET /library HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
        data = b""
        while block := wrapped.recv(65536):
            data += block
    assert data.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in data


def location(edge: Edge, host: str, line: str = "GET /library HTTP/1.1") -> str | None:
    status, fields, _ = raw(edge.port, f"{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert (status == 301) == ("location" in fields)
    assert status in {301, 404}
    return fields.get("location")


def test_nobody_is_sent_to_a_host_that_the_configuration_does_not_know(
    front: Callable[..., Edge], edge: Edge, server: Server, certificate: dict[str, str]
) -> None:
    assert location(edge, "tls.test") == "https://tls.test/library"
    assert location(edge, "evil.test") is None
    named = front(site(server.port, server_names=["_", "*.wild.test", "one.test", "two.test"], **certificate))
    for host, target in (("two.test", "two.test"), ("a.wild.test", "a.wild.test"), ("evil.test", "one.test")):
        assert location(named, host) == f"https://{target}/library"
    assert location(named, "one.test", "GET http://evil.test/library HTTP/1.1") == "https://one.test/library"
    nameless = front(site(server.port, server_names=["_"], **certificate))
    assert location(nameless, "evil.test") is None
    assert nameless.get("/library", tls=True).status == 200


def ask(port: int, target: str, method: str = "GET", **fields: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, target, headers={name.replace("_", "-"): value for name, value in fields.items()})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def servers_of(text: str) -> list[str]:
    """The server blocks of a configuration."""
    return re.findall(r"^    server \{\n(.*?)^    \}$", text, re.MULTILINE | re.DOTALL)


def test_only_servers_for_clients_believe_a_proxy(
    front: Callable[..., Edge], server: Server, certificate: dict[str, Any]
) -> None:
    """Everything in front of all servers is for clients; the rest look at who is connected. This machine is, as far as they see."""
    edge = front(
        site(server.port, server_names=["plain.test"]),
        site(server.port, "tls-site", server_names=["tls.test"], **certificate),
        nginx_trusted_proxies=["127.0.0.0/8"],
        nginx_metrics_from=["192.0.2.0/24"],
        nginx_client_misses=600,
        nginx_misses_listen=f"127.0.0.1:{free_port()}",
    )
    # From an address that is allowed, whoever it says that it is: were it believed, it would be refused.
    for port, target in ((edge.metrics_port, "/main/1"), (edge.status_port, "/status")):
        assert ask(port, target) == 200
        for claim in (*CLAIMS, "192.0.2.77", "198.51.100.1"):
            assert ask(port, target, X_Forwarded_For=claim) == 200, (port, claim)
    with open(edge.conf, encoding="utf-8") as file:
        text = file.read()
    assert "set_real_ip_from" not in re.sub(r"^    server \{\n.*?^    \}$", "", text, flags=re.MULTILINE | re.DOTALL)
    for block in servers_of(text):
        guarded, believing = "deny all;" in block, "set_real_ip_from" in block
        assert not (guarded and believing)
        assert believing == ("access_log" in block)


def test_each_server_that_is_not_for_clients_is_for_this_machine(
    front: Callable[..., Edge], server: Server, tmp_path: Any
) -> None:
    edge = front(
        site(server.port, server_names=["plain.test"]),
        nginx_client_misses=600,
        nginx_misses_listen=f"127.0.0.1:{free_port()}",
    )
    with open(edge.conf, encoding="utf-8") as file:
        blocks = servers_of(file.read())
    own = [block for block in blocks if f":{edge.port}" not in block]
    assert len(own) == 3
    for block in own:
        assert re.search(r"allow 127\.0\.0\.0/8;\n\s+allow ::1;\n(?:\s+allow .*\n)*\s+deny all;", block), block
    answer = edge.get("/library", Host="nobody.test")
    assert (answer.status, json.loads(answer.body)["status"]) == (404, 404)


#: Fields in which Nginx tells Slicer something; what a client says in them is not passed on.
OWN_FIELDS = [
    *(
        "X-Slicer-Address",
        "X-Slicer-Client",
        "X-Slicer-Checks",
        "X-Slicer-Signature",
        "X-Slicer-Cache",
        "X-Slicer-Hold",
    ),
    *("X-Sendfile-Type", "X-Request-Id", "X-Forwarded-For", "X-Real-IP", "Forwarded"),
]
FORGED = "192.0.2.99"
#: A target for each location that passes requests on.
PASSED_ON = [
    *(
        "/clips/show.mp3?t=1,2",
        "/clips/show.mp3",
        "/renders/show.wav?t=1,2",
        "/peaks/show.json?t=1,2",
        "/info/show.mp3",
    ),
    *("/library", "/", "/studio/main.js", "/openapi.json", "/healthz", "/readyz"),
    *("/jobs", f"/jobs/{'0' * 40}", f"/jobs/{'0' * 40}/wait", f"/jobs/{'0' * 40}/events"),
]


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_nobody_tells_a_slicer_who_asks_but_the_edge(
    front: Callable[..., Edge],
    members: Server,
    tapping: Callable[[int], Tap],
    secret: Callable[[], str],
    sign: Callable[..., str],
    signed: bool,
    limited: bool,
) -> None:
    """Also where a request goes on inside of Nginx: to its own server that counts fills, and behind the check of signatures."""
    tap = tapping(members.port)
    limits = {"nginx_client_misses": 600, "nginx_misses_listen": f"127.0.0.1:{free_port()}"} if limited else {}
    edge = front(site(tap.port, signed=signed), **limits)
    forged = {name.replace("-", "_"): FORGED for name in OWN_FIELDS}
    for target in [*PASSED_ON, sign(secret())]:
        tap.forget()
        edge.get(target, "POST" if target == "/jobs" else "GET", **forged)
        assert tap.seen, target
        for request, _ in tap.seen:
            fields = dict(line.lower().split(": ", 1) for line in request.split("\r\n")[1:] if ": " in line)
            assert fields["x-slicer-address"] == "127.0.0.1", request
            assert FORGED not in request, request
