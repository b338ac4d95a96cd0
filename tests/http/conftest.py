"""Fixtures: one server of a folder and one of a bucket for every test that only asks, and a factory for tests that break things."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server, folder, serving
from support.store import Store, stored

#: Bytes above which a file is not put into the bucket: no test of both reads one.
_MOST_BYTES = 20 << 20


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


@pytest.fixture(scope="session")
def bucket() -> Iterator[tuple[Store, Server]]:
    """A store, and the server of its bucket that tests share."""
    with stored() as store, serving(store.media, environ=store.environ) as running:
        yield store, running


@pytest.fixture(scope="module")
def filled(place: str | Path) -> str | Path:
    """The part of the media folder that a file's tests have filled. Files that fill it in further fixtures override this."""
    return place


@pytest.fixture(scope="module", params=["folder", "bucket"])
def either(request: pytest.FixtureRequest, server: Server, media: str, filled: str | Path) -> Server:
    """A server to ask only: of the folder, then of a bucket with the same files."""
    if request.param == "folder":
        return server
    store, running = request.getfixturevalue("bucket")
    put_all(store, media, Path(filled))
    return running


def put_all(store: Store, media: str, place: Path) -> None:
    """Put the files of a part of a media folder into a store, under the same paths; of links, pipes and large files none."""
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MOST_BYTES:
            store.put(str(path.relative_to(media)), path.read_bytes())
