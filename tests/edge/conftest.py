"""Fixtures: a slicer, a tap and an Nginx that tests share, and factories for tests that break things."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import streams
from support.edge import Edge, Tap, edge_of, site, tapped
from support.server import Server, folder, serving


@pytest.fixture(scope="session")
def media(stream: Callable[[str], str]) -> Iterator[str]:
    """A media folder: show.mp3, 20 s; and what needs care in a path."""
    path = folder()
    for name in ("show.mp3", "two words.mp3", "50%.mp3", "wh?t.mp3", "müsli.mp3", "deep/er/show.mp3"):
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(path, name))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def long_media() -> Iterator[str]:
    """A media folder with long.mp3: 48 minutes, 46 MB, more than all buffers between a daemon and Nginx hold."""
    path = folder()
    streams.long_file(os.path.join(path, "long.mp3"), minutes=48)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def server(media: str) -> Iterator[Server]:
    """The slicer that tests share."""
    with serving(media) as running:
        yield running


@pytest.fixture(scope="session")
def _shared(server: Server) -> Iterator[tuple[Tap, Edge]]:
    with tapped(server.port) as tap, edge_of([site(tap.port)]) as edge:
        yield tap, edge


@pytest.fixture
def tap(_shared: tuple[Tap, Edge]) -> Iterator[Tap]:
    """Sees what the shared Nginx asks of the shared slicer; begins empty in each test."""
    _shared[0].forget()
    yield _shared[0]
    _shared[0].release()


@pytest.fixture
def edge(_shared: tuple[Tap, Edge]) -> Edge:
    """The Nginx that tests share: ask it, do not break it."""
    return _shared[1]


@pytest.fixture
def start(media: str) -> Iterator[Callable[..., Server]]:
    """start(*options) starts another slicer, of one CPU; all of them are stopped at the end of the test."""
    with contextlib.ExitStack() as stack:

        def begin(*options: str, folder: str = media, **kwargs: Any) -> Server:
            # Each process more is half a second of CPU.
            return stack.enter_context(serving(folder, "--cpus", "1", *options, **kwargs))

        yield begin


@pytest.fixture
def no_index() -> Callable[[Server], contextlib.AbstractContextManager[None]]:
    """no_index(server) keeps a slicer from making an index, as another process that makes it would."""

    @contextlib.contextmanager
    def held(server: Server) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for number in range(64):
                file = stack.enter_context(open(os.path.join(server.work, "index", "locks", f"{number:02d}"), "w"))
                os.fchmod(file.fileno(), 0o666)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    return held


@pytest.fixture(scope="session")
def promtool() -> str:
    """Comes with the distribution's package prometheus."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool here: apt-get install --no-install-recommends prometheus")
    return found
