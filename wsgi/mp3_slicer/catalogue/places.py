"""The places in a transcript at which all that is searched for is said."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mp3_slicer.catalogue.fold import placed, tokens
from mp3_slicer.catalogue.query import Term
from mp3_slicer.transcripts import Cue

#: Milliseconds within which all terms of a moment begin.
TOGETHER = 60_000


class Place(NamedTuple):
    """A moment: the first and the last of its cues, by their numbers."""

    first: int
    last: int


def find(cues: Sequence[Cue], terms: Sequence[Term], most: int) -> list[Place]:
    """At most so many moments in order. Where the terms are said far from each other, the first of them is one."""
    said, numbers = _said(cues, terms)
    hits = sorted((begin, end, number) for number, term in enumerate(terms) for begin, end in _matches(said, term))
    if len(terms) == 1:
        found = dict.fromkeys(Place(numbers[begin], numbers[end]) for begin, end, _ in hits)
        return list(found)[:most]
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
    if not made and hits:
        begin, end, _ = hits[0]
        made.append(Place(numbers[begin], numbers[end]))
    return made


def _said(cues: Sequence[Cue], terms: Sequence[Term]) -> tuple[list[str], list[int]]:
    """The words of all cues that may hold some of the terms, and the number of the cue of each; an empty word for what is between."""
    needles = list({word for term in terms for word in term.tokens})
    plain = [word for word in needles if word.isascii()]
    said: list[str] = []
    numbers: list[int] = []
    for number, cue in enumerate(cues):
        text = cue.text
        if text.isascii():
            low = text.lower()
            if not any(word in low for word in plain):
                if said and said[-1]:
                    said.append("")
                    numbers.append(number)
                continue
        found = tokens(text)
        said += found
        numbers += [number] * len(found)
    return said, numbers


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
