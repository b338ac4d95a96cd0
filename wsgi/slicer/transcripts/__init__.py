"""Transcripts: what was said and when, read from the files that lie beside a source. Bytes in, cues out; nothing here opens a file."""

from slicer.transcripts.choose import Choice, choose
from slicer.transcripts.cues import MOST_BYTES, MOST_CUES, Cue, Flaw, Transcript, snapped, within
from slicer.transcripts.read import ENDINGS, read
from slicer.transcripts.write import FORMS, write

__all__ = [
    "ENDINGS",
    "FORMS",
    "MOST_BYTES",
    "MOST_CUES",
    "Choice",
    "Cue",
    "Flaw",
    "Transcript",
    "choose",
    "read",
    "snapped",
    "within",
    "write",
]
