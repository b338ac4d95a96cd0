"""Transcripts: what was said and when, read from the files that lie beside a source. Bytes in, cues out; nothing here opens a file."""

from mp3_slicer.transcripts.choose import Choice, choose
from mp3_slicer.transcripts.cues import MOST_BYTES, MOST_CUES, Cue, Flaw, Transcript, snapped, within
from mp3_slicer.transcripts.ohms import Point, read_points
from mp3_slicer.transcripts.read import ENDINGS, read
from mp3_slicer.transcripts.write import FORMS, write

__all__ = [
    "ENDINGS",
    "FORMS",
    "MOST_BYTES",
    "MOST_CUES",
    "Choice",
    "Cue",
    "Flaw",
    "Point",
    "Transcript",
    "choose",
    "read",
    "read_points",
    "snapped",
    "within",
    "write",
]
