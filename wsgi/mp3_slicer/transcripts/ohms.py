"""OHMS XML of oral histories: version 5.4 with marks of minutes in lines of text, version 6.0 with VTT in an element."""

import re
from typing import Any, NoReturn
from xml.parsers import expat

from mp3_slicer.transcripts.cues import Collector, Transcript
from mp3_slicer.transcripts.lines import read_cues

#: Elements within elements at most.
MOST_DEPTH = 32
_TEXTS = frozenset(("sync", "transcript", "vtt_transcript"))
_MINUTE = 60_000
#: Of a mark: the line, from 1, and the word in it at which the next interval begins.
_MARK = re.compile(r"\s*([0-9]{1,7})(?:\(([0-9]{1,5})\))?\s*", re.ASCII)
_MOST_MARKS = 10_000


class _Reader:
    """Collects the text of the elements that matter."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.refused = ""  #: why nothing of the file is taken
        self._depth = 0
        self._within = ""

    def start(self, name: str, _: dict[str, str]) -> None:
        """Begin an element."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._refuse("it is nested too deep")
        if name in _TEXTS and not self._within:
            self._within = name

    def end(self, name: str) -> None:
        """End an element."""
        self._depth -= 1
        if name == self._within:
            self._within = ""

    def data(self, text: str) -> None:
        """Take text."""
        if self._within:
            self.texts.setdefault(self._within, []).append(text)

    def entity(self, *_: Any) -> NoReturn:
        """Refuse entities: they inflate (CVE-2003-1564), and may name files."""
        self._refuse("it declares entities")

    def _refuse(self, reason: str) -> NoReturn:
        self.refused = reason
        raise expat.ExpatError(reason)


def read_ohms(data: bytes) -> Transcript:
    """Read either version. What stands before a mistake in the XML is read."""
    collector = Collector()
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.EntityDeclHandler = reader.entity
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        # An encoding that Python does not know, or cannot tell bytes of, is none of expat's own errors.
        if reader.refused:
            collector.flaw(f"it is no transcript: {reader.refused}", parser.CurrentLineNumber)
            return collector.transcript("ohms")
        collector.flaw(f"it is not XML to its end: {error}", parser.CurrentLineNumber)
    texts = {name: "".join(parts) for name, parts in reader.texts.items()}
    if texts.get("vtt_transcript", "").strip():
        made = read_cues(texts["vtt_transcript"], "ohms")
        return made._replace(flaws=(*collector.transcript("ohms").flaws, *made.flaws))
    _marked(collector, texts.get("sync", ""), texts.get("transcript", ""))
    return collector.transcript("ohms")


def _marked(collector: Collector, sync: str, text: str) -> None:
    """Add what is said between one mark and the next."""
    interval, colon, marks = sync.partition(":")
    minutes = int(interval) if interval.strip().isdecimal() and len(interval) < 4 else 0
    if not text.strip():
        collector.flaw("it has no transcript")
        return
    if not colon or not minutes:
        collector.flaw("its transcript has no marks of time")
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    words = [line.split() for line in lines]
    position, number = (0, 0), 0
    for part in marks.split("|")[:_MOST_MARKS]:
        match = _MARK.fullmatch(part)
        if match is None:
            if part.strip():
                collector.flaw(f"the mark {part.strip()[:20]!r} names no line")
            continue
        mark = (min(int(match[1]), len(lines)) - 1, int(match[2] or 0))
        # The first mark ends the first interval.
        if mark > position:
            start = number * minutes * _MINUTE
            collector.add(start, start + minutes * _MINUTE, _between(words, position, mark))
            position = mark
        number += 1
    collector.add(number * minutes * _MINUTE, None, _between(words, position, (len(lines), 0)))


def _between(lines: list[list[str]], begin: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one line and word to another, of lines of words."""
    (first, after), (last, until) = begin, end
    if first == last:
        return " ".join(lines[first][after:until])
    parts = [lines[first][after:], *lines[first + 1 : last]]
    if last < len(lines):
        parts.append(lines[last][:until])
    return "\n".join(map(" ".join, parts))
