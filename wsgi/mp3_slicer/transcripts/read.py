"""A transcript from the bytes of a file: which reader it is for, and in which encoding it is."""

from mp3_slicer.encoded import decoded, told
from mp3_slicer.transcripts.cues import MOST_BYTES, Flaw, Transcript
from mp3_slicer.transcripts.forms import read_json
from mp3_slicer.transcripts.lines import read_cues, read_marks
from mp3_slicer.transcripts.ohms import read_ohms

#: What the names of transcripts end in, the one that says most first.
ENDINGS = (b".vtt", b".srt", b".json", b".xml", b".txt")


def read(ending: bytes, data: bytes, fallback: str) -> Transcript:
    """Read a file whose name ends so. `fallback` is the encoding of what is not UTF-8. Whatever the bytes are, this returns."""
    form = ending.decode("ascii").lstrip(".")
    if len(data) > MOST_BYTES:
        return Transcript(form, (), (Flaw(f"it is larger than {MOST_BYTES >> 20} MiB"),))
    if ending == b".xml":
        return read_ohms(data)
    text, line = decoded(data, fallback)
    if ending == b".json":
        made = read_json(text)
    elif ending == b".txt" and "->" not in text:
        made = read_marks(text)
    else:
        made = read_cues(text, form)
    return made if line is None else made._replace(flaws=(Flaw(told(fallback), line), *made.flaws))
