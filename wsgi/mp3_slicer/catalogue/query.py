"""What is searched for: words, "phrases", the beginning of a word (`word*`) and a part of one (`*part*`). All must be there."""

import re
from typing import NamedTuple, Self

from mp3_slicer.catalogue.fold import fold, is_paired, tokens
from mp3_slicer.errors import SlicerError

#: Characters of a query, and terms in one.
MOST_TEXT, MOST_TERMS = 200, 10
#: Letters of a part of a word at least: three make a trigram.
LEAST_PART = 3
_TERM = re.compile(r'"([^"]*)"?|(\S+)')


class QueryError(SlicerError):
    """The query names nothing that can be searched for; the message says why."""


class Term(NamedTuple):
    """One thing that must be there."""

    tokens: tuple[str, ...]  #: one after another
    is_prefix: bool = False  #: whether the last one may go on
    is_part: bool = False  #: whether the only one may stand within a word


class Query(NamedTuple):
    """All that must be there."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a query. Raises QueryError."""
        if len(text) > MOST_TEXT:
            raise QueryError(f"the query is longer than {MOST_TEXT} characters")
        found = [term for match in _TERM.finditer(text) if (term := _term(match[1], match[2] or "")) is not None]
        terms = tuple(dict.fromkeys(found))
        if not terms:
            raise QueryError("the query names no word")
        if len(terms) > MOST_TERMS:
            raise QueryError(f"the query has more than {MOST_TERMS} words")
        return cls(terms)


def _term(phrase: str | None, word: str) -> Term | None:
    if phrase is not None:
        found = tokens(phrase)
        return _spelled(found, is_prefix=False) if found else None
    begins, ends = word.startswith("*"), word.endswith("*")
    bare = word.strip("*")
    found = tokens(bare)
    if not found:
        return None
    if begins and len(found) == 1 and not is_paired(fold(bare)):
        if len(found[0]) < LEAST_PART:
            raise QueryError(f"*{found[0]}* is too short: a part of a word has {LEAST_PART} letters or more")
        return Term((found[0],), is_part=True)
    return _spelled(found, is_prefix=ends)


def _spelled(found: list[str], *, is_prefix: bool) -> Term:
    """A term of these tokens. In a longer run the last letter begins a pair."""
    last = found[-1]
    if len(last) == 1 and is_paired(last):
        if len(found) > 1 and len(found[-2]) == 2 and is_paired(found[-2]):
            return Term(tuple(found[:-1]))
        return Term(tuple(found), is_prefix=True)
    return Term(tuple(found), is_prefix=is_prefix)
