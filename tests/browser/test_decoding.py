"""What browsers make of a clip: `decodeAudioData` gives the span's samples, no more, no less, and each as it is in the source.

Browsers' decoders round otherwise than ffmpeg's, so the source is decoded by the same browser; ffmpeg only tells that both are right.
Chromium computes in floats, so the samples are the same, bit for bit. Firefox gives 16 bits with a noise that goes on from frame to
frame, so they may differ by one step.
"""

import operator
import pathlib
import shutil

import pytest

from support import streams
from support.browser_decoders import in_chromium, in_firefox
from support.cutting import cut_bytes, index_of, samples, span_of
from support.server import folder, serving

#: Streams of each version of MPEG, rate, and kind of bitrate; spans that begin and end within frames, at the start, and at the end.
KINDS = (
    "mpeg1-44-stereo-cbr128",
    "mpeg1-48-joint-cbr320",
    "mpeg1-32-mono-cbr64",
    "mpeg1-44-joint-vbr2",
    "mpeg2-22-joint-cbr64",
    "mpeg1-48-crc-cbr128",
    "switching",
)
SPANS = ("3.00001,5.20003", "0,1.5", "18.25,20")
#: One step of 16 bits (and a hundredth, as Firefox divides what is above zero by 32767), and what decoders may differ by in floats.
STEP = 1.01 / 32768
FLOATS = 4e-6


def of_source(path, text):
    """A span's samples out of the whole source as ffmpeg decodes it, the span, and its rate and channels."""
    span = span_of(index_of(path), *(float(one) for one in text.split(",")))
    header = span.segment.header
    return samples(streams.decode_ffmpeg(path), span), span, header.sample_rate, header.channels


def furthest(one, other):
    return max(map(abs, map(operator.sub, one, other)))


def switching(path):
    """A stream whose copyright bit changes in the frame in which the first span begins."""
    data = bytearray(pathlib.Path(path).read_bytes())
    for offset in streams.frames(data)[116:]:
        data[offset + 3] ^= 8
    return data


@pytest.fixture(scope="module")
def server(sources):
    """A server of these streams, whose answers pages of other origins may read."""
    media = folder()
    for kind in KINDS:
        shutil.copy(sources[kind], f"{media}/{kind}.mp3")
    with serving(media, "--cpus", "1", environ={"SLICER_CORS_ORIGINS": "*"}) as running:
        yield running
    shutil.rmtree(media, ignore_errors=True)


@pytest.fixture(scope="module")
def sources(stream, tmp_path_factory):
    """The streams' files by their kind."""
    made = tmp_path_factory.mktemp("switching") / "switching.mp3"
    made.write_bytes(switching(stream("mpeg1-44-stereo-cbr128")))
    return {kind: str(made) if kind == "switching" else stream(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_chromium_decodes_the_very_samples_of_the_span(visit, sources, kind):
    page = visit()
    page.route("**/source", lambda route: route.fulfill(path=sources[kind], content_type="audio/mpeg"))

    for text in SPANS:
        expected, span, rate, channels = of_source(sources[kind], text)
        clip = in_chromium(page, f"/clips/{kind}.mp3?t={text}", rate, channels)
        assert len(clip) == len(expected), text
        assert clip == samples(in_chromium(page, "/source", rate, channels), span), text
        assert furthest(clip, expected) < FLOATS, text


def test_chromium_where_stereo_becomes_joint_stereo(visit, stream, tmp_path):
    """Its decoding is off there for less than two frames, in the whole file as in a clip; a clip from behind is right."""
    path = tmp_path / "joint.mp3"
    data = bytearray(pathlib.Path(stream("mpeg1-44-stereo-cbr128")).read_bytes())
    offsets = streams.frames(data)
    for offset in offsets[100:]:
        data[offset + 3] ^= 0x40
    path.write_bytes(data)
    page = visit()
    page.route("**/source", lambda route: route.fulfill(path=path, content_type="audio/mpeg"))
    whole = in_chromium(page, "/source", 44_100, 2)
    expected = streams.decode_ffmpeg(str(path))
    change = 99 * 1152 - index_of(str(path)).segments[0].skip
    wrong = [number // 2 - change for number, pair in enumerate(zip(whole, expected, strict=True)) if apart(*pair)]
    assert 0 <= wrong[0] <= wrong[-1] < 2 * 1152
    border = change / 44_100
    clip_path = tmp_path / "clip.mp3"
    page.route("**/clip", lambda route: route.fulfill(path=clip_path, content_type="audio/mpeg"))
    for start in (border - 1, border + 0.02, border + 0.06):
        span = span_of(index_of(str(path)), start, border + 1)
        clip_path.write_bytes(cut_bytes(str(path), span)[1])
        clip = in_chromium(page, "/clip", 44_100, 2)
        assert clip == samples(whole, span), start
    assert furthest(clip, samples(expected, span)) < FLOATS


def apart(one, other):
    return abs(one - other) > FLOATS


@pytest.mark.long
def test_firefox_decodes_the_samples_of_the_span(server, sources):
    wanted = [(kind, text) for kind in KINDS for text in SPANS]
    expected = [of_source(sources[kind], text) for kind, text in wanted]
    # A page on another port, so that it may post what it found; the clips come from the server itself.
    asked = [
        [url, rate, channels]
        for (kind, text), (_, _, rate, channels) in zip(wanted, expected, strict=True)
        for url in (f"{server.url}/clips/{kind}.mp3?t={text}", f"/source/{kind}")
    ]
    reports = in_firefox(asked, sources)
    assert len(reports) == 2 * len(wanted)
    for name, (decoded, span, *_), clip, source in zip(wanted, expected, reports[::2], reports[1::2], strict=True):
        assert len(clip) == len(decoded), name
        assert furthest(clip, samples(source, span)) <= STEP, name
        assert furthest(clip, decoded) <= 2 * STEP, name
