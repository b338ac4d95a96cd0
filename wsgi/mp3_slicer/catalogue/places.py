"""The places in a transcript at which all that is searched for is said."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mp3_slicer.catalogue.fold import placed, tokens
from mp3_slicer.catalogue.query import Term
from mp3_slicer.transcripts import Cue

#: Milliseconds within which all terms of a moment begin.
TOGETHER = 60_000
#: Cues that are read first, and how many times as many after that.
_FIRST, _GROWTH = 4, 4
#: Cues that are looked through at once.
_GROUP = 16


class Place(NamedTuple):
    """A moment: the first and the last of its cues, by their numbers."""

    first: int
    last: int


def find(cues: Sequence[Cue], terms: Sequence[Term], most: int) -> list[Place]:
    """At most so many moments in order. Where the terms are said far from each other, the first of them is one."""
    said = _Said(cues, terms)
    # What is common is found in the first cues.
    end, longest = _FIRST, max(len(term.tokens) for term in terms)
    while True:
        said.read(end)
        is_whole = end >= len(cues)
        # A phrase that begins among the last words may go on.
        usable = len(said.words) - (0 if is_whole else longest - 1)
        found, first = _found(cues, terms, said, usable, most)
        if is_whole or len(found) == most:
            return found or first
        end *= _GROWTH


def _found(
    cues: Sequence[Cue], terms: Sequence[Term], said: "_Said", usable: int, most: int
) -> tuple[list[Place], list[Place]]:
    """The moments among the first `usable` words, and the first place of any term."""
    numbers = said.numbers
    hits = sorted(
        (begin, end, number)
        for number, term in enumerate(terms)
        for begin, end in _matches(said.words, term)
        if begin < usable
    )
    every = [Place(numbers[begin], numbers[end]) for begin, end, _ in hits]
    if len(terms) == 1:
        return list(dict.fromkeys(every))[:most], []
    made: list[Place] = []
    last: dict[int, tuple[int, int]] = {}
    for begin, end, number in hits:
        last[number] = (begin, end)
        if len(last) < len(terms):
            continue
        first, until = numbers[min(each[0] for each in last.values())], numbers[max(each[1] for each in last.values())]
        if cues[until].start - cues[first].start <= TOGETHER:
            made.append(Place(first, until))
            last = {}
            if len(made) == most:
                break
    return made, every[:1]


class _Said:
    """The words of the first cues, of those that may hold some of the terms; an empty word for what is between."""

    def __init__(self, cues: Sequence[Cue], terms: Sequence[Term]) -> None:
        self._cues = cues
        plain = {word for term in terms for word in term.tokens if word.isascii()}
        # Without any, nothing matches.
        self._may_have = re.compile("|".join(map(re.escape, plain)) or "(?!)").search
        self._read = 0
        self.words: list[str] = []
        self.numbers: list[int] = []  #: of the cue of each word

    def read(self, end: int) -> None:
        """Read on to a cue."""
        for start in range(self._read, min(end, len(self._cues)), _GROUP):
            some = self._cues[start : min(end, start + _GROUP)]
            texts = [cue.text for cue in some]
            # Most cues have nothing of it, which is told of several at once.
            if self._is_apart("\n".join(texts)):
                self._pass(start)
                continue
            for number, text in enumerate(texts, start):
                if self._is_apart(text):
                    self._pass(number)
                    continue
                found = tokens(text)
                self.words += found
                self.numbers += [number] * len(found)
        self._read = max(self._read, end)

    def _is_apart(self, text: str) -> bool:
        """Return whether a text is known to hold no term."""
        return text.isascii() and not self._may_have(text.lower())

    def _pass(self, number: int) -> None:
        """Leave a cue out."""
        if self.words and self.words[-1]:
            self.words.append("")
            self.numbers.append(number)


def _matches(said: Sequence[str], term: Term) -> Iterable[tuple[int, int]]:
    """The first and the last word of each place at which a term stands."""
    if term.is_part:
        (part,) = term.tokens
        return [(number, number) for number, word in enumerate(said) if part in word]
    *others, last = term.tokens
    length = len(others)
    ends = (
        [number for number, word in enumerate(said) if word.startswith(last)]
        if term.is_prefix
        else [number for number, word in enumerate(said) if word == last]
    )
    if not others:
        return [(number, number) for number in ends]
    return [(end - length, end) for end in ends if end >= length and list(said[end - length : end]) == others]


def marked(text: str, terms: Sequence[Term]) -> list[tuple[str, bool]]:
    """The text in pieces, and of each whether it is what is searched for."""
    words = list(placed(text))
    said = [word.text for word in words]
    spans = sorted((words[begin].start, words[end].end) for term in terms for begin, end in _matches(said, term))
    pieces: list[tuple[str, bool]] = []
    position = 0
    for start, end in spans:
        start = max(start, position)
        if end <= start:
            continue
        if start > position:
            pieces.append((text[position:start], False))
        if pieces and pieces[-1][1]:
            pieces[-1] = (pieces[-1][0] + text[start:end], True)
        else:
            pieces.append((text[start:end], True))
        position = end
    if position < len(text):
        pieces.append((text[position:], False))
    return pieces
