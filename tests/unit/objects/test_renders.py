"""Renders, waveforms and jobs of an object: the same results as those of a file, from a few requests."""

from pathlib import Path

import pytest

from mp3_slicer.jobs.order import peaks_order, render_order
from mp3_slicer.jobs.work import Maker, job_limits
from mp3_slicer.mp3 import FileReader
from mp3_slicer.render import Limits, PeaksRequest, RenderRequest
from mp3_slicer.render.audio.render import render
from mp3_slicer.render.peaks import peaks
from mp3_slicer.settings import Settings
from support.crooked import crooked
from support.cutting import index_of

pytestmark = pytest.mark.decodes


def test_jobs_of_an_object_read_each_span_once(cbr: str, tmp_path: Path) -> None:
    joined = RenderRequest.parse("wav", [("t", "1,6"), ("t", "8,14"), ("crossfade", "1")])
    drawn = PeaksRequest.parse("json", [("zoom", "2000")])
    folders = {f"{name}_dir": str(tmp_path / name) for name in ("index", "results", "scratch")}
    with crooked(Path(cbr).read_bytes()) as origin, open(cbr, "rb") as file:
        settings = Settings(media=origin.url, **folders)  # type: ignore[arg-type]
        maker = Maker(settings)
        maker.prepare()
        source = maker._library.open(b"show.mp3")
        index = maker._indexes.get(source)
        origin.asked.clear()
        order = render_order(joined, b"show.mp3", source.identity, index, job_limits(settings), "/renders/show.wav")
        maker.make(order, lambda _: None)
        # One to open it, and one for each span.
        assert len(origin.asked) == 3
        found = maker._producer.find(order.key)
        assert found is not None
        with render(joined, FileReader(file.fileno()), index_of(cbr), Limits()) as made:
            assert b"".join(found.content.pieces(0, found.content.length)) == made.read()
        origin.asked.clear()
        other = peaks_order(drawn, b"show.mp3", source.identity, index, "/peaks/show.json")
        maker.make(other, lambda _: None)
        assert len(origin.asked) <= 3
        coarse = PeaksRequest.parse("json", [("coarse", "1"), ("zoom", "100000")])
        origin.asked.clear()
        assert peaks(coarse, source, index, Limits()) == peaks(
            coarse, FileReader(file.fileno()), index_of(cbr), Limits()
        )
        assert len(origin.asked) == 1
