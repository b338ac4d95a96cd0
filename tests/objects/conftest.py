"""Fixtures: one store, and one server of it, for every test that only asks."""

from collections.abc import Iterator

import pytest

from support.server import Server, serving
from support.store import Store, stored


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    """The store that tests share: put objects into it, do not break it."""
    with stored() as running:
        yield running


@pytest.fixture(scope="session")
def server(store: Store) -> Iterator[Server]:
    """The server that tests share: ask it, do not break it."""
    with serving(store.media, environ=store.environ) as running:
        yield running
