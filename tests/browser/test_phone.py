"""The page on a phone, by touch: from a search to a clip, with words selected. Nothing is wider than the screen or too small to hit."""

from pathlib import Path

from playwright.sync_api import Page, expect

from support.browser import PHONE, drawn, settled, span_of

#: CSS pixels of a target's side at least (WCAG 2.2, 2.5.8).
TARGET = 24
#: Those whose size or distance is too small: controls in sight, each alone and apart from links in a sentence.
SMALL = """(least) => {
    const shown = [...document.querySelectorAll('a, button, input, select, summary, audio[controls], [role=slider], [tabindex="0"]')]
        .filter((each) => each.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !each.disabled)
        .map((each) => [each, (each.closest('label') ?? each).getBoundingClientRect()])
        .filter(([, box]) => box.width && box.height && box.right > 0 && box.bottom > 0);
    return shown.filter(([, box]) => box.width < least || box.height < least)
        .map(([each, box]) => `${each.id || each.outerHTML.slice(0, 60)}: ${box.width} x ${box.height}`);
}"""
#: What reaches beyond the screen, unless it lies in something that scrolls or hides it.
WIDE = """() => [...document.querySelectorAll('body *')].filter((each) => {
    if (!each.checkVisibility() || each.getBoundingClientRect().right <= innerWidth + 0.5) return false;
    for (let up = each.parentElement; up; up = up.parentElement) {
        if (getComputedStyle(up).overflowX !== 'visible' && up.getBoundingClientRect().right <= innerWidth + 0.5) return false;
    }
    return true;
}).map((each) => each.id || each.outerHTML.slice(0, 60))"""


def fits(page: Page) -> None:
    """Check that the page can be seen and hit."""
    settled(page)
    assert page.evaluate("() => [document.documentElement.scrollWidth, innerWidth, visualViewport.scale]") == [
        PHONE["viewport"]["width"],
        PHONE["viewport"]["width"],
        1,
    ]
    assert page.evaluate(WIDE) == []
    assert page.evaluate(SMALL, TARGET) == []


def select(page: Page, line: int, word: str) -> None:
    """Select a word of the transcript as the handles of a phone do: they are no part of the page, which hears of the selection alone."""
    page.evaluate(
        """([line, word]) => {
            const node = document.querySelector(`[data-cue="${line}"] .text`).firstChild;
            const start = node.data.indexOf(word);
            document.getSelection().setBaseAndExtent(node, start, node, start + word.length);
        }""",
        [line, word],
    )


def test_from_a_search_to_a_clip_by_touch(archive, visit):
    page = visit(url=archive.url, **PHONE)
    fits(page)
    page.get_by_label("Search what is said").tap()
    page.keyboard.insert_text("harbour")
    found = page.locator("#moments-list li")
    expect(found).to_have_count(1)
    fits(page)
    found.get_by_role("button").tap()
    expect(page.locator("#moment-audio")).to_have_js_property("paused", value=False)
    found.get_by_role("button").tap()
    found.get_by_role("link").tap()
    drawn(page)
    expect(page.locator("#cues p")).to_have_count(3)
    fits(page)

    page.get_by_role("button", name="Play", exact=True).tap()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").tap()

    page.locator("#cues p").last.tap()
    expect(page.locator("#clock")).to_have_text("00:08.000")
    before = page.locator("#out-url").input_value()
    select(page, 0, "morning")
    expect(page.locator("#out-url")).not_to_have_value(before)
    # "Good " is 5 of 19 letters of two seconds, "Good morning" 12.
    assert [round(each / 44100, 2) for each in span_of(page, 44100)] == [
        round(2 + 2 * 5 / 19, 2),
        round(2 + 2 * 12 / 19, 2),
    ]
    fits(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").tap()
    url = page.locator("#out-url").input_value().removeprefix(archive.url)
    assert Path(download.value.path()).read_bytes() == archive.get(url)[2]


def test_chapters_and_the_library_by_touch(archive, visit):
    page = visit("#file=show.mp3", url=archive.url, **PHONE)
    drawn(page)
    page.get_by_role("button", name="Library").tap()
    fits(page)
    page.get_by_role("link", name="The Old <Lighthouse>").tap()
    expect(page.locator("#cover")).to_be_visible()
    page.get_by_role("button", name="00:05 End").tap()
    assert span_of(page, 44100) == (5 * 44100, 9 * 44100)
    fits(page)
