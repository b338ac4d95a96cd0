"""Fixtures: a server with some streams, Chromium, and pages that are watched for what they must not do."""

import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import Watched, chromium
from support.server import Server, folder, serving
from unit.tags.test_tags import chapter, frame, tag

#: Milliseconds. Machines that test are slow and busy.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
VTT = "WEBVTT\n\n" + "\n\n".join(
    f"00:{second:02}.000 --> 00:{second + 2:02}.000\n<v {'Ann' if second % 4 else 'Bob'}>{text}"
    for second, text in [
        (2, "Good morning to you"),
        (4, "and <i>welcome</i> to the harbour"),
        (8, "The harbour at night"),
    ]
)


def png(width: int, height: int) -> bytes:
    """A grey picture."""
    rows = (b"\0" + bytes(width)) * height
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    made = b"\x89PNG\r\n\x1a\n"
    for name, data in (*chunks, (b"IEND", b"")):
        made += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return made


@pytest.fixture(scope="session")
def archive(stream: Callable[[str], str]) -> Iterator[Server]:
    """A server with a catalogue: of show.mp3 with a transcript, and talk.mp3 with a title, a cover and chapters."""
    media, index = folder(), folder()
    os.chmod(index, 0o777)
    data = Path(stream("mpeg1-44-stereo-cbr128")).read_bytes()
    named = tag(
        frame(b"TIT2", b"\3The Old <Lighthouse>") + chapter(b"a", 0, 5000, "Start") + chapter(b"b", 5000, 9000, "End")
    )
    Path(media, "show.mp3").write_bytes(data)
    Path(media, "talk.mp3").write_bytes(named + data)
    Path(media, "talk.png").write_bytes(png(2, 3))
    Path(media, "show.vtt").write_text(VTT, encoding="utf-8")
    environ = {"SLICER_INDEX_DIR": index}
    command = [sys.executable, "-m", "mp3_slicer", "index", media, "--jobs", "1"]
    subprocess.run(command, env=os.environ | environ, check=True, capture_output=True, timeout=300)
    with serving(media, "--cpus", "1", environ=environ) as running:
        yield running
    shutil.rmtree(media, ignore_errors=True)
    shutil.rmtree(index, ignore_errors=True)


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
