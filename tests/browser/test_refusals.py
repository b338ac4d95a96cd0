"""What the page does when the server refuses, waits, queues, or has no waveforms and renders at all: it says so in words."""

import json
import os
import pathlib
import re
import shutil
import time

import pytest
from playwright.sync_api import expect

from support.browser import drag, drawn, settled, span_of


def problem(status, detail, **more):
    return {
        "status": status,
        "content_type": "application/problem+json",
        "headers": more.pop("headers", {}),
        "body": json.dumps({"type": "urn:slicer:problem:x", "status": status, "detail": detail, **more}),
    }


@pytest.fixture
def visit_with(visit):
    """visit_with({path pattern: [answers]}, hash): each answer is what Playwright fulfils a request with; None asks the server."""

    def begin(answers, fragment):
        page = visit()
        for pattern, several in answers.items():
            rest = list(several)

            def handle(route, _, rest=rest):
                answer = rest.pop(0) if len(rest) > 1 else rest[0]
                route.fulfill(**answer) if answer else route.continue_()

            page.route(re.compile(pattern), handle)
        page.goto(page.url + fragment)
        expect(page.locator("#desk")).to_be_visible()
        return page

    return begin


def test_without_waveforms_spans_work(visit_with):
    page = visit_with({"/peaks/": [problem(404, "there is nothing")]}, "#file=show.mp3")
    expect(page.locator("#wave-state")).to_contain_text("draws no waveforms")
    expect(page.locator("#wave > div")).to_be_attached()
    drag(page, 0.25, 0.5)
    expect(page.locator("#spans li")).to_have_count(1)
    first, last = span_of(page, 44100)
    assert (round(first / 44100), round(last / 44100)) == (5, 10)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("#play")).to_have_text("Stop")
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("#wave-state")).to_contain_text("draws no waveforms")


def test_a_waveform_that_takes_long_shows_how_far_it_is(visit_with):
    waiting = [problem(503, "not finished", progress=part, headers={"Retry-After": "1"}) for part in (0.25, 0.5)]
    page = visit_with({r"/peaks/.*pixels=20000": [*waiting, None]}, "#file=show.mp3&t=1,2")
    expect(page.locator("#wave-state")).to_contain_text("computed: 25 %")
    expect(page.locator("#wave-progress")).to_have_js_property("value", 0.25)
    expect(page.locator("#wave-state")).to_contain_text("computed: 50 %")
    drawn(page)
    expect(page.locator("#wave-progress")).to_be_hidden()


def test_a_waveform_whose_time_was_up_is_asked_for_again(visit_with):
    late = problem(504, "the request waited or ran too long", headers={"Retry-After": "1"})
    page = visit_with({r"/peaks/.*pixels=20000": [late, late, None]}, "#file=show.mp3&t=1,2")
    drawn(page)
    expect(page.locator("#wave-state")).to_have_text("")


@pytest.fixture
def long(media):
    """The name of a file for which a coarse waveform is drawn first."""
    path = pathlib.Path(media, "long.mp3")
    path.write_bytes(pathlib.Path(media, "show.mp3").read_bytes() * 9)
    yield path.name
    path.unlink()


LEVELS = """() => {
    const canvas = document.querySelector('#overview canvas');
    const [middle, { width, height }] = [canvas.height / 2, canvas];
    const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const data = copy.getImageData(0, 0, width, height).data;
    // How far above the middle each column is painted.
    return Array.from({ length: width }, (_, x) => {
        let y = 0;
        while (y < middle && !data[4 * (y * width + x) + 3]) y += 1;
        return middle - y;
    });
}"""


def test_a_long_file_has_a_coarse_waveform_at_once(long, visit_with):
    waiting = problem(503, "not finished", progress=0.25, headers={"Retry-After": "1"})
    page = visit_with({r"/peaks/.*pixels=20000": [waiting] * 3 + [None], "pixels=2048": [waiting]}, f"#file={long}")
    expect(page.locator("#wave-state")).to_contain_text("computed: 25 %")
    settled(page)
    coarse = page.evaluate(LEVELS)
    drawn(page)
    settled(page)
    exact = page.evaluate(LEVELS)
    assert len(coarse) == len(exact)
    assert max(exact) > 4
    assert coarse != exact
    # It is drawn in its own scale, by the highest value that is known.
    assert sum(abs(one - other) <= max(exact) / 2 for one, other in zip(coarse, exact, strict=True)) > 0.8 * len(exact)
    assert max(coarse) > max(exact) / 2


@pytest.fixture
def longer(media):
    """The name of a file whose exact waveform is fetched in parts."""
    path = pathlib.Path(media, "longer.mp3")
    path.write_bytes(pathlib.Path(media, "show.mp3").read_bytes() * 33)
    yield path.name
    path.unlink()


def test_a_longer_file_is_drawn_part_by_part(longer, visit_with, server):
    asked = []
    busy = problem(503, "all processes are busy", headers={"Retry-After": "1"})
    page = visit_with({"part=5$": [busy, busy, None], "pixels=2048": [busy]}, "#file=show.mp3")
    page.on("request", lambda request: asked.append(request.url) if "&part=" in request.url else None)
    page.goto(f"{server.url}/#file={longer}")
    # The parts before it are there, and drawn over the coarse picture.
    expect(page.locator("#wave-state")).to_contain_text("computed: 25 %")
    settled(page)
    some = page.evaluate(LEVELS)
    drawn(page)
    settled(page)
    exact = page.evaluate(LEVELS)
    quarter = len(exact) // 4
    # A column that two parts share shows one of them until all are there.
    shared = {len(exact) * number // 16 for number in range(5)}
    assert {at for at in range(quarter) if some[at] != exact[at]} <= shared
    assert some[quarter:] != exact[quarter:]
    parts = [int(re.search("part=([0-9]+)$", url)[1]) for url in asked]
    # With one process one part at a time; the one that was refused again.
    assert parts == [1, 2, 3, 4, 5, 5, 5, *range(6, 17)]
    page.reload()
    drawn(page)
    settled(page)
    assert page.evaluate(LEVELS) == exact


def test_a_server_without_room_for_a_coarse_waveform_draws_the_exact_one(long, visit_with):
    page = visit_with({"coarse=1": [problem(500, "a mistake")]}, f"#file={long}")
    drawn(page)
    settled(page)
    assert max(page.evaluate(LEVELS)) > 4


def test_a_waveform_that_is_a_job_is_waited_for(visit_with):
    job = {"state": "queued", "progress": 0, "seconds_left": None}
    answers = [
        {"status": 200, "content_type": "application/json", "headers": {"Retry-After": "1"}, "body": json.dumps(each)}
        for each in (job, {**job, "state": "running", "progress": 0.4, "seconds_left": 3}, {**job, "state": "done"})
    ]
    accepted = {**answers[0], "status": 202, "headers": {"Location": "/jobs/1", "Retry-After": "1"}}
    page = visit_with({r"/peaks/.*pixels=20000": [accepted, None], "/jobs/1$": answers}, "#file=show.mp3")
    expect(page.locator("#wave-state")).to_contain_text("queued")
    expect(page.locator("#wave-state")).to_contain_text("40 %, about 3 s left")
    drawn(page)


def make(page):
    page.get_by_label("With effects or in another format").check()
    page.get_by_role("button", name="Make and play").click()


def test_a_busy_server_is_asked_again_when_it_says_so(visit_with):
    busy = problem(503, "all processes are busy", headers={"Retry-After": "3"})
    page = visit_with({"/renders/": [busy, None]}, "#file=show.mp3&t=1,2")
    make(page)
    expect(page.locator("#render-state")).to_have_text("All processes are busy. Asking again in 3 s.")
    expect(page.locator("#render-state")).to_have_text("All processes are busy. Asking again in 1 s.")
    expect(page.locator("#render-state")).to_contain_text("Done:")


def test_a_render_that_is_a_job_tells_its_states(visit_with):
    job = {"state": "queued", "progress": 0, "seconds_left": None, "problem": None}
    failed = {**job, "state": "failed", "problem": {"status": 422, "detail": "there is nothing as loud as that"}}
    answers = [
        {"status": 200, "content_type": "application/json", "headers": {"Retry-After": "1"}, "body": json.dumps(each)}
        for each in (job, {**job, "state": "running", "progress": 0.4, "seconds_left": 3}, failed)
    ]
    accepted = {**answers[0], "status": 202, "headers": {"Location": "/jobs/1", "Retry-After": "1"}}
    page = visit_with({"/renders/": [accepted], "/jobs/1$": answers}, "#file=show.mp3&t=1,2")
    make(page)
    for words in ("Queued", "Being made: 40 %, about 3 s left", "Refused: There is nothing as loud as that."):
        expect(page.locator("#render-state")).to_contain_text(words)
    expect(page.get_by_role("button", name="Make and play")).to_be_enabled()


def test_a_job_can_be_cancelled(visit_with):
    job = json.dumps({"state": "running", "progress": 0.1, "seconds_left": 60})
    answer = {"status": 200, "content_type": "application/json", "headers": {"Retry-After": "1"}, "body": job}
    way = "/jobs/1?token=mine"
    first = json.dumps({**json.loads(job), "cancel": way})
    accepted = {**answer, "status": 202, "headers": {"Location": "/jobs/1", "Retry-After": "1"}, "body": first}
    page = visit_with({"/renders/": [accepted], "/jobs/1$": [answer]}, "#file=show.mp3&t=1,2")
    make(page)
    expect(page.locator("#render-state")).to_contain_text("10 %")
    with page.expect_request(lambda request: request.method == "DELETE" and request.url.endswith(way)):
        page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#render-state")).to_have_text("Cancelled.")


def test_without_renders_the_clip_is_still_there(visit_with):
    page = visit_with({"/renders/": [problem(404, "there is nothing to cut")]}, "#file=show.mp3&t=1,2")
    make(page)
    expect(page.locator("#render-state")).to_contain_text("may not make renders; the clip itself is still there")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("#play")).to_have_text("Stop")


def test_what_the_server_refuses_is_said_in_its_words(visit):
    page = visit("#file=show.mp3&t=1,1.05")
    drawn(page)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("0.1 s is the shortest clip")
    make(page)
    expect(page.locator("#render-state")).to_contain_text("Refused:")


def test_a_file_that_is_gone_is_said_to_be(visit):
    page = visit("#file=gone.mp3&t=1,2")
    expect(page.get_by_role("alert")).to_contain_text(
        "The file cannot be opened. There is nothing to cut under this path"
    )
    page.get_by_role("link", name="show.mp3").click()
    drawn(page)
    expect(page.get_by_role("alert")).to_have_text("")


def test_a_file_that_goes_while_it_is_open_is_said_to_be_gone(visit, media):
    path = os.path.join(media, "going.mp3")
    shutil.copy(os.path.join(media, "show.mp3"), path)
    page = visit("#file=going.mp3&t=1,2")
    drawn(page)
    os.unlink(path)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be played. There is nothing to cut under this path")
    make(page)
    expect(page.locator("#render-state")).to_have_text(
        re.compile("^Refused: There is nothing to cut under this path[^.]*[.]$")
    )
    page.evaluate("location.hash = '#file=show.mp3'")
    expect(page.locator("#file-name")).to_have_text("show.mp3")


def test_a_file_that_cannot_be_opened_now_stays_in_the_url(visit):
    page = visit("#file=show.mp3&t=1,2")
    drawn(page)
    answers = [problem(503, "all processes are busy"), {"status": 200, "content_type": "text/html", "body": "<p>no"}]
    page.route("**/info/tape*", lambda route: route.fulfill(**answers.pop(0)) if answers else route.continue_())
    # The change of the old file's state is not yet in the URL.
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("link", name="tape 003.mp3").click()
    expect(page.get_by_role("alert")).to_contain_text("The file cannot be opened. All processes are busy.")
    time.sleep(0.5)
    assert page.url.endswith("#file=tape%20003.mp3")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("The server sent something that is not its own.")
    page.reload()
    drawn(page)
    expect(page.locator("#file-name")).to_have_text("tape 003.mp3")


def test_a_link_that_is_followed_before_the_state_is_written_is_opened(visit):
    page = visit("#file=show.mp3&t=1,2")
    drawn(page)
    # All at once: a change that the URL has not, another file in the URL, and the moment at which the state is written.
    page.evaluate("""() => {
        document.getElementById('zoom-in').click();
        location.hash = '#file=tape%20003.mp3';
        dispatchEvent(new Event('pagehide'));
    }""")
    expect(page.locator("#file-name")).to_have_text("tape 003.mp3")


def test_a_job_is_followed_over_a_connection_that_breaks_off(visit_with):
    job = {"state": "running", "progress": 0.4, "seconds_left": 3}
    accepted = {
        "status": 202,
        "content_type": "application/json",
        "headers": {"Location": "/jobs/1", "Retry-After": "1"},
        "body": json.dumps(job),
    }
    done = {**accepted, "status": 200, "body": json.dumps({**job, "state": "done"})}
    page = visit_with({"/renders/": [accepted, None]}, "#file=show.mp3&t=1,2")
    broken = ["once", "twice"]
    page.route("**/jobs/1", lambda route: route.abort() if broken and broken.pop() else route.fulfill(**done))
    make(page)
    expect(page.locator("#render-state")).to_contain_text("Done:")
    assert not broken


def test_a_server_that_cannot_be_reached_is_said_to_be(visit):
    page = visit()
    expect(page.locator("#files a")).to_have_count(40)
    page.context.set_offline(True)
    page.get_by_role("link", name="show.mp3").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    drawn(page)


def test_a_page_of_which_a_module_is_missing_says_so(visit):
    page = visit()
    expect(page.locator("#late")).to_have_count(0)
    page.route("**/view.js", lambda route: route.fulfill(**problem(503, "all processes are busy")))
    page.reload()
    expect(page.get_by_text("A part of this page has not arrived")).to_be_visible()


def test_without_what_the_build_fetches_spans_can_be_typed(visit):
    page = visit()
    page.route("**/vendor/*", lambda route: route.fulfill(**problem(404, "there is nothing")))
    page.goto(page.url + "#file=show.mp3")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("Spans cannot be drawn with the mouse")
    page.keyboard.press("n")
    assert span_of(page, 44100) == (0, 441_000)
    page.get_by_label("Start", exact=True).fill("2.5")
    page.get_by_label("Start", exact=True).press("Enter")
    assert span_of(page, 44100) == (110_250, 441_000)
