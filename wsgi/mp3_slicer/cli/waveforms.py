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
from mp3_slicer.settings import Settings

if TYPE_CHECKING:
    from mp3_slicer.jobs.overviews import Drawn


class Waveforms(NamedTuple):
    """How many were made, were there already, and cannot be made."""

    made: int
    known: int
    refused: int

    def __str__(self) -> str:
        return f"waveforms: {self.made} made, {self.known} already made, {self.refused} refused"


def loaded() -> Callable[[Settings, list[bytes]], "list[Drawn]"]:
    """Load what makes waveforms. Raises UsageError if packages are missing."""
    try:
        from mp3_slicer.jobs.overviews import draw_batch
    except ImportError as error:
        raise UsageError(
            f"renders need packages that are missing ({error.name}): {distribution.pip_install('renders')}"
        ) from None
    return draw_batch


def draw_all(
    draw: "Callable[[list[bytes]], list[Drawn]]",
    pool: ProcessPoolExecutor,
    jobs: int,
    library: Catalog,
    refused: set[bytes],
) -> Waveforms:
    """Make the waveforms of all files but those that could not be indexed."""
    counts = {"made": 0, "known": 0, "refused": 0}
    paths = (entry.path for entry in library.list() if entry.path not in refused)
    with bar(None) as shown:
        for found in map_bounded(pool, draw, paths, jobs, batch=1):
            for path, complaint, is_new in found:
                shown.update()
                counts["refused" if complaint else "made" if is_new else "known"] += 1
                if complaint:
                    tqdm.write(f"{os.fsdecode(path)}: {complaint}", file=sys.stderr)
    return Waveforms(**counts)
