"""Fixtures: two slicers, one of them with signed folders, and one Nginx with a plain, a signed and a TLS site in front of them."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mp3_slicer.signing import Key, signed_url
from support import streams
from support.edge import Edge, edge_of, site
from support.fixtures import key_file
from support.server import Server, folder, serving

KEY = Key("main", bytes(range(32)))


@pytest.fixture(scope="session")
def media(stream: Callable[[str], str]) -> Iterator[str]:
    """show.mp3 and deep/er/show.mp3, 20 s; hour.mp3, an hour."""
    path = folder()
    for name in ("show.mp3", "deep/er/show.mp3"):
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(path, name))
    streams.long_file(os.path.join(path, "hour.mp3"), minutes=60)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def keys() -> Iterator[str]:
    """The file with KEY."""
    with key_file(KEY) as path:
        yield path


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
def edge(server: Server, members: Server, certificate: dict[str, str]) -> Iterator[Edge]:
    """The Nginx that tests share: ask it, do not break it. No site is for any host."""
    sites = [
        site(server.port, "plain", server_names=["plain.test"]),
        site(members.port, "signed", server_names=["signed.test"], signed=True),
        site(server.port, "tls", server_names=["tls.test"], **certificate),
    ]
    with edge_of(sites) as running:
        yield running


@pytest.fixture
def secret(spans: Iterator[int]) -> Callable[[], str]:
    """The canonical URL of a clip that needs a signature, and that no test has asked for."""
    return lambda: f"/clips/deep/er/show.mp3?t=4.{next(spans):07d}1,18"


@pytest.fixture
def sign() -> Callable[..., str]:
    """sign(url, seconds) is the URL with a signature that is right for so long."""

    def signed(url: str, seconds: int = 600, **more: Any) -> str:
        path, _, query = url.partition("?")
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]
        return signed_url(path.encode(), [*pairs, *more.items()], KEY, int(time.time()) + seconds)

    return signed
