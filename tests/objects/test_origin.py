"""Media behind a plain web server (Nginx with TLS): no list, clips as from a folder, and a field that lets requests in."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cutting import cut_bytes, index_of, span_of
from support.server import Server, folder, free_port, publish, serving, until
from support.store import connects

CONF = """
daemon off;
pid {work}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {work}/chain.pem;
        ssl_certificate_key {work}/key.pem;
        root {work}/media;
        location /shows/ {{ if ($http_authorization != "Bearer let-me-in") {{ return 403; }} }}
        location /shows/moved/ {{ return 302 /shows/; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def origin(cbr: str) -> Iterator[tuple[str, str]]:
    """A web server with one file: its URL, and its folder."""
    work, port = folder(), free_port()
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=origin"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{work}/key.pem", "-out", f"{work}/chain.pem"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    os.makedirs(f"{work}/media/shows")
    publish(Path(cbr).read_bytes(), f"{work}/media/shows/a b#.mp3")
    publish(b"Authorization: Bearer let-me-in\n", f"{work}/header")
    publish(CONF.format(work=work, port=port).encode(), f"{work}/nginx.conf")
    os.chmod(f"{work}/chain.pem", 0o644)
    process = subprocess.Popen(["nginx", "-c", f"{work}/nginx.conf", "-e", "stderr"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: connects(port), 30, "the origin listens")
        yield f"https://127.0.0.1:{port}/shows/", work
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def server(origin: tuple[str, str]) -> Iterator[Server]:
    url, work = origin
    more = {"SLICER_OBJECTS_CA": f"{work}/chain.pem", "SLICER_OBJECTS_HEADER": f"{work}/header"}
    with serving(url, "--cpus", "1", environ=more) as running:
        yield running


def test_clips_are_those_of_a_folder(server: Server, cbr: str) -> None:
    want = cut_bytes(cbr, span_of(index_of(cbr), 3, 13))[1]
    assert server.get("/clips/a%20b%23.mp3?t=3,13")[::2] == (200, want)
    assert server.get("/clips/a%20b%23.mp3?t=3,13", Range="bytes=-9")[::2] == (206, want[-9:])
    assert server.get("/info/a%20b%23.mp3")[0] == 200


def test_what_an_origin_has_not(server: Server) -> None:
    assert server.get("/clips/none.mp3?t=3,13")[0] == 404
    assert server.get("/library")[0] == 403
    status, headers, _ = server.get("/clips/moved/a.mp3?t=3,13")
    assert (status, "location" in headers) == (503, False)
    said = "moved/a.mp3: the store answers 302: redirects are not followed"
    until(lambda: said in server.log(), 30, "the log tells why")


def test_a_replaced_file_is_noticed(server: Server, origin: tuple[str, str], stream) -> None:
    path = f"{origin[1]}/media/shows/swap.mp3"
    for kind in ("mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg1-44-stereo-cbr128"):
        publish(Path(stream(kind)).read_bytes(), path)
        assert (
            server.get("/clips/swap.mp3?t=3,13")[2]
            == cut_bytes(stream(kind), span_of(index_of(stream(kind)), 3, 13))[1]
        )


def test_an_unknown_certificate_is_refused(origin: tuple[str, str]) -> None:
    with serving(origin[0], "--cpus", "1", environ={"SLICER_OBJECTS_HEADER": f"{origin[1]}/header"}) as running:
        assert running.get("/clips/a%20b%23.mp3?t=3,13")[0] == 503
        until(lambda: "the store cannot be reached" in running.log(), 30, "the log tells why: " + running.log())
        assert "let-me-in" not in running.log()
