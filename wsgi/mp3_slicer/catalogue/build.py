"""Builds the catalogue, or brings it up to date: in a file of its own, which is published when it is whole."""

import os
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple

from mp3_slicer import atomic
from mp3_slicer.catalogue import generations
from mp3_slicer.catalogue.documents import Document, Seen
from mp3_slicer.catalogue.fold import tokens
from mp3_slicer.catalogue.parts import unpack, words
from mp3_slicer.catalogue.rows import checked
from mp3_slicer.catalogue.schema import FORMAT, TABLES
from mp3_slicer.lock import lock

#: Seconds that a builder waits for another one.
_WAIT = 3600
#: Bytes of words that are collected before they are written, when a catalogue is built.
_HASH_BYTES = 64 << 20
#: Letters at least of a word that is found by a part of it: a shorter one is found as itself.
_LEAST_TERM = 4


class Outcome(NamedTuple):
    """What came of an update."""

    files: int  #: in the catalogue
    changed: int  #: added or read again
    gone: int


#: Reads documents; those that cannot be read are left out.
Reader = Callable[[list[Seen]], Iterable[Document]]


def update(index_dir: str, media: str, seen: Iterable[Seen], read: Reader) -> Outcome:
    """Bring the catalogue of a media folder, a real path, up to date with all sources that are there. Raises OSError.

    Where nothing has changed, no generation is made. A catalogue that is damaged or of another format is rebuilt.
    """
    folder = generations.folder_of(index_dir, media)
    os.makedirs(folder, exist_ok=True)
    with _locked(folder):
        generations.sweep(folder)
        there = {each.path: each for each in seen}
        old = generations.current(folder)
        stamps = None if old is None else _stamps(old)
        known = stamps or {}
        gone = [path for path in known if path not in there]
        # Newest last, so that the newest have the highest numbers.
        changed = sorted((each for each in there.values() if known.get(each.path) != each.stamp), key=_age)
        if stamps is not None and not gone and not changed:
            return Outcome(len(known), 0, 0)
        temporary = os.path.join(folder, f"{atomic.PREFIX}{os.urandom(8).hex()}{atomic.SUFFIX}")
        try:
            if old is not None and stamps is not None:
                with _given_up(temporary):
                    return _update(folder, temporary, old, gone, changed, read)
            # There is none, or it is damaged.
            return _update(folder, temporary, None, [], sorted(there.values(), key=_age), read)
        except sqlite3.Error as error:
            raise OSError(f"the catalogue cannot be written: {error}") from error
        finally:
            with suppress(OSError):
                os.unlink(temporary)


@contextmanager
def _given_up(temporary: str) -> Iterator[None]:
    """Take away the copy of a generation that turns out to be damaged, and go on."""
    try:
        yield
    except (sqlite3.Error, ValueError, zlib.error) as error:
        # A table that is missing or cannot be opened is a plain error to SQLite.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if not generations.is_damage(error) and code != sqlite3.SQLITE_ERROR:
            raise
        os.unlink(temporary)


def _age(seen: Seen) -> tuple[int, bytes]:
    return seen.mtime_ns, seen.path


def _update(
    folder: str, temporary: str, old: str | None, gone: list[bytes], changed: list[Seen], read: Reader
) -> Outcome:
    if old is not None:
        shutil.copyfile(old, temporary)
    with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
        # What is not whole is never published, so nothing is to be rolled back.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=MEMORY", "cache_size=-65536"):
            database.execute(f"PRAGMA {pragma}")
        if old is None:
            database.executescript(TABLES)
            # Few large segments, and one merge at the end.
            database.execute("INSERT INTO words(words, rank) VALUES ('hashsize', ?)", (_HASH_BYTES,))
            database.execute("INSERT INTO words(words, rank) VALUES ('automerge', 0)")
        database.execute("BEGIN")
        for path in gone:
            _remove(database, path)
        count = 0
        for document in read(changed):
            if old is not None:
                _remove(database, document.path)
            _add(database, document, has_terms=old is not None)
            count += 1
        if old is None:
            _fill_terms(database)
        database.execute(
            "INSERT OR REPLACE INTO meta VALUES ('format', ?), ('built', ?)", (FORMAT, str(int(time.time())))
        )
        database.execute("COMMIT")
        if old is None:
            database.execute("INSERT INTO words(words) VALUES ('optimize')")
            database.execute("INSERT INTO words(words, rank) VALUES ('automerge', 4)")
            database.execute("INSERT INTO names(names) VALUES ('optimize')")
        (files,) = database.execute("SELECT count(*) FROM files").fetchone()
    # What is in it may need signatures.
    os.chmod(temporary, 0o640)
    generations.publish(folder, temporary)
    return Outcome(files, count, len(gone))


def _names(path: bytes, title: str, artist: str, album: str) -> tuple[str, str, str, str]:
    """The words of a file's names, as the index takes them."""
    stem = path[: -len(b".mp3")].decode("utf-8", "replace").replace("_", " ")
    first, second, third, fourth = (" ".join(tokens(text)) for text in (stem, title, artist, album))
    return first, second, third, fourth


def _remove(database: sqlite3.Connection, path: bytes) -> None:
    row = database.execute("SELECT id, title, artist, album FROM files WHERE path = ?", (path,)).fetchone()
    if row is None:
        return
    number, *texts = checked(row, int, str, str, str)
    packed = "SELECT part, packed FROM cues WHERE part IN (SELECT id FROM parts WHERE file = ?)"
    for row in database.execute(packed, (number,)).fetchall():
        part, cues = checked(row, int, bytes)
        # A table without content is told what was in it.
        database.execute("INSERT INTO words(words, rowid, said) VALUES ('delete', ?, ?)", (part, words(unpack(cues))))
        database.execute("DELETE FROM cues WHERE part = ?", (part,))
    database.execute("DELETE FROM parts WHERE file = ?", (number,))
    database.execute(
        "INSERT INTO names(names, rowid, path, title, artist, album) VALUES ('delete', ?, ?, ?, ?, ?)",
        (number, *_names(path, *texts)),
    )
    database.execute("DELETE FROM files WHERE id = ?", (number,))


def _add(database: sqlite3.Connection, document: Document, *, has_terms: bool) -> None:
    title, artist, album, date = document.names
    cursor = database.execute(
        "INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(document.path, document.inner, document.sidecar, document.stamp),
            *(document.size, str(document.mtime_ns), document.duration, title, artist, album, date),
            *(document.cover, document.cues),
        ),
    )
    number = cursor.lastrowid
    names = _names(document.path, title, artist, album)
    database.execute("INSERT INTO names(rowid, path, title, artist, album) VALUES (?, ?, ?, ?, ?)", (number, *names))
    for part in document.parts:
        row = database.execute("INSERT INTO parts VALUES (NULL, ?)", (number,)).lastrowid
        database.execute("INSERT INTO cues VALUES (?, ?)", (row, part.cues))
        database.execute("INSERT INTO words(rowid, said) VALUES (?, ?)", (row, part.said))
    if has_terms:
        said = {word for text in (*names, *(part.said for part in document.parts)) for word in text.split(" ")}
        for word in said:
            if len(word) >= _LEAST_TERM:
                made = database.execute("INSERT OR IGNORE INTO terms VALUES (NULL, ?, 1)", (word,))
                if made.rowcount:
                    database.execute("INSERT INTO trigrams(rowid, term) VALUES (?, ?)", (made.lastrowid, word))


def _fill_terms(database: sqlite3.Connection) -> None:
    """Take the vocabulary of both indexes, so that words can be found by a part of them."""
    database.execute(
        "INSERT INTO terms SELECT NULL, term, sum(doc) FROM "
        "(SELECT term, doc FROM vocabulary UNION ALL SELECT term, doc FROM vocabulary_of_names) "
        "WHERE length(term) >= ? GROUP BY term",
        (_LEAST_TERM,),
    )
    database.execute("INSERT INTO trigrams(rowid, term) SELECT id, term FROM terms")


def _stamps(path: str) -> dict[bytes, str] | None:
    """The stamps of all files of a generation; None where it cannot be brought up to date.

    Of the rest only that each table can be opened is looked at: readers that find damage leave a note.
    """
    if generations.is_noted(path):
        return None
    try:
        with closing(generations.connect(path)) as database:
            if database.execute("SELECT value FROM meta WHERE name = 'format'").fetchone() != (FORMAT,):
                return None
            for table in ("parts", "cues", "terms", "words", "names", "trigrams"):
                database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608
            rows = database.execute("SELECT path, stamp FROM files")
            return dict(checked(row, bytes, str) for row in rows)
    except sqlite3.Error:
        return None


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Be the one builder. Raises OSError where another one takes too long."""
    fd = os.open(os.path.join(folder, generations.LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        if not lock(fd, time.monotonic() + _WAIT):
            raise OSError("another process builds the catalogue")
        yield
    finally:
        os.close(fd)
