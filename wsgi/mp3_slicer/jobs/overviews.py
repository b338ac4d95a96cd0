"""Waveforms of whole files, made before a client asks for them: `slicer index --peaks`."""

from typing import NamedTuple

from mp3_slicer.errors import reason_of
from mp3_slicer.jobs.work import Maker
from mp3_slicer.render import PeaksRequest
from mp3_slicer.settings import Settings

#: What the studio asks for first (studio/peaks.js). The same options in another order are the same waveform.
OPTIONS = (("t", "0"), ("pixels", "20000"), ("bits", "8"))


class Piece(NamedTuple):
    """A file, or a part of its waveform."""

    path: bytes
    part: int = 0  #: 0 for the file


class Drawn(NamedTuple):
    """What became of a piece."""

    path: bytes
    complaint: str = ""  #: why it has no waveform; empty for nothing
    is_new: bool = False  #: whether it had none before
    parts: int = 0  #: the number of parts by which its waveform is to be made; 0 if it is made


def draw_batch(settings: Settings, pieces: list[Piece]) -> list[Drawn]:
    """Make the waveforms of short files, say by how many parts those of long ones are made, and make parts, as results.

    The last part of a file makes its whole waveform. Errors are part of the result.
    """
    maker = Maker(settings)
    maker.prepare()
    return [_drawn(maker, *piece) for piece in pieces]


def _drawn(maker: Maker, path: bytes, part: int) -> Drawn:
    whole = PeaksRequest.parse("dat", OPTIONS)
    try:
        if part:
            maker.draw(path, whole.parts[part - 1])
            return Drawn(path, is_new=True)
        parts = maker.parts_to_draw(path, whole)
        return Drawn(path, parts=parts) if parts else Drawn(path, is_new=maker.draw(path, whole))
    except Exception as error:  # of any kind: one file never ends the work on the others
        return Drawn(path, reason_of(error))
