"""A transcript as the catalogue stores it: in parts of half an hour, each packed."""

import zlib
from collections.abc import Sequence

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
    """A line for each cue: the time since the last start, the length, the speaker and what is said."""
    lines, before, speaker = [], 0, ""
    for cue in cues:
        said = cue.text.replace("\n", " ").replace("\t", " ")
        who = "=" if cue.speaker == speaker else cue.speaker.replace("\t", " ").removeprefix("=")
        lines.append(f"{cue.start - before}\t{cue.end - cue.start}\t{who}\t{said}")
        before, speaker = cue.start, cue.speaker
    return zlib.compress("\n".join(lines).encode("utf-8", "replace"), 6)


def unpack(data: bytes) -> list[Cue]:
    """The cues again, with blanks for ends of lines. Raises ValueError and zlib.error on what was not packed."""
    text = zlib.decompressobj().decompress(data, _MOST_UNPACKED).decode()
    made, start, speaker = [], 0, ""
    for line in text.split("\n"):
        since, length, who, said = line.split("\t")
        start += int(since)
        speaker = speaker if who == "=" else who
        made.append(Cue(start, start + int(length), said, speaker))
    return made


def words(cues: Sequence[Cue]) -> str:
    """The words of a part, as the index takes them."""
    return " ".join(word for cue in cues for word in tokens(cue.text))
