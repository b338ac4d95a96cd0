"""A transcript from the bytes of a file: which reader it is for, and in which encoding it is."""

import codecs

from mp3_slicer.transcripts.cues import MOST_BYTES, Flaw, Transcript
from mp3_slicer.transcripts.forms import read_json
from mp3_slicer.transcripts.lines import read_cues, read_marks
from mp3_slicer.transcripts.ohms import read_ohms

#: What the names of transcripts end in, the one that says most first.
ENDINGS = (b".vtt", b".srt", b".json", b".xml", b".txt")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read(ending: bytes, data: bytes, fallback: str) -> Transcript:
    """Read a file whose name ends so. `fallback` is the encoding of what is not UTF-8. Whatever the bytes are, this returns."""
    form = ending.decode("ascii").lstrip(".")
    if len(data) > MOST_BYTES:
        return Transcript(form, (), (Flaw(f"it is larger than {MOST_BYTES >> 20} MiB"),))
    if ending == b".xml":
        return read_ohms(data)
    text, flaws = _decoded(data, fallback)
    if ending == b".json":
        made = read_json(text)
    elif ending == b".txt" and "->" not in text:
        made = read_marks(text)
    else:
        made = read_cues(text, form)
    return made._replace(flaws=(*flaws, *made.flaws)) if flaws else made


def _decoded(data: bytes, fallback: str) -> tuple[str, tuple[Flaw, ...]]:
    if data.startswith(_UTF16):
        return data.decode("utf-16", "replace"), ()
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return data.decode(fallback, "replace"), (Flaw(f"it is not UTF-8; it is read as {fallback}", line),)
