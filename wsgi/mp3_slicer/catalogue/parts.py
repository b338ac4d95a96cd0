"""A transcript as the catalogue stores it: in parts of half an hour, each packed."""

import json
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import add

from mp3_slicer.catalogue.fold import tokens
from mp3_slicer.transcripts import Cue

#: Milliseconds of a part: what a search must read to find the place is never longer.
PART = 1_800_000
_MOST_UNPACKED = 64 << 20


def split(cues: Sequence[Cue]) -> list[list[Cue]]:
    """The cues by the part in which they begin; parts without any are left out."""
    made: list[list[Cue]] = []
    number = -1
    for cue in cues:
        if cue.start // PART != number:
            number = cue.start // PART
            made.append([])
        made[-1].append(cue)
    return made


def pack(cues: Sequence[Cue]) -> bytes:
    """Four columns: the time since the last start, the length, the speaker and what is said. Ends of lines become blanks."""
    starts = [cue.start for cue in cues]
    columns = (
        [start - before for before, start in pairwise([0, *starts])],
        [cue.end - cue.start for cue in cues],
        [cue.speaker for cue in cues],
        [cue.text.replace("\n", " ") for cue in cues],
    )
    return zlib.compress(json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"), 6)


def unpack(data: bytes) -> list[Cue]:
    """The cues again. Raises ValueError and zlib.error on what was not packed."""
    since, lengths, speakers, said = json.loads(zlib.decompressobj().decompress(data, _MOST_UNPACKED))
    starts = list(accumulate(since))
    return list(map(Cue._make, zip(starts, map(add, starts, lengths), said, speakers, strict=True)))


def words(cues: Sequence[Cue]) -> str:
    """The words of a part, as the index takes them."""
    return " ".join(word for cue in cues for word in tokens(cue.text))
