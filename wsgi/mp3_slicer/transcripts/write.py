"""Cues as files: WebVTT, SRT, JSON of Podcasting 2.0, and plain text."""

import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mp3_slicer.transcripts.cues import Cue

_ARROW = re.compile(r"-+>")


class Form(NamedTuple):
    """A form that a transcript is given out in."""

    content_type: str
    write: Callable[[Sequence[Cue]], str]


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"


def _times(cue: Cue, point: str) -> str:
    return f"{_clock(cue.start, point)} --> {_clock(cue.end, point)}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _vtt(cues: Sequence[Cue]) -> str:
    blocks = ["WEBVTT"]
    for cue in cues:
        voice = f"<v {_escaped(cue.speaker)}>" if cue.speaker else ""
        blocks.append(f"{_times(cue, '.')}\n{voice}{_escaped(cue.text)}")
    return "\n\n".join(blocks) + "\n"


def _srt(cues: Sequence[Cue]) -> str:
    blocks = []
    for number, cue in enumerate(cues, 1):
        said = f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text
        # There is no way to escape what begins a cue.
        blocks.append(f"{number}\n{_times(cue, ',')}\n{_ARROW.sub('→', said)}\n")
    return "\n".join(blocks)


def _json(cues: Sequence[Cue]) -> str:
    segments = [
        {
            **({"speaker": cue.speaker} if cue.speaker else {}),
            "startTime": cue.start / 1000,
            "endTime": cue.end / 1000,
            "body": cue.text,
        }
        for cue in cues
    ]
    return json.dumps({"version": "1.0.0", "segments": segments}, ensure_ascii=False) + "\n"


def _text(cues: Sequence[Cue]) -> str:
    lines, speaker = [], ""
    for cue in cues:
        said = cue.text.replace("\n", " ")
        lines.append(f"{cue.speaker}: {said}" if cue.speaker and cue.speaker != speaker else said)
        speaker = cue.speaker
    return "".join(f"{line}\n" for line in lines)


#: By what the name in a URL ends in.
FORMS = {
    "vtt": Form("text/vtt; charset=utf-8", _vtt),
    "srt": Form("application/x-subrip; charset=utf-8", _srt),
    "json": Form("application/json", _json),
    "txt": Form("text/plain; charset=utf-8", _text),
}


def write(cues: Sequence[Cue], form: str) -> bytes:
    """The cues in a form. Raises KeyError for one that is none."""
    return FORMS[form].write(cues).encode("utf-8", "replace")
