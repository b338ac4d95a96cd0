"""`slicer index --peaks`: the waveforms that the studio shows first, made in advance."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from mp3_slicer import distribution
from mp3_slicer.cli.batches import bar, map_bounded
from mp3_slicer.cli.errors import UsageError
from mp3_slicer.media.library import Catalog
from mp3_slicer.render.options import PARTS
from mp3_slicer.settings import Settings

if TYPE_CHECKING:
    from mp3_slicer.jobs.overviews import Drawn, Piece


class Waveforms(NamedTuple):
    """How many were made, were there already, and cannot be made."""

    made: int
    known: int
    refused: int

    def __str__(self) -> str:
        return f"waveforms: {self.made} made, {self.known} already made, {self.refused} refused"


def loaded() -> "Callable[[Settings, list[Piece]], list[Drawn]]":
    """Load what makes waveforms. Raises UsageError if packages are missing."""
    try:
        from mp3_slicer.jobs.overviews import draw_batch
    except ImportError as error:
        raise UsageError(
            f"renders need packages that are missing ({error.name}): {distribution.pip_install('renders')}"
        ) from None
    return draw_batch


def draw_all(
    draw: "Callable[[list[Piece]], list[Drawn]]",
    pool: ProcessPoolExecutor,
    jobs: int,
    library: Catalog,
    refused: set[bytes],
) -> Waveforms:
    """Make the waveforms of all files but those that could not be indexed: long ones last, each by all processes."""
    from mp3_slicer.jobs.overviews import Piece

    made = known = 0
    complaints: dict[bytes, str] = {}
    long: list[bytes] = []
    files = (Piece(entry.path) for entry in library.list() if entry.path not in refused)
    with bar(None) as shown:
        for (drawn,) in map_bounded(pool, draw, files, jobs, batch=1):
            if drawn.parts:
                long.append(drawn.path)
                continue
            shown.update()
            made, known = made + drawn.is_new, known + (not drawn.is_new and not drawn.complaint)
            _complain(drawn, complaints)
        pieces = (Piece(path, part) for path in long for part in range(1, PARTS + 1))
        for (drawn,) in map_bounded(pool, draw, pieces, jobs, batch=1):
            _complain(drawn, complaints)
            shown.update(1 / PARTS)
    failed = len(complaints.keys() & set(long))
    return Waveforms(made + len(long) - failed, known, len(complaints))


def _complain(drawn: "Drawn", complaints: dict[bytes, str]) -> None:
    """Show why a file has no waveform, once."""
    if drawn.complaint and drawn.path not in complaints:
        complaints[drawn.path] = drawn.complaint
        tqdm.write(f"{os.fsdecode(drawn.path)}: {drawn.complaint}", file=sys.stderr)
