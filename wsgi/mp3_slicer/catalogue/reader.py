"""Reads the catalogue. Generations never change while they are read, so readers need no locks and write nothing."""

import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from mp3_slicer.catalogue import generations, places
from mp3_slicer.catalogue.parts import unpack
from mp3_slicer.catalogue.query import Query, Term
from mp3_slicer.catalogue.schema import FORMAT
from mp3_slicer.errors import SlicerError
from mp3_slicer.transcripts import Cue

#: Parts of transcripts, and files by their names, that are ranked: the newest.
MOST_RANKED = 1000
#: Words that a part of a word stands for, at most.
_MOST_EXPANDED = 64
#: Moments of a part, and parts that a search opens, at most.
_MOST_PLACES, _MOST_PARTS = 50, 200
#: Seconds that a search may take.
_SECONDS = 5.0
_STEPS = 20_000
#: Characters around what is found, on each side.
_AROUND = 120
_IDLE = 4
_COLUMNS = "id, path, title, artist, album, date, duration, size, mtime_ns"


class CatalogueError(SlicerError):
    """There is no catalogue, or it cannot be read; the message says why."""


class CatalogueTimeoutError(CatalogueError):
    """A search took longer than one may."""


class Named(NamedTuple):
    """A file as the catalogue knows it."""

    path: bytes
    title: str
    artist: str
    album: str
    date: str
    duration: int  #: milliseconds
    size: int  #: bytes
    mtime_ns: int


class Hit(NamedTuple):
    """A moment. Times are milliseconds."""

    start: int
    end: int
    speaker: str
    words: list[tuple[str, bool]]  #: what is said there, in pieces, and of each whether it is what is searched for


class Found(NamedTuple):
    """A result: a file, and the moment in it; None where it is the name that is found."""

    file: Named
    hit: Hit | None


class Page(NamedTuple):
    """Some of the results."""

    results: list[Found]
    files: int  #: in which there are results
    more: bool  #: whether there may be further ones, which are not counted
    goes_on: bool  #: whether results follow


Hidden = Callable[[bytes], bool]


class _Ranked(NamedTuple):
    """A file that is found, and its parts, the best one first."""

    file: int
    parts: tuple[int, ...]


class Catalogue:
    """The catalogue in a folder of indexes. Safe for any number of threads: each search has a connection of its own."""

    def __init__(self, index_dir: str, media: str) -> None:
        """`media` is the folder whose files it is of, a real path."""
        self._folder = generations.folder_of(index_dir, media)
        self._lock = threading.Lock()
        self._path: str | None = None
        self._idle: list[sqlite3.Connection] = []

    def search(
        self,
        query: Query,
        *,
        prefix: bytes = b"",
        start: int = 0,
        limit: int = 20,
        moments: bool = False,
        hidden: Hidden | None = None,
    ) -> Page:
        """Results from number `start` on, of files whose path begins with `prefix`: the best moment of each, or all `moments`.

        What is `hidden` is neither found nor counted. Raises CatalogueError.
        """
        with self._connected() as database:
            terms = _expanded(database, query)
            ranked, more = _ranked(database, terms, prefix, hidden) if terms else ([], False)
            wanted = start + limit + 1
            found = list(
                _moments(database, ranked, query, wanted) if moments else _files(database, ranked[start:wanted], query)
            )
        results = found[start:] if moments else found
        return Page(results[:limit], len(ranked), more, len(results) > limit)

    def names(
        self, query: Query, *, prefix: bytes = b"", after: bytes = b"", limit: int = 100, hidden: Hidden | None = None
    ) -> list[Named]:
        """Files whose name, title, artist or album has all of a query, in byte order of their paths. Raises CatalogueError."""
        with self._connected() as database:
            terms = _expanded(database, query)
            if not terms:
                return []
            rows = database.execute(
                f"SELECT {_COLUMNS}, inner FROM files WHERE id IN (SELECT rowid FROM names WHERE names MATCH ?) "  # noqa: S608
                "AND path > ? AND path >= ? AND path < ? ORDER BY path",
                (terms, after, prefix, _behind(prefix)),
            )
            made = []
            for row in rows:
                if hidden is None or not (hidden(row[1]) or hidden(row[-1])):
                    made.append(Named(*row[1:-1]))
                    if len(made) == limit:
                        break
            return made

    def known(self, paths: Sequence[bytes]) -> dict[bytes, Named]:
        """What is known of files. Raises CatalogueError."""
        marks = ",".join("?" * len(paths))
        with self._connected() as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM files WHERE path IN ({marks})", tuple(paths))  # noqa: S608
            return {row[1]: Named(*row[1:]) for row in rows}

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection to the generation that counts, for one thread. Raises CatalogueError."""
        path = generations.current(self._folder)
        if path is None:
            raise CatalogueError("there is no catalogue")
        with self._lock:
            if path != self._path:
                self._path, old = path, self._idle
                self._idle = []
                for each in old:
                    each.close()
            database = self._idle.pop() if self._idle else None
        deadline = time.monotonic() + _SECONDS
        try:
            if database is None:
                database = _open(path)
            database.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            yield database
        except (sqlite3.Error, ValueError, zlib.error) as error:
            if database is not None:
                database.close()
                database = None
            if isinstance(error, sqlite3.OperationalError) and time.monotonic() > deadline:
                raise CatalogueTimeoutError("the search took too long") from None
            raise CatalogueError(f"the catalogue cannot be read: {error}") from None
        finally:
            if database is not None:
                self._put_back(path, database)

    def _put_back(self, path: str, database: sqlite3.Connection) -> None:
        with self._lock:
            if path == self._path and len(self._idle) < _IDLE:
                self._idle.append(database)
                return
        database.close()


def _open(path: str) -> sqlite3.Connection:
    database = generations.connect(path)
    try:
        database.execute("PRAGMA cache_size=-1024")
        if database.execute("SELECT value FROM meta WHERE name = 'format'").fetchone() != (FORMAT,):
            raise sqlite3.DatabaseError("it is of another version")
    except BaseException:
        database.close()
        raise
    return database


def _expanded(database: sqlite3.Connection, query: Query) -> str:
    """The query as FTS5 has it; empty where one of the terms is nowhere."""
    made = []
    for term in query.terms:
        if term.is_part:
            rows = database.execute(
                "SELECT term FROM terms WHERE id IN (SELECT rowid FROM trigrams WHERE term LIKE ?) ORDER BY files DESC LIMIT ?",
                (f"%{term.tokens[0]}%", _MOST_EXPANDED),
            )
            words = dict.fromkeys((term.tokens[0], *(word for (word,) in rows)))
            made.append("(" + " OR ".join(f'"{word}"' for word in words) + ")")
        else:
            made.append(f'"{" ".join(term.tokens)}"' + (" *" if term.is_prefix else ""))
    return " AND ".join(made)


def _behind(prefix: bytes) -> bytes:
    """The first path behind all that begin with a prefix."""
    bare = prefix.rstrip(b"\xff")
    return bare[:-1] + bytes((bare[-1] + 1,)) if bare else b"\xff" * 2000


def _ranked(
    database: sqlite3.Connection, match: str, prefix: bytes, hidden: Hidden | None
) -> tuple[list[_Ranked], bool]:
    """The files that are found, the best first, and whether there may be more."""
    values: tuple[bytes, ...] = (prefix, _behind(prefix)) if prefix else ()
    within = " JOIN files ON files.id = {} AND files.path >= ? AND files.path < ?" if prefix else ""
    by_name = "SELECT names.rowid, bm25(names, 2.0, 4.0, 1.0, 1.0) FROM names"
    by_name += within.format("names.rowid")
    by_words = "SELECT parts.file, words.rowid, bm25(words) FROM words JOIN parts ON parts.id = words.rowid"
    by_words += within.format("parts.file")
    named, said = (
        database.execute(
            f"{select} WHERE {table} MATCH ? ORDER BY {table}.rowid DESC LIMIT ?", (*values, match, MOST_RANKED + 1)
        ).fetchall()
        for select, table in ((by_name, "names"), (by_words, "words"))
    )
    more = len(named) > MOST_RANKED or len(said) > MOST_RANKED
    parts: dict[int, list[tuple[float, int]]] = {
        file: [] for file, _ in sorted(named[:MOST_RANKED], key=lambda row: row[1])
    }
    for file, part, score in sorted(said[:MOST_RANKED], key=lambda row: row[2]):
        parts.setdefault(file, []).append((score, part))
    found = [_Ranked(file, tuple(part for _, part in rows)) for file, rows in parts.items()]
    if hidden is not None:
        found = [each for each in found if not _is_hidden(database, each.file, hidden)]
    return found, more


def _is_hidden(database: sqlite3.Connection, file: int, hidden: Hidden) -> bool:
    paths = database.execute("SELECT path, inner, sidecar FROM files WHERE id = ?", (file,)).fetchone()
    return any(hidden(path) for path in paths if path)


def _named(database: sqlite3.Connection, file: int) -> Named:
    row = database.execute(f"SELECT {_COLUMNS} FROM files WHERE id = ?", (file,)).fetchone()  # noqa: S608
    return Named(*row[1:])


def _cues(database: sqlite3.Connection, part: int) -> list[Cue]:
    (data,) = database.execute("SELECT cues FROM parts WHERE id = ?", (part,)).fetchone()
    return unpack(data)


def _files(database: sqlite3.Connection, ranked: Sequence[_Ranked], query: Query) -> Iterator[Found]:
    """Each file with its best moment."""
    for each in ranked:
        hit = None
        if each.parts:
            cues = _cues(database, each.parts[0])
            hit = next((_hit(cues, place, query.terms) for place in places.find(cues, query.terms, 1)), None)
        yield Found(_named(database, each.file), hit)


def _moments(database: sqlite3.Connection, ranked: Sequence[_Ranked], query: Query, most: int) -> Iterator[Found]:
    """All moments of all files, up to a number. Files that have none come with their name."""
    count = opened = 0
    for each in ranked:
        file = _named(database, each.file)
        if not each.parts:
            yield Found(file, None)
            count += 1
        for part in sorted(each.parts):
            cues = _cues(database, part)
            opened += 1
            for place in places.find(cues, query.terms, _MOST_PLACES):
                yield Found(file, _hit(cues, place, query.terms))
                count += 1
            if count >= most or opened >= _MOST_PARTS:
                return
        if count >= most:
            return


def _hit(cues: Sequence[Cue], place: places.Place, terms: Sequence[Term]) -> Hit:
    said = cues[place.first : place.last + 1]
    before = cues[place.first - 1].text[-_AROUND:] if place.first else ""
    after = cues[place.last + 1].text[:_AROUND] if place.last + 1 < len(cues) else ""
    text = " ".join(part for part in (before, *(each.text for each in said), after) if part)
    return Hit(said[0].start, max(each.end for each in said), said[0].speaker, places.marked(text, terms))
