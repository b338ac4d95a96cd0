"""Waveforms of whole files, made before a client asks for them: `slicer index --peaks`."""

from typing import NamedTuple

from mp3_slicer.errors import reason_of
from mp3_slicer.jobs.work import Maker
from mp3_slicer.render import PeaksRequest
from mp3_slicer.settings import Settings

#: What the studio asks for first (studio/peaks.js). The same options in another order are the same waveform.
OPTIONS = (("t", "0"), ("pixels", "20000"), ("bits", "8"))


class Drawn(NamedTuple):
    """What became of a file."""

    path: bytes
    complaint: str  #: why it has no waveform; empty for nothing
    is_new: bool  #: whether it had none before


def draw_batch(settings: Settings, paths: list[bytes]) -> list[Drawn]:
    """Make the waveforms of files, each as a whole, and store them as results. Errors are part of the result."""
    maker = Maker(settings)
    maker.prepare()
    waveform = PeaksRequest.parse("dat", OPTIONS)
    found: list[Drawn] = []
    for path in paths:
        try:
            found.append(Drawn(path, "", maker.draw(path, waveform)))
        except Exception as error:  # of any kind: one file never ends the work on the others
            found.append(Drawn(path, reason_of(error), False))
    return found
