"""Cues, and what collects them: bounded in number, with clean text, in order, each with an end."""

import html
import re
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

#: Bytes of a file that is read, cues that are taken from it, characters of a cue and of a speaker, and flaws that are named.
MOST_BYTES, MOST_CUES, MOST_TEXT, MOST_SPEAKER, MOST_FLAWS = 8 << 20, 100_000, 10_000, 100, 20
#: Milliseconds that a time may be: a thousand hours.
MOST_TIME = 3_600_000_000
#: Milliseconds of a last cue that says no end: for each character, and at least.
_PER_CHARACTER, _LEAST = 60, 2000
#: Milliseconds that cues which overlap may move an edge of a span further than those that it lies in.
_CHAIN = 60_000
_TAG = re.compile(r"</?[A-Za-z0-9][^<>]{0,300}>|\{\\[^{}]{0,100}\}")
#: What ends a line: elements of HTML, ASS's \\N, and characters. Removed, they would glue words together.
_BREAK = re.compile(r"</?(?:br|p|div|li|tr|h[1-6])(?![A-Za-z0-9])[^<>]{0,300}>|(?-i:\\N)", re.IGNORECASE)
_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
#: More digits than any character has; Python converts no more than 4300.
_ENDLESS = re.compile(r"&#[0-9]{12,};?")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")


class Cue(NamedTuple):
    """Something that is said. Times are milliseconds from the first sample of the source."""

    start: int
    end: int  #: after the start
    text: str  #: plain, without markup; lines end in \n
    speaker: str = ""


class Flaw(NamedTuple):
    """What could not be read of a file."""

    detail: str  #: one sentence
    line: int | None = None  #: where in the file, from 1; None where no line can be named


class Transcript(NamedTuple):
    """What could be read of a file."""

    form: str  #: which of the known forms it has
    cues: tuple[Cue, ...]  #: in order of their starts
    flaws: tuple[Flaw, ...] = ()


class Collector:
    """Takes cues in any order, and makes a transcript of them."""

    def __init__(self) -> None:
        self._cues: list[tuple[int, int | None, str, str]] = []
        self._flaws: list[Flaw] = []
        self._left_out = 0

    @property
    def last_end(self) -> int:
        """Where the cue that was added last ends, or begins where it names no end; 0 without one."""
        if not self._cues:
            return 0
        start, end, _, _ = self._cues[-1]
        return start if end is None else end

    def add(self, start: int | None, end: int | None, text: str, speaker: str = "", line: int | None = None) -> None:
        """Add a cue. Without text it is left out without a word; `end` may be unknown, a wrong one is."""
        text = clean(text)[:MOST_TEXT]
        if not text:
            return
        if start is None or not 0 <= start <= MOST_TIME:
            self.flaw("a cue has no time that can be read", line)
            return
        if len(self._cues) >= MOST_CUES:
            self._left_out += 1
            return
        if end is not None and not start < end <= MOST_TIME:
            end = None
        self._cues.append((start, end, text, clean(speaker).replace("\n", " ")[:MOST_SPEAKER]))

    def flaw(self, detail: str, line: int | None = None) -> None:
        """Note what cannot be read; some are named, the rest is not."""
        if len(self._flaws) < MOST_FLAWS:
            self._flaws.append(Flaw(detail, line))

    def transcript(self, form: str) -> Transcript:
        """All that was added."""
        if self._left_out:
            self.flaw(f"{self._left_out} cues beyond the first {MOST_CUES} are left out")
        self._cues.sort(key=lambda each: each[0])
        made = []
        for number, (start, end, text, speaker) in enumerate(self._cues):
            if end is None:
                following = self._cues[number + 1][0] if number + 1 < len(self._cues) else 0
                end = following if following > start else start + max(_LEAST, _PER_CHARACTER * len(text))
            made.append(Cue(start, end, text, speaker))
        return Transcript(form, tuple(made), tuple(self._flaws))


def clean(text: str) -> str:
    """The text without markup, control characters and characters that are none; white space as single blanks and line ends."""
    if "<" in text or "{" in text or "\\" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text).replace("\\h", " "))
    if "&" in text:
        text = html.unescape(_ENDLESS.sub("\ufffd", text))
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    text = _CONTROL.sub("", _BREAKS.sub("\n", text))
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()


def within(cues: tuple[Cue, ...], start: int, end: int | None) -> list[Cue]:
    """The cues of a span in milliseconds, cut to it and counted from its start. `end` is None for the end of the audio."""
    stop = MOST_TIME * 2 if end is None else end
    last = bisect_right(cues, stop - 1, key=attrgetter("start"))
    return [
        each._replace(start=max(0, each.start - start), end=min(each.end, stop) - start)
        for each in cues[:last]
        if each.end > start
    ]


def snapped(cues: Sequence[Cue], start: int, end: int | None) -> tuple[int, int | None]:
    """A span in milliseconds, moved outwards to the borders of the cues that it begins and ends in, and of those that overlap these.

    `cues` are in order of their starts. An edge that overlapping cues move further than _CHAIN stays at the first cues' border: captions
    that roll overlap from the first to the last.
    """
    touched = [each for each in cues if each.end > start and (end is None or each.start < end)]
    if not touched:
        return start, end
    first = begin = min(start, min(each.start for each in touched))
    for each in sorted(cues, key=attrgetter("end"), reverse=True):
        if each.end <= begin:
            break
        if end is None or each.start < end:
            begin = min(begin, each.start)
    first = begin if first - begin <= _CHAIN else first
    if end is None:
        return first, None
    last = stop = max(end, max(each.end for each in touched))
    for each in cues:
        if each.start >= stop:
            break
        stop = max(stop, each.end)
    return first, stop if stop - last <= _CHAIN else last
