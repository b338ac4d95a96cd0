"""Fixtures: two slicers, one of them with signed folders, and one Nginx with a plain, a signed and a TLS site in front of them."""

import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slicer.signing import Key, signed_url
from support import streams
from support.edge import Edge, Tap, edge_of, site, tapped
from support.jobs import Broker, broker_of
from support.server import Server, folder, serving

KEY = Key("main", bytes(range(32)))


@pytest.fixture(scope="session")
def media(stream: Callable[[str], str]) -> Iterator[str]:
    """show.mp3 and deep/er/show.mp3, 20 s; hour.mp3, an hour."""
    path = folder()
    for name in ("show.mp3", "deep/er/show.mp3"):
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(path, name))
    with open(streams.make("mpeg1-44-untagged-cbr128", path, seconds=60), "rb") as minute:
        data = minute.read()
    with open(os.path.join(path, "hour.mp3"), "wb") as file:
        file.writelines(data for _ in range(60))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def keys() -> Iterator[str]:
    """The file with KEY."""
    place = folder()
    path = os.path.join(place, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{KEY.name} {KEY.secret.hex()}\n")
    os.chmod(path, 0o600)
    if os.geteuid() == 0:
        shutil.chown(path, "www-data", "www-data")
    yield path
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def server(media: str) -> Iterator[Server]:
    """A slicer whose media are for everybody; Apache's own page is on."""
    with serving(media, "--status") as running:
        yield running


@pytest.fixture(scope="session")
def members(media: str, keys: str) -> Iterator[Server]:
    """A slicer whose folder /deep needs signatures."""
    with serving(media, environ={"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/deep"}) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate for localhost, signed by itself."""
    place = tmp_path_factory.mktemp("tls")
    key, chain = place / "key.pem", place / "chain.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return {"tls_certificate": str(chain), "tls_certificate_key": str(key)}


@pytest.fixture(scope="session")
def edge(server: Server, members: Server, certificate: dict[str, str]) -> Iterator[Edge]:
    """The Nginx that tests share: ask it, do not break it. No site is for any host."""
    sites = [
        site(server.port, "plain", server_names=["plain.test"]),
        site(members.port, "signed", server_names=["signed.test"], signed=True),
        site(server.port, "tls", server_names=["tls.test"], **certificate),
    ]
    with edge_of(sites) as running:
        yield running


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The Redis that tests share."""
    with broker_of() as running:
        yield running


@pytest.fixture
def front() -> Iterator[Callable[..., Edge]]:
    """front(site, …) starts another Nginx."""
    with contextlib.ExitStack() as stack:
        yield lambda *sites, **variables: stack.enter_context(edge_of(sites, **variables))


@pytest.fixture
def start(media: str) -> Iterator[Callable[..., Server]]:
    """start(*options) starts another slicer."""
    with contextlib.ExitStack() as stack:
        yield lambda *options, folder=media, **more: stack.enter_context(serving(folder, *options, **more))


@pytest.fixture
def tapping() -> Iterator[Callable[[int], Tap]]:
    """tapping(port) puts a tap in front of a slicer."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(tapped(port))


@pytest.fixture(scope="session")
def _spans() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def fresh(_spans: Iterator[int]) -> Callable[[], str]:
    """The canonical URL of a clip that no test has asked for."""
    return lambda: f"/clips/show.mp3?t=3.{next(_spans):07d}1,18"


@pytest.fixture
def secret(_spans: Iterator[int]) -> Callable[[], str]:
    """The canonical URL of a clip that needs a signature, and that no test has asked for."""
    return lambda: f"/clips/deep/er/show.mp3?t=4.{next(_spans):07d}1,18"


@pytest.fixture
def sign() -> Callable[..., str]:
    """sign(url, seconds) is the URL with a signature that is right for so long."""

    def signed(url: str, seconds: int = 600, **more: Any) -> str:
        path, _, query = url.partition("?")
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]
        return signed_url(path.encode(), [*pairs, *more.items()], KEY, int(time.time()) + seconds)

    return signed
