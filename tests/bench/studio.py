"""`make bench-studio`: how soon the studio page can be used, what it transfers, and whether scrolling through ten hours holds it up.

Each round is a Chromium context of its own, so its cache is empty. The waveform has been computed before: how long that takes is a
matter of `make bench-render`.
"""

import os
import shutil
import sys
import tempfile
import time

from playwright.sync_api import Browser, CDPSession, Page, expect
from report import Report

from support.browser import chromium
from support.material import long_file
from support.server import Server, folder, serving

ROUNDS = 7
MINUTES = 600
#: Small for its length; what is decoded has no part in what is measured.
KIND = "mpeg1-44-mono-cbr32"
COMPUTING_SECONDS = 900
SCROLL_SECONDS = 6
#: Browsers call a task long from here on, in milliseconds.
LONG = 50

_WATCH = """
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration)))
        .observe({ type: 'longtask', buffered: true });
"""
_SCROLL = """async (seconds) => {
    const wave = document.getElementById('wave');
    const { left } = wave.getBoundingClientRect();
    const common = { clientX: left + 300, bubbles: true, cancelable: true };
    const turn = (options) => wave.dispatchEvent(new WheelEvent('wheel', { ...common, ...options }));
    const frames = [];
    for (let last = performance.now(), end = last + seconds * 1000; last < end;) {
        turn({ deltaX: 60 });
        if (frames.length % 40 === 20) turn({ deltaY: frames.length % 80 === 20 ? 800 : -800, ctrlKey: true });
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - last);
        last = now;
    }
    return frames;
}"""


def compute(server: Server) -> None:
    """Have the server compute the whole file's waveform."""
    end = time.monotonic() + COMPUTING_SECONDS
    while server.get("/peaks/show.dat?t=0&pixels=20000&bits=8")[0] != 200:
        if time.monotonic() > end:
            sys.exit("the waveform was not computed in time")


def mark(page: Page, name: str) -> float:
    """Milliseconds from the start of the navigation to a mark of the page."""
    while True:
        found = page.evaluate(f"() => performance.getEntriesByName('{name}')[0]?.startTime ?? 0")
        if found:
            return float(found)
        page.wait_for_timeout(20)


def transferred(session: CDPSession) -> list[float]:
    """A list that grows by the bytes of each answer, headers included."""
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    session.send("Network.enable")
    return sizes


def visit(browser: Browser, url: str) -> tuple[dict[str, float], list[float]]:
    """Open a file in a new context and scroll through it: what it took, and the milliseconds of each frame."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.add_init_script(_WATCH)
    sizes = transferred(context.new_cdp_session(page))
    page.goto(f"{url}/#file=show.mp3&t=3000,3010&view=2990,3110")
    took = {"ready": mark(page, "studio-ready"), "drawn": mark(page, "studio-drawn")}
    expect(page.locator("#wave-state")).to_have_text("", timeout=60_000)
    page.wait_for_load_state("networkidle")
    took["bytes"] = sum(sizes)
    took["long before"] = max(page.evaluate("() => window.longTasks.splice(0)"), default=0)
    frames = page.evaluate(_SCROLL, SCROLL_SECONDS)
    long = page.evaluate("() => window.longTasks")
    took["long"], took["longest"] = len(long), max(long, default=0)
    context.close()
    return took, frames


def main() -> None:
    """Measure and print."""
    report = Report("studio")
    media = folder()
    try:
        with tempfile.TemporaryDirectory() as work:
            shutil.copy(long_file(work, MINUTES, KIND), os.path.join(media, "show.mp3"))
        with serving(media) as server, chromium() as browser:
            compute(server)
            visit(browser, server.url)
            rounds = [visit(browser, server.url) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(media, ignore_errors=True)
    for name, what, unit, wanted in (
        ("ready", "usable, with an empty cache", "ms", "< 1,000"),
        ("drawn", "a ten-hour file's waveform drawn, with an empty cache", "ms", ""),
        ("bytes", "transferred until then, headers included", "bytes", "< 300,000"),
        ("long before", "longest task until then", "ms", ""),
        ("long", f"tasks over {LONG} ms while scrolling and zooming for {SCROLL_SECONDS} s", "", "0"),
        ("longest", "longest of them", "ms", f"<= {LONG}"),
    ):
        report.row(what, [took[name] for took, _ in rounds], unit, wanted)
    report.row("a frame while scrolling", [sorted(frames)[len(frames) // 2] for _, frames in rounds], "ms")
    report.row("the slowest frame of each round", [max(frames) for _, frames in rounds], "ms")
    report.write()


if __name__ == "__main__":
    main()
