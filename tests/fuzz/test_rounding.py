"""What `python -m fuzz.rounding` tells: small differences of mpg123, and none where there is none."""

from pathlib import Path

import pytest

from fuzz import cuts, rounding
from fuzz.structure import CORPUS


@pytest.mark.parametrize("kind", ["mpeg1-44-stereo-cbr128", "mpeg1-44-mono-cbr32", "mpeg2-22-joint-cbr64"])
def test_clips_are_near_their_sources(kind: str, tmp_path: Path) -> None:
    found = rounding.measure(CORPUS / f"{kind}.mp3", tmp_path)
    assert found.clips == rounding.CLIPS
    assert 0 < found.exact <= found.clips
    assert found.values > 4410 * found.clips / 4
    assert found.furthest <= cuts.ROUNDING
    assert found.furthest_off <= 1
    assert found.off < found.values / 1000
    assert (found.exact == found.clips) == (found.furthest == 0)


def test_a_clip_that_is_wrong_is_far_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = cuts.cut
    monkeypatch.setattr(
        cuts,
        "cut",
        lambda fd, span: plan(fd, span._replace(first=max(0, span.first - 1), last=span.last - min(1, span.first))),
    )
    found = rounding.measure(CORPUS / "mpeg1-44-stereo-cbr128.mp3", tmp_path)
    # A clip of all that there is stays as it is.
    assert found.exact < found.clips
    assert found.furthest > 1e-3
    assert found.furthest_off > 30


def test_files_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    for name, content in (("none.mp3", b""), ("text.mp3", b"no audio " * 1000)):
        (tmp_path / name).write_bytes(content)
        assert rounding.measure(tmp_path / name, tmp_path) == rounding.Rounding()
