"""Searching the archive from the page: as one types, by keys, with moments to hear and to open; and without a catalogue."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.browser import axe, drawn, span_of


def test_moments_are_found_as_one_types_and_open_as_spans(archive, visit):
    page = visit(url=archive.url)
    field = page.get_by_label("Search what is said")
    field.press_sequentially("harb")
    found = page.locator("#moments-list li")
    expect(found).to_have_count(1)
    expect(page.locator("#moments-state")).to_have_text("Found in 1 file")
    expect(found.locator("mark").first).to_have_text("harbour")
    expect(found).to_contain_text("and welcome to the harbour")
    field.press("ArrowDown")
    expect(found.locator("a")).to_be_focused()
    page.keyboard.press("Enter")
    drawn(page)
    first, last = span_of(page, 44100)
    assert (first, last) in {(4 * 44100, 6 * 44100), (8 * 44100, 10 * 44100)}
    expect(found).to_have_count(0)
    expect(field).to_have_value("")


def test_a_moment_is_played_and_stopped(archive, visit):
    page = visit(url=archive.url)
    expect(page.get_by_label("Search what is said")).to_be_visible()
    page.keyboard.press("w")
    expect(page.get_by_label("Search what is said")).to_be_focused()
    page.keyboard.type('"good morning"')
    button = page.get_by_role("button", name="Play show.mp3 at 00:02")
    button.click()
    expect(button).to_have_text("Stop")
    expect(page.locator("#moment-audio")).to_have_js_property("paused", value=False)
    button.click()
    expect(button).to_have_text("Play")
    expect(page.locator("#moment-audio")).to_have_js_property("paused", value=True)


def test_titles_and_durations_are_listed_and_found(archive, visit):
    page = visit(url=archive.url)
    link = page.get_by_role("link", name="The Old <Lighthouse>")
    expect(link).to_contain_text("talk.mp3 · 20 s")
    page.get_by_label("Search by name").fill("lightho")
    expect(page.locator("#files a")).to_have_count(1)
    page.get_by_label("Search what is said").fill("lighthouse")
    expect(page.locator("#moments-list a")).to_have_text("The Old <Lighthouse>talk.mp3")
    page.locator("#moments-list a").click()
    expect(page.locator("#file-name")).to_have_text("talk.mp3")


def test_what_is_not_found_and_what_is_no_query_is_said(archive, visit):
    page = visit(url=archive.url)
    field = page.get_by_label("Search what is said")
    field.fill("xylophone")
    expect(page.locator("#moments-state")).to_contain_text("Nothing is found.")
    field.fill("*ab*")
    expect(page.locator("#moments-state")).to_contain_text("too short")
    field.press("Escape")
    expect(page.locator("#moments-state")).to_have_text("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_results_are_accessible_at_any_width(archive, visit, scheme, width):
    page = visit(url=archive.url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    # One without a cover, and one with.
    for said, found, covers in (("harbour", "welcome to the harbour", 0), ("lighthouse", "The Old", 1)):
        page.get_by_label("Search what is said").fill(said)
        expect(page.locator("#moments-list li")).to_have_count(1)
        expect(page.locator("#moments-list")).to_contain_text(found)
        expect(page.locator("#moments-list .thumb")).to_have_count(covers)
        page.evaluate(axe())
        violations = page.evaluate("() => axe.run().then(({ violations }) => violations)")
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in violations] == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_without_a_catalogue_the_page_is_as_it_was(visit):
    page = visit()
    expect(page.locator("#files a").first).to_be_visible()
    expect(page.locator("#moments")).to_be_hidden()


# ------------------------------------------------------------------------------------------- transcript and chapters


def select(page, first, last):
    """Select from one word to another by mouse, each given by its line and the word."""
    page.evaluate(
        """([[line, word], [other, end]]) => {
            const at = (number, text) => {
                const node = document.querySelector(`[data-cue="${number}"] .text`).firstChild;
                return [node, node.data.indexOf(text)];
            };
            const [node, start] = at(line, word);
            const [last, from] = at(other, end);
            document.getSelection().setBaseAndExtent(node, start + 1, last, from + 2);
        }""",
        [first, last],
    )


def test_words_that_are_selected_become_a_span_with_its_quotation(archive, visit):
    page = visit("#file=show.mp3", url=archive.url)
    drawn(page)
    lines = page.locator("#cues p")
    expect(lines).to_have_count(3)
    expect(lines.first).to_have_text("00:02 Ann: Good morning to you")
    expect(page.locator("#quote-row")).to_be_hidden()
    select(page, (0, "morning"), (1, "welcome"))
    expect(page.locator("#spans li")).to_have_count(1)
    # "Good " is 5 of 19 letters of two seconds, "and welcome" 11 of 26.
    first, last = span_of(page, 44100)
    assert abs(first / 44100 - (2 + 2 * 5 / 19)) < 0.001
    assert abs(last / 44100 - (4 + 2 * 11 / 26)) < 0.001
    quotation = page.locator("#out-quote").input_value()
    assert quotation.startswith("“Good morning to you and welcome to the harbour” – Ann, show.mp3, 00:02, http://")
    assert page.locator("#out-url").input_value() in quotation
    # The next selection moves the same span.
    select(page, (2, "The"), (2, "harbour"))
    expect(page.locator("#out-quote")).to_have_value(re.compile("^“The harbour at night”"))
    expect(page.locator("#spans li")).to_have_count(1)
    with page.expect_download() as download:
        page.locator("#subtitles").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert "The harbour at night" in text


def test_cues_are_chosen_by_keys(archive, visit):
    page = visit("#file=show.mp3", url=archive.url)
    drawn(page)
    expect(page.locator("#cues p")).to_have_count(3)
    page.locator("#cues").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#spans li")).to_have_count(1)
    assert span_of(page, 44100) == (2 * 44100, 4 * 44100)
    page.keyboard.press("Shift+ArrowDown")
    expect(page.locator("#cues p").nth(1)).to_be_focused()
    assert span_of(page, 44100) == (2 * 44100, 6 * 44100)


def test_the_transcript_follows_what_is_heard(archive, visit):
    page = visit("#file=show.mp3&t=4,12", url=archive.url)
    drawn(page)
    expect(page.locator("#cues p")).to_have_count(3)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("#cues p").nth(1)).to_have_attribute("aria-current", "true")
    expect(page.locator("#cues p").nth(2)).to_have_attribute("aria-current", "true")
    page.locator("#play").click()
    page.locator("#cues p").first.click()
    expect(page.locator("#clock")).to_have_text("00:02.000")


def test_the_cover_is_shown(archive, visit):
    page = visit("#file=talk.mp3", url=archive.url)
    drawn(page)
    cover = page.locator("#cover")
    expect(cover).to_be_visible()
    assert cover.evaluate("image => image.naturalWidth") == 2
    page.get_by_role("link", name="show.mp3").click()
    expect(page.locator("#file-name")).to_have_text("show.mp3")
    expect(cover).to_be_hidden()


def test_covers_in_lists_have_a_size_and_are_fetched_when_seen(archive, visit):
    page = visit(url=archive.url, viewport={"width": 1280, "height": 500})
    field = page.get_by_label("Search what is said")
    field.fill("lighthouse")
    for items in ("#files", "#moments-list"):
        cover = page.locator(f"{items} .thumb")
        expect(cover).to_have_count(1)
        expect(cover).to_have_js_property("naturalWidth", 2)
        assert cover.evaluate("image => [image.width, image.height, image.loading]") == [40, 40, "lazy"]
    field.fill("harbour")
    expect(page.locator("#moments-list li")).to_have_count(1)
    expect(page.locator("#moments-list .thumb")).to_have_count(0)


def test_a_cover_that_is_gone_leaves_its_place(archive, visit):
    page = visit("#file=show.mp3", url=archive.url)
    drawn(page)
    sources = [
        {"path": f"{n}.mp3", "size": 1, "clips": f"/clips/{n}.mp3", "title": "", "duration": 1, "cover": cover}
        for n, cover in enumerate(("/covers/gone.mp3", None, "//elsewhere.example/a.png"))
    ]
    page.route("**/library?*", lambda route: route.fulfill(json={"sources": sources, "next": None}))
    page.reload()
    lines = page.locator("#files li")
    expect(lines).to_have_count(3)
    heights = lines.evaluate_all("all => all.map((each) => each.offsetHeight)")
    expect(page.locator("#files .thumb")).to_have_count(1)
    expect(page.locator("#files .gone")).to_have_count(1)
    assert lines.evaluate_all("all => all.map((each) => each.offsetHeight)") == heights == heights[:1] * 3


def test_chapters_become_spans(archive, visit):
    page = visit("#file=talk.mp3", url=archive.url)
    drawn(page)
    expect(page.locator("#transcript")).to_be_hidden()
    page.get_by_role("button", name="00:05 End").click()
    assert span_of(page, 44100) == (5 * 44100, 9 * 44100)
    page.get_by_role("link", name="show.mp3").click()
    expect(page.locator("#file-name")).to_have_text("show.mp3")
    expect(page.locator("#chapters")).to_be_hidden()


def test_ten_thousand_cues_hold_nothing_up(archive, visit):
    page = visit(url=archive.url)
    segments = [{"startTime": n / 1000, "endTime": n / 1000 + 0.001, "body": f"word number {n}"} for n in range(10_000)]
    page.route("**/transcripts/show.json", lambda route: route.fulfill(json={"version": "1.0.0", "segments": segments}))
    page.evaluate(
        """() => {
            window.long = [];
            new PerformanceObserver((list) => window.long.push(...list.getEntries().map((each) => each.duration)))
                .observe({ type: 'longtask' });
        }"""
    )
    page.locator("#files a", has_text="show.mp3").click()
    expect(page.locator("#cues p")).to_have_count(10_000)
    # Each group is a frame's work; a machine that is busy with other things may take longer for it, and all at once would take far more.
    assert max(page.evaluate("() => window.long"), default=0) < 1000


@pytest.mark.parametrize("width", [1280, 360])
def test_transcript_and_chapters_are_accessible(archive, visit, width):
    for name in ("show", "talk"):
        page = visit(f"#file={name}.mp3&t=1,2", url=archive.url, viewport={"width": width, "height": 800})
        drawn(page)
        expect(page.locator("#transcript" if name == "show" else "#chapters")).to_be_visible()
        page.evaluate(axe())
        violations = page.evaluate("() => axe.run().then(({ violations }) => violations)")
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in violations] == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
