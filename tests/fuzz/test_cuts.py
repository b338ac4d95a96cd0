"""A short round of clips against their sources, the same ones each time; `make fuzz` has the long one."""

from array import array

import pytest

from fuzz import cuts, structure
from support import decoders, streams

STREAMS, CUTS = 48, 6


def test_clips_are_their_sources_where_decoders_agree():
    report = cuts.run(0, STREAMS, cuts=CUTS)
    assert not report.findings, "\n".join(f"stream {number}: {text}" for number, text in report.findings.items())
    # Most are compared, and most of these wholly: a round in which decoders never agree would try nothing.
    assert report.cuts > STREAMS * CUTS * 0.8
    assert report.outcomes["exact"] > report.cuts * 0.5
    assert report.outcomes["exact where decoders agree"]


def test_a_number_is_the_same_stream_each_time():
    for number in range(20):
        assert structure.stream(number) == structure.stream(number)
    assert len({structure.stream(number) for number in range(20)}) == 20


@pytest.mark.parametrize("how", ["late", "short", "loud"])
def test_a_clip_that_is_wrong_is_found(how, monkeypatch):
    """Each clip is the one of a span that begins later, that is shorter, or whose reservoir is another."""
    plan = cuts.cut

    def other(fd, span):
        if how == "loud":
            clip = plan(fd, span)
            return clip._replace(head=clip.head[:-20] + bytes(20))
        return plan(fd, span._replace(first=span.first + 1, last=span.last + (how == "late")))

    monkeypatch.setattr(cuts, "cut", other)
    monkeypatch.setattr(cuts, "stream", lambda number: (structure.CORPUS / "mpeg1-44-stereo-cbr128.mp3").read_bytes())
    report = cuts.run(0, 1, cuts=2)
    assert report.outcomes["wrong"]
    assert report.findings


@pytest.mark.parametrize("kind", sorted(path.stem for path in structure.CORPUS.glob("*.mp3")))
def test_a_repacked_stream_has_the_same_sound(kind, tmp_path):
    """What is repacked is the same main data in other frames: the decoder's samples do not change."""
    path = structure.CORPUS / f"{kind}.mp3"
    made = structure.parse(path.read_bytes())
    before = list(made.frames)
    assert made.join() == path.read_bytes()
    structure.repack(structure.random.Random(kind), made)
    assert made.frames != before
    (tmp_path / "repacked.mp3").write_bytes(made.join())
    assert streams.decode_ffmpeg(str(tmp_path / "repacked.mp3")) == streams.decode_ffmpeg(str(path))


def test_decoders_that_disagree_are_told_apart():
    quiet = array("f", [0.0]) * 5760
    other = quiet[:]
    other[2000] = 0.5
    assert cuts._apart(quiet, other, 1) == {2, 3, 4}
    assert cuts._apart(quiet, quiet, 1) == set()


@pytest.mark.parametrize("bits", [0x04, 0x48])
@pytest.mark.parametrize("begin", [0, 5])
def test_ffmpeg_hears_the_first_of_frames_that_differ(bits, begin, tmp_path):
    """What it makes of a source is what it makes of all frames: it takes the first for junk, and mutes what reaches back to it."""
    made = structure.parse((structure.CORPUS / "mpeg1-44-stereo-cbr128.mp3").read_bytes())
    frames = made.frames[begin:]
    (tmp_path / "alike.mp3").write_bytes(b"".join(frames))
    frames[0] = frames[0][:3] + bytes((frames[0][3] ^ bits,)) + frames[0][4:]
    (tmp_path / "source.mp3").write_bytes(b"".join(frames))
    source = cuts.Source.of(tmp_path / "source.mp3")
    alike, heard = decoders.ffmpeg([str(tmp_path / "alike.mp3"), source.ffmpeg_reference], gapless=False)
    values = 1152 * 2
    assert source.ahead
    assert not any(heard[:values])
    assert heard[values:] == alike


@pytest.mark.parametrize("number", [5037, 5044, 1883063742104828, 1883063742111024])
def test_streams_that_were_wrong_once(number):
    """Frames joined where nothing fits, which both decoders mute, each for a reason of its own; muted frames that have a CRC.

    First frames that differ, with main data that only one decoder plays; frames lost behind the first, so that the next reaches back to
    before the file.
    """
    report = cuts.run(number, 1)
    assert not report.findings
    assert report.cuts
