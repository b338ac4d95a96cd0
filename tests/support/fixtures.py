"""Fixtures that several folders of tests use, each once in a run of pytest. tests/conftest.py has pytest load them.

A folder's own conftest.py says what `media` and `server` are there.
"""

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from mp3_slicer.signing import Key
from support.edge import Edge, Tap, edge_of, tapped
from support.jobs import Broker, broker_of
from support.server import Server, folder, serving


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The Redis that tests share: do not break it."""
    with broker_of() as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate for localhost, signed by itself."""
    place = tmp_path_factory.mktemp("tls")
    key, chain = place / "key.pem", place / "chain.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return {"tls_certificate": str(chain), "tls_certificate_key": str(key)}


@pytest.fixture
def start(media: str) -> Iterator[Callable[..., Server]]:
    """start(*options) starts another slicer, as for one CPU: fewer processes start sooner. All are stopped at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *options, folder=media, **more: stack.enter_context(
            serving(folder, "--cpus", "1", *options, **more)
        )


@pytest.fixture
def front() -> Iterator[Callable[..., Edge]]:
    """front(site, …) starts another Nginx."""
    with contextlib.ExitStack() as stack:
        yield lambda *sites, **variables: stack.enter_context(edge_of(sites, **variables))


@pytest.fixture
def tapping() -> Iterator[Callable[[int], Tap]]:
    """tapping(port) puts a tap in front of a port."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(tapped(port))


@pytest.fixture(scope="session")
def spans() -> Iterator[int]:
    """Numbers that no test had before."""
    return itertools.count(1)


@pytest.fixture
def fresh(spans: Iterator[int]) -> Callable[[], str]:
    """The canonical URL of a clip that no test has asked for."""
    return lambda: f"/clips/show.mp3?t=3.{next(spans):07d}1,18"


@contextlib.contextmanager
def key_file(*keys: Key) -> Iterator[str]:
    """A file with these keys, which the run user can read, until the end of the block."""
    place = folder()
    path = os.path.join(place, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f"{key.name} {key.secret.hex()}\n" for key in keys)
    os.chmod(path, 0o600)
    if os.geteuid() == 0:
        shutil.chown(path, "www-data", "www-data")
    try:
        yield path
    finally:
        shutil.rmtree(place)
