"""Debian's Chromium for tests and benchmarks, driven by Playwright's core, which brings no browser of its own here."""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FIREFOX = shutil.which("firefox-esr") or "/usr/bin/firefox-esr"
#: Root may not use Chromium's sandbox, and small machines have a small /dev/shm. Sound goes nowhere.
_ARGUMENTS = ("--disable-dev-shm-usage", "--mute-audio", *(("--no-sandbox",) if os.geteuid() == 0 else ()))
#: The options of a context like a common phone: Playwright's "Pixel 7".
PHONE: dict[str, Any] = {
    "viewport": {"width": 412, "height": 839},
    "device_scale_factor": 2.625,
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36",
}


@contextlib.contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """A headless Chromium that is closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and what it did that it must not: errors, violations of its policy, requests to other hosts."""

    def __init__(self, context: BrowserContext, server: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self._hear)
        context.on("request", lambda request: self._asked(request.url, server))

    def _hear(self, message: Any) -> None:
        # Refusals that a test provokes are told on the console too.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, url: str, server: str) -> None:
        self.requests.append(url.removeprefix(server))
        if not url.startswith(server + "/"):
            self.complaints.append(f"asked another host: {url}")


@functools.cache
def axe() -> str:
    """The source of axe-core, of the version that package-lock.json names, where `make` has put it."""
    return pathlib.Path(sys.prefix, "node", "node_modules", "axe-core", "axe.min.js").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------- what the page shows


def drawn(page: Page) -> None:
    """Wait until the file is open and its waveform there, and the spans' layer can be dragged on."""
    expect(page.locator("#desk")).to_be_visible()
    expect(page.locator("#wave-state")).to_have_text("")
    expect(page.locator("#wave > div")).to_be_attached()


def settled(page: Page) -> None:
    """Wait until the page has drawn what was done."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def written(page: Page, pattern: str) -> re.Match[str]:
    """Wait until the page's URL matches, which it does soon after the page has changed."""
    expect(page).to_have_url(re.compile(pattern))
    found = re.search(pattern, page.url)
    assert found
    return found


def span_of(page: Page, rate: int) -> tuple[int, int]:
    """First sample, and the one behind the last, of the clip whose URL the page shows once it has drawn what was done."""
    settled(page)
    text = re.search(r"[?&]t=([\d.]+),([\d.]+)", unquote(page.locator("#out-url").input_value()))
    assert text
    # Halves up, in decimals: as the API has it.
    first, last = (int((_nanoseconds(one) * rate * 2 + 10**9) // (2 * 10**9)) for one in text.groups())
    return first, last


def drag(page: Page, start: float, end: float) -> None:
    """Drag over the waveform, from one part of its width to another."""
    box = page.locator("#wave").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * start, box["y"] + 60)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(box["x"] + box["width"] * (start + (end - start) * step / 10), box["y"] + 60)
    page.mouse.up()


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))
