"""The studio with media in a bucket: the list, the waveform, and the download of a clip and of a render."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support import streams
from support.browser import drag, drawn, span_of
from support.server import Server, serving
from support.store import stored

STEP = 2**-15
KIND, RATE = "mpeg1-44-stereo-cbr128", 44_100


@pytest.fixture(scope="module")
def bucket(stream) -> Iterator[Server]:
    data = Path(stream(KIND)).read_bytes()
    with (
        stored({"show.mp3": data, "talks & news/50% größer+1.mp3": data}) as store,
        serving(store.media, "--cpus", "1", environ=store.environ) as running,
    ):
        yield running


def test_from_the_list_to_a_clip_of_exactly_the_span(visit, bucket, stream, tmp_path):
    page = visit(url=bucket.url)
    expect(page.locator("#files a")).to_have_count(2)
    page.locator("#files a").last.click()
    drawn(page)
    drag(page, 0.25191, 0.60173)
    first, last = span_of(page, RATE)
    want = streams.decode_ffmpeg(stream(KIND))[first * 2 : last * 2]
    for name in ("clip.mp3", "render.wav"):
        if name == "render.wav":
            page.get_by_label("With effects or in another format").check()
            page.get_by_label("Format", exact=True).select_option("wav")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        path = tmp_path / name
        download.value.save_as(path)
        got = streams.decode_ffmpeg(str(path))
        assert len(got) == len(want)
        # Another decoder made the render, and WAV has 16 bits for each sample.
        assert max(abs(one - other) for one, other in zip(got, want, strict=True)) <= (2 * STEP if "wav" in name else 0)
