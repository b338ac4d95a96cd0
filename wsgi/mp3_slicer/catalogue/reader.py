"""Reads the catalogue. Generations never change while they are read, so readers need no locks.

All that they write is a note that a generation is damaged, which the next builder heeds.
"""

import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from mp3_slicer.catalogue import generations, places
from mp3_slicer.catalogue.parts import unpack
from mp3_slicer.catalogue.query import Query, Term
from mp3_slicer.catalogue.ranking import Hidden, Ranked, behind, expanded, ranked_files
from mp3_slicer.catalogue.rows import checked
from mp3_slicer.catalogue.schema import FORMAT
from mp3_slicer.errors import SlicerError
from mp3_slicer.transcripts import Cue

#: Moments of a part, and parts that a search opens, at most.
_MOST_PLACES, _MOST_PARTS = 50, 200
#: Seconds that a search may take.
_SECONDS = 5.0
_STEPS = 20_000
#: Characters around what is found, on each side.
_AROUND = 120
_IDLE = 4
#: Columns of a file, and their types.
_COLUMNS = "path, title, artist, album, date, duration, size, mtime_ns, cover, inner"
_KINDS = (bytes, str, str, str, str, int, int, str, bytes, bytes)


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
    has_cover: bool  #: that is not hidden


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
            terms, left_out = expanded(database, query)
            ranked, more = ranked_files(database, terms, prefix, hidden)
            more = more or left_out
            if moments:
                every, unopened = _moments(database, ranked, query, start + limit + 1, hidden)
                found = every[start:]
                return Page(found[:limit], len(ranked), more or unopened, len(found) > limit)
            page = _files(database, ranked[start : start + limit], query, hidden)
            return Page(list(page), len(ranked), more, len(ranked) > start + limit)

    def names(
        self, query: Query, *, prefix: bytes = b"", after: bytes = b"", limit: int = 100, hidden: Hidden | None = None
    ) -> list[Named]:
        """Files whose name, title, artist or album has all of a query, in byte order of their paths. Raises CatalogueError."""
        with self._connected() as database:
            terms, _ = expanded(database, query)
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM files WHERE id IN (SELECT rowid FROM names WHERE names MATCH ?) "  # noqa: S608
                "AND path > ? AND path >= ? AND path < ? ORDER BY path",
                (" AND ".join(terms), after, prefix, behind(prefix)),
            )
            made = []
            for row in rows:
                path, *_, inner = checked(row, *_KINDS)
                if hidden is None or not (hidden(path) or hidden(inner)):
                    made.append(_named(row, hidden))
                    if len(made) == limit:
                        break
            return made

    def known(self, paths: Sequence[bytes], hidden: Hidden | None = None) -> dict[bytes, Named]:
        """What is known of files. Raises CatalogueError."""
        marks = ",".join("?" * len(paths))
        with self._connected() as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM files WHERE path IN ({marks})", tuple(paths))  # noqa: S608
            return {file.path: file for row in rows for file in (_named(row, hidden),)}

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
            if generations.is_damage(error):
                generations.note_damage(path)
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
            raise sqlite3.OperationalError("it is of another version")
    except BaseException:
        database.close()
        raise
    return database


def _named(row: Any, hidden: Hidden | None) -> Named:
    """A file, of a row of all columns. Raises sqlite3.DatabaseError."""
    *rest, mtime_ns, cover, _ = checked(row, *_KINDS)
    return Named._make((*rest, int(mtime_ns), bool(cover) and not (hidden is not None and hidden(cover))))


def _file(database: sqlite3.Connection, file: int, hidden: Hidden | None) -> Named:
    return _named(database.execute(f"SELECT {_COLUMNS} FROM files WHERE id = ?", (file,)).fetchone(), hidden)  # noqa: S608


def _cues(database: sqlite3.Connection, part: int) -> list[Cue]:
    (data,) = checked(database.execute("SELECT packed FROM cues WHERE part = ?", (part,)).fetchone(), bytes)
    return unpack(data)


def _files(
    database: sqlite3.Connection, ranked: Sequence[Ranked], query: Query, hidden: Hidden | None
) -> Iterator[Found]:
    """Each file with its best moment."""
    for each in ranked:
        hit = None
        if each.parts:
            cues = _cues(database, each.parts[0])
            hit = next((_hit(cues, place, query.terms) for place in places.find(cues, query.terms, 1)), None)
        yield Found(_file(database, each.file, hidden), hit)


def _moments(
    database: sqlite3.Connection, ranked: Sequence[Ranked], query: Query, most: int, hidden: Hidden | None
) -> tuple[list[Found], bool]:
    """All moments of all files, up to a number, and whether parts are left that no search opens.

    Files that have none come with their name.
    """
    found: list[Found] = []
    opened = 0
    for each in ranked:
        file = _file(database, each.file, hidden)
        if not each.parts:
            found.append(Found(file, None))
        for part in sorted(each.parts):
            if len(found) >= most:
                break
            if opened == _MOST_PARTS:
                return found, True
            cues = _cues(database, part)
            opened += 1
            found += (
                Found(file, _hit(cues, place, query.terms)) for place in places.find(cues, query.terms, _MOST_PLACES)
            )
        if len(found) >= most:
            break
    return found, False


def _hit(cues: Sequence[Cue], place: places.Place, terms: Sequence[Term]) -> Hit:
    said = cues[place.first : place.last + 1]
    before = cues[place.first - 1].text[-_AROUND:] if place.first else ""
    after = cues[place.last + 1].text[:_AROUND] if place.last + 1 < len(cues) else ""
    text = " ".join(part for part in (before, *(each.text for each in said), after) if part)
    return Hit(said[0].start, max(each.end for each in said), said[0].speaker, places.marked(text, terms))
