"""The transcript of a source among the files beside it."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from mp3_slicer.errors import parsed
from mp3_slicer.transcripts.cues import Flaw, Transcript
from mp3_slicer.transcripts.read import read


class Choice(NamedTuple):
    """What became of the files beside a source."""

    name: str | None  #: of the file whose transcript it is; None where no file has one
    transcript: Transcript
    flaws: tuple[tuple[str, Flaw], ...]  #: of every file that was read, with its name


def choose(files: Iterable[tuple[str, bytes, bytes]], fallback: str) -> Choice:
    """Take the first that has a cue. Each file is its name, what that ends in, and its bytes; those behind that one are not read.

    A defect of a reader is a flaw of the file.
    """
    flaws: list[tuple[str, Flaw]] = []
    for name, ending, data in files:
        transcript, reason = parsed(partial(read, ending, data, fallback), Transcript("", ()))
        flaws += [(name, flaw) for flaw in (*transcript.flaws, *([Flaw(reason)] if reason else ()))]
        if transcript.cues:
            return Choice(name, transcript, tuple(flaws))
    return Choice(None, Transcript("", ()), tuple(flaws))
