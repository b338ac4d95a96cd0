"""Renders and waveforms through Nginx: what shares an entry of the cache, and ranges out of it."""

import re

import jinja2
import pytest

from mp3_slicer.render import PeaksRequest, RenderRequest
from support.edge import ROLE, site

FORMS = [
    ("t={0},4", ["t=npt:{0},4", "t={0}0,4.0", "t={0}%2C4", "&t={0},4", "t={0},4&gain=0", "t={0},4&fade=0,0", "t={0},4&download"]),
    (
        "t={0},4&t=1,2&fade=0.5,0&gain=-3.5",
        ["gain=-3.50&t={0},4&fade=0.5,0&t=1,2", "t={0},4&t=0:00:01,2&fade=.5,0&gain=-3.5".replace("=.5", "=00.5")],
    ),
    ("t={0},4&normalize=ebu:-23&channels=1&rate=22050", ["t={0},4&rate=22050&channels=1&normalize=ebu"]),
    ("t={0},4&trim=-60", ["trim=-60.0&t={0},4", "download=x&t={0},4&trim=-60"]),
]  # fmt: skip


@pytest.fixture
def moment(spans):
    """A time that no other test of the cache begins with."""
    return f"3.{next(spans):07d}1"


@pytest.mark.parametrize(("canonical", "spellings"), FORMS)
def test_every_spelling_of_a_render_shares_its_entry(canonical, spellings, edge, tap, server, moment):
    url = f"/renders/show.wav?{canonical.format(moment)}"
    first = edge.get(f"/renders/show.wav?{spellings[0].format(moment)}")
    assert (first.status, first.cache) == (200, "MISS")
    assert first.headers["content-location"] == url
    for spelling in (*spellings, canonical):
        again = edge.get(f"/renders/show.wav?{spelling.format(moment)}")
        assert (again.status, again.cache, again.body) == (200, "HIT", first.body), spelling
        assert ("content-disposition" in again.headers) == ("download" in spelling)
    assert first.body == server.get(url)[2]
    # One came from the slicer with a body; of other spellings it only said which that is.
    assert sum("content-length: 0" not in answer.lower() for _, answer in tap.seen) == 1


def test_every_spelling_of_a_waveform_shares_its_entry(edge, tap, moment):
    url = f"/peaks/show.json?t={moment},4&pixels=100&bits=8"
    assert edge.get(f"/peaks/show.mp3?pixels=100&t={moment},4").cache == "MISS"
    for spelling in (
        f"/peaks/show.json?pixels=100&t={moment}0,4",
        f"/peaks/show.mp3?t={moment},4&pixels=100&bits=8",
        url,
    ):
        again = edge.get(spelling)
        assert (again.status, again.cache, again.headers["content-location"]) == (200, "HIT", url)
    assert sum("content-length: 0" not in answer.lower() for _, answer in tap.seen) == 1


def test_ranges_and_conditions_are_answered_out_of_the_cache(edge, tap, moment):
    url = f"/renders/show.ogg?t={moment},4"
    part = edge.get(url, Range="bytes=0-9")
    whole = edge.get(url)
    assert (part.status, part.body) == (206, whole.body[:10])
    assert edge.get(url, Range="bytes=-5").body == whole.body[-5:]
    assert edge.get(url, If_None_Match=whole.headers["etag"]).status == 304
    assert tap.targets == [url]


def test_refusals_are_kept_and_said_for_what_was_asked(edge, tap, moment):
    for target, status in (
        (f"/renders/show.wav?t={moment},4&gain=99", 400),
        (f"/renders/nobody.wav?t={moment},4", 404),
        (f"/renders/show.xyz?t={moment},4", 400),
        (f"/peaks/nobody.dat?t={moment},4&pixels=10&bits=8", 404),
    ):
        first, second = edge.get(target), edge.get(target)
        assert (first.status, second.status) == (status, status)
        assert first.headers["content-type"] == "application/problem+json"
        assert first.body == second.body


def pattern(name):
    """The regular expression by which Nginx knows a canonical query."""
    text = (ROLE / "templates" / "macros.j2").read_text()
    return getattr(jinja2.Environment().from_string(text).module, name)


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("t", "1")],
        [("t", "0:10:00.5,11:00"), ("t", "1.000000001,2")],
        [("t", "1,9"), ("t", "10,19"), ("fade", "0.125,60"), ("normalize", "peak"), ("channels", "2"), ("crossfade", "0.5")],
        [("t", "1,2"), ("gain", "-60"), ("rate", "48000"), ("speed", "1.005"), ("trim", "-20.5"), ("bitrate", "320")],
        [("t", "1,2"), ("gain", "0.001"), ("normalize", "ebu:-9.25")][:2],
        [("t", "1,2"), ("normalize", "ebu:-9.25")],
        [("t", "1,2"), ("normalize", "peak:0")],
    ],
)  # fmt: skip
def test_nginx_knows_every_canonical_query_of_a_render(pairs):
    assert re.fullmatch(pattern("render"), RenderRequest.parse("mp3", pairs).canonical)


@pytest.mark.parametrize("pairs", [[], [("t", "1,2"), ("zoom", "256")], [("pixels", "1000000"), ("bits", "16")]])
def test_nginx_knows_every_canonical_query_of_a_waveform(pairs):
    assert re.fullmatch(pattern("peaks"), PeaksRequest.parse("json", pairs).canonical)


def test_a_site_without_a_cache_gives_ranges_too(front, server, moment):
    edge = front(site(server.port, cache_mib=0))
    url = f"/renders/show.wav?t={moment},4"
    part = edge.get(url, Range="bytes=0-9")
    assert (part.status, part.body) == (206, server.get(url)[2][:10])
    again = edge.get(f"/peaks/show.dat?t={moment},4", Range="bytes=0-3")
    assert (again.status, again.body) == (206, b"\2\0\0\0")
