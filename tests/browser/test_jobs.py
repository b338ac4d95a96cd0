"""The page before a server with a queue: long work becomes a job, with its state shown until the result is there."""

import os
import re
import shutil

import pytest
from playwright.sync_api import expect

from support import streams
from support.browser import drawn
from support.jobs import place_of
from support.server import folder, serving, until

MINUTES = 60


@pytest.fixture(scope="module")
def server(broker):
    """A server of an hour's file, whose jobs nobody works on yet; `server.place` has workers."""
    media = folder()
    streams.long_file(os.path.join(media, "hour.mp3"), minutes=MINUTES)
    with (
        place_of(media, broker, SLICER_JOB_FROM_SECONDS="1") as place,
        serving(media, "--cpus", "1", environ=place.environ) as running,
    ):
        running.place = place
        yield running
    shutil.rmtree(media, ignore_errors=True)


def test_long_work_is_queued_and_done(visit, server):
    page = visit("#file=hour.mp3&t=60,300&kind=render&format=opus&fade=1,1")
    # A part of an hour is no long work.
    expect(page.locator("#wave-state")).to_have_text("", timeout=180_000)
    drawn(page)
    state = page.locator("#render-state")

    def queued():
        page.get_by_role("button", name="Make and play").click()
        expect(state).to_contain_text(re.compile("Queued|Refused"))
        return "Queued" in state.text_content()

    # A render gives way to all else on a machine, so a busy one may refuse it at first.
    until(queued, 120, "it is queued")
    server.place.worker("--short", "1", "--long", "1")
    expect(page.locator("#render-state")).to_contain_text("Done:", timeout=180_000)
    expect(page.locator("#render-audio")).to_be_visible()
