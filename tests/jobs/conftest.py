"""Fixtures: a Redis that tests share, media, and places where jobs are asked for and done."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import streams
from support.jobs import Broker, Place, broker_of, place_of
from support.server import folder


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The Redis that tests share: do not break it."""
    with broker_of() as running:
        yield running


@pytest.fixture(scope="session")
def media() -> Iterator[str]:
    """show.mp3, 20 s; hour.mp3, an hour."""
    path = folder()
    shutil.copy(streams.make("mpeg1-44-stereo-cbr128", path, seconds=20), os.path.join(path, "show.mp3"))
    with open(streams.make("mpeg1-44-untagged-cbr128", path, seconds=60), "rb") as minute:
        data = minute.read()
    with open(os.path.join(path, "hour.mp3"), "wb") as file:
        file.writelines(data for _ in range(60))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def at(media: str) -> Iterator[Callable[..., Place]]:
    """at(broker, SETTING=…) is a place of this test's own."""
    with contextlib.ExitStack() as stack:
        yield lambda broker, **settings: stack.enter_context(place_of(media, broker, **settings))


@pytest.fixture
def place(at: Callable[..., Any], broker: Broker) -> Place:
    return at(broker)
