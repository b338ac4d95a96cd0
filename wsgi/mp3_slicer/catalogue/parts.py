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
#: What a number of JSON is exact up to, in milliseconds.
_MOST_TIME = 1 << 53


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
    try:
        columns = json.loads(zlib.decompressobj().decompress(data, _MOST_UNPACKED))
    except RecursionError:
        raise ValueError("it was not packed") from None
    if type(columns) is not list or [_kinds(column) for column in columns] != [{int}, {int}, {str}, {str}]:
        raise ValueError("it was not packed")
    since, lengths, speakers, said = columns
    starts = list(accumulate(since))
    if min(*starts, *lengths, 0) < 0 or max(starts) + max(lengths) > _MOST_TIME:
        raise ValueError("its times cannot be")
    return list(map(Cue._make, zip(starts, map(add, starts, lengths), said, speakers, strict=True)))


def _kinds(column: object) -> set[type]:
    """The types in a column; none of what is no column."""
    return set(map(type, column)) if type(column) is list else set()


def words(cues: Sequence[Cue]) -> str:
    """The words of a part, as the index takes them."""
    return " ".join(word for cue in cues for word in tokens(cue.text))
