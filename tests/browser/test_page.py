"""The page itself: state in the URL, keys alone, phone width, both colour schemes, and the rules of accessibility."""

import json
import re

import pytest
from playwright.sync_api import expect

from support.browser import axe, drag, drawn, settled, span_of, written


def test_a_reload_and_a_link_show_the_same(visit):
    page = visit("#file=show.mp3")
    drawn(page)
    drag(page, 0.2, 0.4)
    drag(page, 0.6, 0.7)
    page.get_by_label("With effects or in another format").check()
    page.get_by_label("Format", exact=True).select_option("opus")
    page.get_by_label("Loudness").select_option("ebu:-16")
    page.get_by_role("button", name="Loop").click()
    page.get_by_role("button", name="Zoom in").click()
    written(page, r"#file=show\.mp3&t=[\d.]+,[\d.]+&t=[\d.]+,[\d.]+&span=2&view=[\d.]+,[\d.]+&.*normalize=ebu:-16")
    shown = {
        name: page.locator(name).input_value() for name in ("#out-url", "#start", "#end", "#length", "#effect-format")
    }
    url, overview = page.url, page.locator("#overview-window").get_attribute("aria-valuetext")
    page.reload()
    for again in (page, visit(url.partition("/#")[2].join(("#", "")))):
        drawn(again)
        assert {name: again.locator(name).input_value() for name in shown} == shown
        assert again.url == url
        expect(again.locator("#spans li")).to_have_count(2)
        expect(again.locator("#overview-window")).to_have_attribute("aria-valuetext", overview)
        expect(again.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "true")


def test_back_leads_to_the_file_before(visit):
    page = visit("#file=show.mp3&t=1,2")
    drawn(page)
    page.get_by_role("link", name="tape 003.mp3").click()
    expect(page.locator("#file-name")).to_have_text("tape 003.mp3")
    page.go_back()
    expect(page.locator("#file-name")).to_have_text("show.mp3")
    assert span_of(page, 44100) == (44100, 88200)


@pytest.mark.parametrize(
    "fragment",
    [
        "#file=show.mp3#';id;'&t=1,2",
        "#file=./show.mp3&t=1,2",
        "#file=%73how.mp3&t=1,2",
        "#file=show.mp3&t=1,2&kind=render&gain=1';id;'&format=wav",
        "#file=show.mp3&t=1,2&kind=render&fade=%22%3E%3Cscript%3E&speed=1%26t%3D0&format=wav",
        "#file=show.mp3&t=1,2&kind=render&bitrate=%27%20-o%20x&format=..%2F..%2Fjobs%3F",
    ],
)
def test_a_link_brings_nothing_but_state(fragment, visit):
    page = visit(fragment)
    drawn(page)
    kind = "renders" if "render" in fragment else "clips"
    form = "wav" if "format=wav" in fragment else "mp3"
    wanted = f"{page.evaluate('location.origin')}/{kind}/show.{form}?t=1,2"
    expect(page.locator("#out-url")).to_have_value(wanted)
    expect(page.locator("#out-curl")).to_have_value(f"curl -OJ '{wanted}&download'")
    expect(page.locator("#out-tag")).to_have_value(f'<audio controls src="{wanted}"></audio>')
    written(page, r"#file=show\.mp3&t=1,2")


@pytest.mark.parametrize(
    "name", ["../healthz", "../library", "../openapi.json", "%2e%2e/library", "x%00.mp3", "100%.mp3"]
)
def test_a_link_to_what_is_no_file_says_so(name, visit):
    page = visit(f"#file={name}&t=1,2")
    expect(page.get_by_role("alert")).to_contain_text("The file cannot be opened.")
    page.get_by_role("link", name="show.mp3").click()
    drawn(page)


def test_a_link_with_very_many_spans_opens(visit):
    page = visit("#file=show.mp3" + "".join(f"&t={at / 1000},{at / 1000 + 1}" for at in range(5000)))
    drawn(page)
    expect(page.locator("#spans li")).to_have_count(200)


def test_all_of_it_with_keys_alone(visit):
    page = visit()
    keys = page.keyboard
    keys.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    keys.press("/")
    keys.type("talks")
    # The list is drawn anew until all names are read: only then is a link that was looked at still the one in the page.
    expect(page.locator("#library-state")).to_have_text("1 of 152 files")
    link = page.locator("#files a")
    for _ in range(2):
        keys.press("Tab")
        if page.evaluate("() => document.activeElement.matches('#files a')"):
            break
    expect(link).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#file-name")).to_contain_text("größer")
    keys.press("n")
    expect(page.locator("#spans li")).to_have_count(1)
    assert span_of(page, 22050) == (0, 220500)
    # By a frame, of 576 samples in MPEG-2, and by a sample; the start, then the end.
    for key, span in {
        "ArrowRight": (576, 220500),
        "Shift+ArrowRight": (577, 220500),
        "e": (577, 220500),
        "ArrowLeft": (577, 219924),
        "Shift+ArrowLeft": (577, 219923),
        "s": (577, 219923),
        "Shift+ArrowLeft ": (576, 219923),
    }.items():
        keys.press(key.strip())
        expect(page.locator("#length-more")).to_contain_text(f"{span[1] - span[0]:,} samples")
        assert span_of(page, 22050) == span
    keys.press("Space")
    expect(page.locator("#play")).to_have_text("Stop")
    keys.press("l")
    expect(page.locator("#audio")).to_have_js_property("playbackRate", 1.5)
    keys.press("k")
    expect(page.locator("#play")).to_have_text("Play")
    keys.press("l")
    expect(page.locator("#play")).to_have_text("Stop")
    keys.press("l")
    keys.press("j")
    keys.press("Space")
    expect(page.locator("#play")).to_have_text("Play")
    keys.press("End")
    keys.press("o")
    expect(page.locator("#end")).to_have_value("00:20")
    keys.press("+")
    written(page, "view=")
    keys.press("0")
    expect(page).not_to_have_url(re.compile("view="))
    keys.press("s")
    keys.press("Home")
    keys.press("PageDown")
    keys.press("ArrowUp")
    keys.press("z")
    keys.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    keys.press("Escape")
    keys.press("Delete")
    expect(page.locator("#spans li")).to_have_count(0)


def test_single_keys_can_be_turned_off(visit):
    page = visit("#file=show.mp3")
    drawn(page)
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use single keys").uncheck()
    page.get_by_role("button", name="Close").click()
    for again in (True, False):
        page.keyboard.press("n")
        settled(page)
        expect(page.locator("#spans li")).to_have_count(0)
        if again:
            page.reload()
            drawn(page)


def test_exact_times_can_be_typed_in_every_spelling(visit):
    page = visit("#file=show.mp3&t=1,2")
    drawn(page)
    for text, span in {
        "npt:0:00:01.25": (55125, 88200),
        "00:01": (44100, 88200),
        "0.00002": (1, 88200),
        "npt:00:05,0:00:07.5": (220500, 330750),
    }.items():
        page.get_by_label("Start", exact=True).fill(text)
        page.get_by_label("Start", exact=True).press("Enter")
        assert span_of(page, 44100) == span
    page.get_by_label("Length", exact=True).fill("0.5")
    page.get_by_label("Length", exact=True).press("Enter")
    assert span_of(page, 44100) == (220500, 242550)
    for text, words in {
        "5:00": "minutes and seconds need two digits",
        "ten": "is not a time",
        "99": "ends at",
        "5": "after the start",
    }.items():
        field = page.get_by_label("End" if text == "5" else "Start", exact=True)
        field.fill(text)
        field.press("Enter")
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile(words))
        field.press("Escape")
        assert span_of(page, 44100) == (220500, 242550)


def test_pages_of_the_library_and_a_search_through_all_of_it(visit):
    page = visit()
    expect(page.locator("#files a")).to_have_count(40)
    names = set()
    while True:
        expect(page.locator("#library-state")).not_to_contain_text("Reading")
        names |= set(page.locator("#files .name").all_text_contents())
        if page.locator("#page-on").is_disabled():
            break
        first = page.locator("#files .name").first.text_content()
        page.locator("#page-on").click()
        expect(page.locator("#files .name").first).not_to_have_text(first)
    assert names == {"show.mp3", "50% größer+1.mp3", *(f"tape {number:03}.mp3" for number in range(150))}
    page.get_by_label("Search by name").fill("TAPE 14")
    expect(page.locator("#files a")).to_have_count(10)
    page.get_by_label("Search by name").fill("nothing like it")
    expect(page.locator("#library-state")).to_contain_text("No file")


def test_the_whole_page_fits_a_phone(visit):
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True)
    for step in ("list", "file", "render"):
        if step == "file":
            page.get_by_role("link", name="show.mp3").tap()
            drawn(page)
            expect(page.locator("#library")).to_be_hidden()
            page.get_by_role("button", name="Add at cursor").tap()
            expect(page.locator("#take")).to_be_visible()
        if step == "render":
            page.get_by_label("With effects or in another format").check()
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= 360, step
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, a, select, input')].filter((one) => one.checkVisibility())
                .filter((one) => !one.matches('.skip, [type=radio]') && one.getBoundingClientRect().height < 36).map((one) => one.id)"""
        )
        assert small == [], step


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(visit, scheme, width):
    page = visit(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    for fragment in ("", "#file=show.mp3&t=1,4&t=6,9&kind=render&format=ogg", "help"):
        if fragment == "help":
            page.get_by_role("button", name="Keys").click()
        elif fragment:
            page.goto(page.url.partition("#")[0] + fragment)
            page.reload()
            drawn(page)
        else:
            expect(page.locator("#files a")).to_have_count(40)
        page.evaluate(axe())
        found = page.evaluate(
            "async () => (await axe.run()).violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])"
        )
        assert found == [], (fragment, json.dumps(found, indent=1))


def test_the_policy_allows_nothing_that_the_page_does_not_need(browser, server):
    # That it allows what the page needs every other test shows: each fails with what the browser complains of.
    page = browser.new_page()
    page.goto(server.url)
    refused = page.evaluate(
        """async () => {
            const seen = [];
            document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective));
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.head.append(script);
            document.head.append(Object.assign(document.createElement('style'), { textContent: 'body { color: red }' }));
            await fetch('http://127.0.0.2:9/').catch(() => {});
            await new Promise((resolve) => setTimeout(resolve, 200));
            return [window.ran, seen.sort()];
        }"""
    )
    assert refused == [None, ["connect-src", "script-src-elem", "style-src-elem"]]
    page.close()
    policy = server.get("/")[1]["content-security-policy"]
    assert "unsafe" not in policy
