"""Which files a search finds, the best first: by BM25, of the newest rows that have all words."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mp3_slicer.catalogue.query import Query
from mp3_slicer.catalogue.rows import checked

#: Parts of transcripts, and files by their names, that are ranked: the newest.
MOST_RANKED = 1000
#: Words that a part of a word stands for, at most: the most frequent.
_MOST_EXPANDED = 64
#: The newest rows of which half have a common word.
_SAMPLE = 400
Hidden = Callable[[bytes], bool]


class Ranked(NamedTuple):
    """A file that is found, and its parts, the best one first."""

    file: int
    parts: tuple[int, ...]


class _Table(NamedTuple):
    """A table of words."""

    name: str
    rows: str  #: the table of what has the same numbers
    file: str  #: the number of a row's file
    weights: str  #: of its columns


_NAMES = _Table("names", "files", "names.rowid", "names, 2.0, 4.0, 1.0, 1.0")
_WORDS = _Table("words", "parts", "parts.file", "words")
_Within = tuple[bytes, bytes] | None


def expanded(database: sqlite3.Connection, query: Query) -> tuple[list[str], bool]:
    """The terms of a query as FTS5 has them, and whether there are words that they leave out."""
    made, more = [], False
    for term in query.terms:
        if term.is_part:
            rows = database.execute(
                "SELECT term FROM terms WHERE id IN (SELECT rowid FROM trigrams WHERE term LIKE ?) ORDER BY files DESC LIMIT ?",
                (f"%{term.tokens[0]}%", _MOST_EXPANDED + 1),
            )
            found = [word for row in rows for word in checked(row, str)]
            more = more or len(found) > _MOST_EXPANDED
            words = dict.fromkeys((term.tokens[0], *found[:_MOST_EXPANDED]))
            made.append("(" + " OR ".join(f'"{word}"' for word in words) + ")")
        else:
            made.append(f'"{" ".join(term.tokens)}"' + (" *" if term.is_prefix else ""))
    return made, more


def behind(prefix: bytes) -> bytes:
    """The first path behind all that begin with a prefix."""
    bare = prefix.rstrip(b"\xff")
    return bare[:-1] + bytes((bare[-1] + 1,)) if bare else b"\xff" * 2000


def ranked_files(
    database: sqlite3.Connection, terms: Sequence[str], prefix: bytes, hidden: Hidden | None
) -> tuple[list[Ranked], bool]:
    """The files that are found, the best first, and whether there may be more."""
    within = (prefix, behind(prefix)) if prefix else None
    named, said = (_newest(database, table, terms, within) for table in (_NAMES, _WORDS))
    more = len(named) > MOST_RANKED or len(said) > MOST_RANKED
    parts: dict[int, list[int]] = {file: [] for _, file in _best(database, _NAMES, terms, within, named[:MOST_RANKED])}
    for part, file in _best(database, _WORDS, terms, within, said[:MOST_RANKED]):
        parts.setdefault(file, []).append(part)
    found = [Ranked(file, tuple(rows)) for file, rows in parts.items()]
    if hidden is not None:
        found = [each for each in found if not _is_hidden(database, each.file, hidden)]
    return found, more


def _select(table: _Table, what: str, within: _Within) -> str:
    """A query of a table for what matches, within a range of paths."""
    # A part that is missing is damage, and not a row that is left out.
    joined = " LEFT JOIN parts ON parts.id = words.rowid" if table is _WORDS else ""
    if within:
        joined += f" JOIN files ON files.id = {table.file} AND files.path >= ? AND files.path < ?"
    return f"SELECT {what} FROM {table.name}{joined} WHERE {table.name} MATCH ?"  # noqa: S608


def _newest(
    database: sqlite3.Connection, table: _Table, terms: Sequence[str], within: _Within
) -> list[tuple[int, int]]:
    """The newest rows that have all terms, and the file of each; one more than are ranked, where there are."""
    select = _select(table, f"{table.name}.rowid, {table.file}", within)
    values = (*(within or ()), " AND ".join(terms), MOST_RANKED + 1)
    rows = database.execute(f"{select} ORDER BY {table.name}.rowid DESC LIMIT ?", values)
    return [(number, file) for row in rows for number, file in (checked(row, int, int),)]


def _best(
    database: sqlite3.Connection, table: _Table, terms: Sequence[str], within: _Within, rows: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The rows, which come newest first, with the best first."""
    telling = _telling(database, table, terms, rows)
    if not telling:
        return rows
    select = _select(table, f"{table.name}.rowid, bm25({table.weights})", within)
    values = (*(within or ()), " AND ".join(telling), rows[-1][0], rows[0][0])
    scores = dict(database.execute(f"{select} AND {table.name}.rowid BETWEEN ? AND ?", values))
    return sorted(rows, key=lambda row: scores.get(row[0], 0.0))


def _telling(
    database: sqlite3.Connection, table: _Table, terms: Sequence[str], rows: list[tuple[int, int]]
) -> list[str]:
    """The terms by which rows that have all of them are ranked.

    BM25 looks at all rows of the table that have a word, to tell how rare it is. Words that are not rare at all, which it counts for next
    to nothing, are spared that; so are beginnings of words beside whole ones, for which all words that begin so are put together each time.
    """
    if len(rows) < 2:
        return []
    edge = database.execute(f"SELECT id FROM {table.rows} ORDER BY id DESC LIMIT 1 OFFSET {_SAMPLE}").fetchone()  # noqa: S608
    if edge is None:
        return list(terms)
    half = _SAMPLE // 2
    if len(rows) > half and rows[half][0] > edge[0]:
        # So each of the terms is.
        return []
    whole = [term for term in terms if not term.endswith("*")]
    for some in (whole, [term for term in terms if term.endswith("*")]):
        rare = [term for term in some if not _is_common(database, table, term, edge[0])]
        if rare:
            return rare
    return []


def _is_common(database: sqlite3.Connection, table: _Table, term: str, edge: int) -> bool:
    """Return whether half of the newest rows, those behind an edge, have a term."""
    select = f"SELECT rowid FROM {table.name} WHERE {table.name} MATCH ? ORDER BY rowid DESC LIMIT 1 OFFSET ?"  # noqa: S608
    found = database.execute(select, (term, _SAMPLE // 2)).fetchone()
    return found is not None and found[0] > edge


def _is_hidden(database: sqlite3.Connection, file: int, hidden: Hidden) -> bool:
    row = database.execute("SELECT path, inner, sidecar FROM files WHERE id = ?", (file,)).fetchone()
    return any(hidden(path) for path in checked(row, bytes, bytes, bytes) if path)
