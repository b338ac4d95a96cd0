"""Certificates from an ACME server while Nginx runs: the first one, a renewal, and files that do not fit."""

import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest

from support.edge import Edge, site
from support.server import folder, free_port, until

NAME = "clips.example.test"


@pytest.fixture
def authority(certificate: dict[str, str]) -> Iterator[tuple[str, int]]:
    """The URL of an ACME server for tests, and the port at which it looks for the answers to its challenges."""
    programs = [shutil.which(each) for each in ("certbot", "pebble", "pebble-challtestsrv")]
    if None in programs:
        pytest.skip("an ACME client or server is missing: apt-get install --no-install-recommends certbot pebble")
    port, dns, http = free_port(), free_port(), free_port()
    work = folder()
    settings = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": certificate["tls_certificate"],
        "privateKey": certificate["tls_certificate_key"],
        "httpPort": http,
        "tlsPort": free_port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    path = pathlib.Path(work, "pebble.json")
    path.write_text(json.dumps({"pebble": settings}))
    names = ["pebble-challtestsrv", "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1", "-dns01", f"127.0.0.1:{dns}"]
    others = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}"]
    output = open(os.path.join(work, "log"), "wb")  # noqa: SIM115 - closed at the end
    running = [
        # Only pebble-challtestsrv knows a name that is nobody's; the server waits some seconds before each look unless told otherwise.
        subprocess.Popen([*names, *others], stdout=output, stderr=output),
        subprocess.Popen(
            ["pebble", "-config", str(path), "-dnsserver", f"127.0.0.1:{dns}"],
            env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
            stdout=output,
            stderr=output,
        ),
    ]
    try:
        until(lambda: b"Listening on" in pathlib.Path(work, "log").read_bytes(), 60, "the ACME server listens")
        yield f"https://localhost:{port}/dir", http
    finally:
        for each in running:
            each.terminate()
            each.wait(30)
        output.close()


def shown(edge: Edge) -> str:
    """The certificate that a client gets (PEM)."""
    return ssl.get_server_certificate(("127.0.0.1", edge.tls_port))


def test_certificates_are_got_and_renewed_without_a_failed_request(front, server, authority, fresh):
    directory, port = authority
    work = folder()
    live = f"{work}/live/{NAME}"
    files = {"tls_certificate": f"{live}/fullchain.pem", "tls_certificate_key": f"{live}/privkey.pem"}
    edge = front(site(server.port, server_names=["_", NAME], **files), nginx_http_listen=[f"127.0.0.1:{port}"])
    first = shown(edge)
    url = fresh()
    failed, count, ended = [], [0], threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                assert edge.get(url, tls=True, Host=NAME).status == 200
            except Exception as error:
                failed.append(error)
            count[0] += 1

    client = threading.Thread(target=ask)
    client.start()
    try:
        places = ["--config-dir", work, "--work-dir", f"{work}/work", "--logs-dir", f"{work}/logs", "--no-verify-ssl"]
        common = [*places, "--non-interactive", "--agree-tos", "--server", directory]
        certbot = [
            *("certbot", "certonly", "--webroot", "--webroot-path", f"{edge.work}/acme", "--domain", NAME),
            *("--register-unsafely-without-email", "--deploy-hook", f"sh {edge.certificates}", *common),
        ]
        done = subprocess.run(certbot, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + edge.errors()
        until(lambda: shown(edge) != first, 30, "Nginx has the authority's certificate")
        second = shown(edge)
        assert second in pathlib.Path(files["tls_certificate"]).read_text()
        # The next one is due after months, unless it is forced. It calls the same hook by itself.
        renewal = ["certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew", *places, "--non-interactive"]
        done = subprocess.run(renewal, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + edge.errors()
        until(lambda: shown(edge) not in (first, second), 30, "Nginx has the renewed certificate")
        before = count[0]
        until(lambda: count[0] > before + 5, 30, "requests go on")
    finally:
        ended.set()
        client.join(120)
    assert failed == []
    assert count[0] > 10


@pytest.mark.parametrize("others", [{}, {"tls_certificate": "/nowhere.pem", "tls_certificate_key": "/nowhere.key"}])
def test_challenges_are_answered_for_every_host_of_port_80(front, server, others):
    edge = front(site(server.port, server_names=["one.test"], **others))
    place = pathlib.Path(edge.work, "acme/.well-known/acme-challenge")
    place.mkdir(parents=True)
    (place / "token").write_text("answer")
    for host in ("one.test", "unknown.test"):
        for name, expected in (
            ("token", (200, "text/plain", b"answer")),
            ("none", (404, "application/problem+json", None)),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=60)
            connection.request("GET", f"/.well-known/acme-challenge/{name}", headers={"Host": host})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            assert (answer.status, answer.headers["Content-Type"]) == expected[:2]
            assert expected[2] in (None, body)


def test_files_that_do_not_fit_change_nothing(front, server, certificate, tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    edge = front(
        site(server.port, server_names=["_", "one.test"], tls_certificate=str(chain), tls_certificate_key=str(key))
    )
    before = shown(edge)

    def call() -> tuple[int, str]:
        done = subprocess.run(["sh", edge.certificates], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr

    shutil.copy(certificate["tls_certificate"], chain)
    assert call() == (
        1,
        f"slicer-certificates: site main: {key} is missing, and the other of both files is there\n",
    )
    another = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out"
    subprocess.run([*another.split(), key], check=True, capture_output=True)
    assert call() == (1, f"slicer-certificates: site main: {key} is not the key of {chain}\n")
    key.write_text("no key")
    assert "holds no key" in call()[1]
    assert shown(edge) == before
    shutil.copy(certificate["tls_certificate_key"], key)
    status, said = call()
    # It is for localhost: Nginx takes it, browsers do not.
    assert (status, f"slicer-certificates: site main: {chain} is not for one.test\n" in said) == (0, True), said
    until(lambda: shown(edge) != before, 30, "Nginx has the certificate")
