"""Fixtures: each store that speaks S3, and one server of it, for every test that only asks."""

from collections.abc import Iterator, Mapping

import pytest

from support import swift
from support.server import Server, serving
from support.store import SeaweedFS, Store, stored


@pytest.fixture(scope="session", params=[SeaweedFS, pytest.param(swift.Swift, marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store that tests share, of each kind in turn: put objects into it, do not break it."""
    reason = swift.missing() if request.param is swift.Swift else ""
    if reason:
        pytest.skip(reason)
    with stored(kind=request.param) as running:
        yield running


@pytest.fixture(scope="session")
def server(store: Store) -> Iterator[Server]:
    """The server that tests share: ask it, do not break it."""
    with serving(store.media, environ=store.environ) as running:
        yield running


@pytest.fixture
def reader(store: Store) -> Mapping[str, str]:
    """The variables of a slicer that may read and not write."""
    if store.reader is None:
        pytest.skip(f"no credentials for reading alone are set up in {type(store).__name__}")
    return store.reader
