"""Fixtures: a server with some streams, Chromium, and pages that are watched for what they must not do."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import Watched, chromium
from support.server import Server, folder, serving

#: Milliseconds. Machines that test are slow and busy.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def media(stream: Callable[[str], str]) -> Iterator[str]:
    """A media folder with a file called show.mp3, one with a difficult name, and enough others for several pages."""
    path = folder()
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), Path(path, "show.mp3"))
    odd = Path(path, "talks & news")
    odd.mkdir(mode=0o755)
    shutil.copy(stream("mpeg2-22-joint-cbr64"), odd / "50% größer+1.mp3")
    for number in range(150):
        Path(path, f"tape {number:03}.mp3").symlink_to("show.mp3")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def server(media: str) -> Iterator[Server]:
    """The server that the tests share."""
    with serving(media, "--cpus", "1") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """visit(hash, **options of the context) opens the page. At the end of the test it must have nothing to complain about."""
    opened: list[Watched] = []

    def begin(fragment: str = "", *, url: str = server.url, **options: Any) -> Page:
        context = browser.new_context(accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE)
        watched = Watched(context, url)
        opened.append(watched)
        watched.page.goto(f"{url}/{fragment}")
        return watched.page

    yield begin
    complaints = [complaint for watched in opened for complaint in watched.complaints]
    for watched in opened:
        watched.context.close()
    assert complaints == []
