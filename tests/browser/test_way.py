"""The whole way: open the page, find a file, mark a span, hear it, download it. Its samples are exactly the span's."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from support import streams
from support.browser import drag, drawn, span_of


@pytest.mark.parametrize(
    ("search", "kind", "rate"),
    [("SHOW", "mpeg1-44-stereo-cbr128", 44100), ("größer+", "mpeg2-22-joint-cbr64", 22050)],
)
def test_from_the_page_to_a_clip_of_exactly_the_span(visit, stream, tmp_path, search, kind, rate):
    page = visit()
    page.get_by_label("Search by name").fill(search)
    expect(page.locator("#files a")).to_have_count(1)
    page.locator("#files a").click()
    drawn(page)
    # Where no whole millisecond is.
    drag(page, 0.25191, 0.60173)
    expect(page.locator("#spans li")).to_have_count(1)
    first, last = span_of(page, rate)
    # The samples that the page shows are those that its URL means.
    for field, sample in (("start", first), ("end", last)):
        expect(page.locator(f"#{field}-more")).to_contain_text(f"sample {sample:,}")
    assert abs(first / rate - 5) < 0.1
    assert abs(last / rate - 12) < 0.1

    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.locator("#clock")).not_to_have_text(f"00:{first / rate:06.3f}")
    clip = page.locator("#audio").evaluate("audio => [audio.getAttribute('src'), audio.duration]")
    assert page.locator("#out-url").input_value().endswith(clip[0])
    assert clip[1] == pytest.approx((last - first) / rate, abs=0.001)
    page.get_by_role("button", name="Stop").click()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    path = tmp_path / "clip.mp3"
    download.value.save_as(path)
    assert download.value.suggested_filename.endswith(".mp3")
    whole = streams.decode_ffmpeg(stream(kind))
    assert streams.decode_ffmpeg(str(path)) == whole[first * 2 : last * 2]


def test_a_span_is_moved_by_its_edges_and_as_a_whole(visit):
    page = visit("#file=show.mp3&t=5,10")
    drawn(page)
    drag(page, 0.5, 0.75)
    assert [round(sample / 44100) for sample in span_of(page, 44100)] == [5, 15]
    before = span_of(page, 44100)
    drag(page, 0.5, 0.6)
    after = span_of(page, 44100)
    assert after[1] - after[0] == before[1] - before[0]
    assert [round(sample / 44100) for sample in after] == [7, 17]
    expect(page.locator("#spans li")).to_have_count(1)


def test_an_edge_moves_alone_where_the_window_shows_a_part_of_the_span(visit):
    page = visit("#file=show.mp3&t=1.00001,10&view=8,12")
    drawn(page)
    first = span_of(page, 44100)[0]
    drag(page, 0.5, 0.75)
    assert span_of(page, 44100)[0] == first
    assert round(span_of(page, 44100)[1] / 44100, 1) == 11


def test_what_is_copied_gives_the_clip(visit, server):
    page = visit("#file=show.mp3&t=2.5,4")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    url = f"{server.url}/clips/show.mp3?t=2.5,4"
    for name, text in {
        "Copy URL": url,
        "Copy Command line": f"curl -OJ '{url}&download'",
        "Copy HTML": f'<audio controls src="{url}"></audio>',
    }.items():
        page.get_by_role("button", name=name).click()
        expect(page.locator("#copied")).to_have_text("Copied.")
        assert page.evaluate("() => navigator.clipboard.readText()") == text


def test_a_render_is_made_and_played(visit, server, tmp_path):
    page = visit("#file=show.mp3&t=2,4&t=5,6")
    page.get_by_label("With effects or in another format").check()
    page.get_by_label("Format", exact=True).select_option("flac")
    page.get_by_label("Fade in, out").fill("0.5,0.25")
    page.get_by_label("Fade in, out").press("Enter")
    page.locator("#effect-join").select_option("all")
    expect(page.locator("#out-url")).to_have_value(f"{server.url}/renders/show.flac?t=2,4&t=5,6&fade=0.5,0.25")
    page.get_by_role("button", name="Make and play").click()
    expect(page.locator("#render-state")).to_contain_text("Done:")
    expect(page.locator("#render-audio")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "clip.flac")
    assert len(streams.decode_ffmpeg(str(Path(tmp_path, "clip.flac")))) == 3 * 44100 * 2
