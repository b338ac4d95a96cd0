"""Fixtures: one server for every test that only asks, and a factory for tests that break things."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server, folder, serving


@pytest.fixture(scope="session")
def media() -> Iterator[str]:
    """A media folder that Apache's run user can read; tests may put files into it. It is not empty, for that is a disk that is away."""
    path = folder()
    Path(path, "about.txt").write_text("What tests put here.", encoding="ascii")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def server(media: str) -> Iterator[Server]:
    """The server that tests share: ask it, do not break it."""
    with serving(media) as running:
        yield running
