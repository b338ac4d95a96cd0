"""OHMS XML of oral histories: version 5.4 with marks of minutes in lines of text, version 6.0 with VTT in an element; and its index."""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, NoReturn
from xml.parsers import expat

from mp3_slicer.transcripts.cues import MOST_BYTES, MOST_TEXT, MOST_TIME, Collector, Transcript, clean
from mp3_slicer.transcripts.lines import read_cues
from mp3_slicer.transcripts.times import milliseconds

#: Elements within elements at most.
MOST_DEPTH = 32
_TEXTS = frozenset(("sync", "transcript", "vtt_transcript"))
_OF_POINT = frozenset(("time", "title"))
_MOST_POINTS = 10_000
_MINUTE = 60_000
#: Of a mark: the line, from 1, and the word in it at which the next interval begins.
_MARK = re.compile(r"\s*([0-9]{1,7})(?:\(([0-9]{1,5})\))?\s*", re.ASCII)
_MOST_MARKS = 10_000


class Point(NamedTuple):
    """A point of the index."""

    start: int  #: milliseconds
    title: str


class _Bounded:
    """Walks through the elements of a file, which may neither be nested too deep nor declare entities."""

    def __init__(self) -> None:
        self.refused = ""  #: why nothing of the file is taken
        self._depth = 0

    def start(self, name: str, _: dict[str, str]) -> None:
        """Begin an element."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._refuse("it is nested too deep")

    def end(self, name: str) -> None:
        """End an element."""
        self._depth -= 1

    def data(self, text: str) -> None:
        """Take text."""

    def entity(self, *_: Any) -> NoReturn:
        """Refuse entities: they inflate (CVE-2003-1564), and may name files."""
        self._refuse("it declares entities")

    def _refuse(self, reason: str) -> NoReturn:
        self.refused = reason
        raise expat.ExpatError(reason)

    def walk(self, data: bytes) -> tuple[str, int]:
        """Walk through a file up to a mistake in it; the mistake, empty for none, and its line."""
        parser = expat.ParserCreate()
        # Otherwise each line comes as two pieces.
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.data
        parser.EntityDeclHandler = self.entity
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            # An encoding that Python does not know, or cannot tell bytes of, is none of expat's own errors.
            # What is buffered is given out.
            parser.buffer_text = False
            return str(error), parser.CurrentLineNumber
        return "", 0


class _Texts(_Bounded):
    """Collects the text of the elements that matter of a transcript."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.has_points = False
        self._within = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        self.has_points = self.has_points or name == "point"
        if name in _TEXTS and not self._within:
            self._within = name

    def end(self, name: str) -> None:
        super().end(name)
        if name == self._within:
            self._within = ""

    def data(self, text: str) -> None:
        if self._within:
            self.texts.setdefault(self._within, []).append(text)


class _Points(_Bounded):
    """Collects time and title of each point of the index."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[dict[str, str]] = []
        self._point: dict[str, str] | None = None
        self._within = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        if name == "point" and len(self.points) < _MOST_POINTS:
            self._point = {}
            self.points.append(self._point)
        elif self._point is not None and name in _OF_POINT:
            self._within = name

    def end(self, name: str) -> None:
        super().end(name)
        if name == self._within:
            self._within = ""
        elif name == "point":
            self._point = None

    def data(self, text: str) -> None:
        if self._within and self._point is not None:
            said = self._point.get(self._within, "")
            if len(said) < MOST_TEXT:
                self._point[self._within] = said + text


def read_points(data: bytes) -> tuple[list[Point], str]:
    """The points of the index, and what is wrong with it, empty for nothing. Whatever the bytes are, this returns."""
    if len(data) > MOST_BYTES:
        return [], ""
    reader = _Points()
    mistake, _ = reader.walk(data)
    if reader.refused:
        return [], ""
    found = [(milliseconds(each.get("time", "")), clean(each.get("title", ""))) for each in reader.points]
    made = [Point(start, title) for start, title in found if start is not None and start <= MOST_TIME]
    # Of a file that is no XML, the reader of transcripts says so.
    missing = 0 if mistake else len(found) - len(made)
    return made, f"{missing} of the points of its index have no time that can be read" if missing else ""


def read_ohms(data: bytes) -> Transcript:
    """Read either version. What stands before a mistake in the XML is read."""
    collector = Collector()
    reader = _Texts()
    mistake, line = reader.walk(data)
    if mistake:
        if reader.refused:
            collector.flaw(f"it is no transcript: {reader.refused}", line)
            return collector.transcript("ohms")
        collector.flaw(f"it is not XML to its end: {mistake}", line)
    texts = {name: "".join(parts) for name, parts in reader.texts.items()}
    if texts.get("vtt_transcript", "").strip():
        made = read_cues(texts["vtt_transcript"], "ohms")
        return made._replace(flaws=(*collector.transcript("ohms").flaws, *made.flaws))
    # A record may have an index alone.
    if not reader.has_points or texts.get("transcript", "").strip():
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
    # The words of a line in which an interval ends are those of the line in which the next begins.
    words = lru_cache(maxsize=2)(lambda number: lines[number].split())
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
            collector.add(start, start + minutes * _MINUTE, _between(lines, words, position, mark))
            position = mark
        number += 1
    collector.add(number * minutes * _MINUTE, None, _between(lines, words, position, (len(lines), 0)))


def _between(lines: list[str], words: Callable[[int], list[str]], begin: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one line and word to another; `words` splits a line."""
    (first, after), (last, until) = begin, end
    if first == last:
        return " ".join(words(first)[after:until])
    parts = [" ".join(words(first)[after:]), *(" ".join(line.split()) for line in islice(lines, first + 1, last))]
    if last < len(lines):
        parts.append(" ".join(words(last)[:until]))
    return "\n".join(parts)
