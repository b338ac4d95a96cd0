"""Fixtures: a Redis that tests share, media, and places where jobs are asked for and done."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import streams
from support.jobs import Authority, Broker, Place, place_of
from support.server import folder


@pytest.fixture(scope="session")
def media() -> Iterator[str]:
    """show.mp3, 20 s; hour.mp3, an hour."""
    path = folder()
    shutil.copy(streams.make("mpeg1-44-stereo-cbr128", path, seconds=20), os.path.join(path, "show.mp3"))
    streams.long_file(os.path.join(path, "hour.mp3"), minutes=60)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    """Where the run user of servers and workers reads its certificate: any pytest that starts closes pytest's own folders."""
    place = folder()
    yield Authority(place)
    shutil.rmtree(place)


@pytest.fixture
def at(media: str) -> Iterator[Callable[..., Place]]:
    """at(broker, SETTING=…) is a place of this test's own."""
    with contextlib.ExitStack() as stack:
        yield lambda broker, **settings: stack.enter_context(place_of(media, broker, **settings))


@pytest.fixture
def place(at: Callable[..., Any], broker: Broker) -> Place:
    return at(broker)
