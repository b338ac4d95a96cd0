"""Generations of the catalogue: whole files that never change, and the name of the one that counts.

A generation is never renamed over another: a reader of the old one would find pages of the new one in it.
"""

import hashlib
import os
import re
import sqlite3
import zlib
from contextlib import suppress
from urllib.parse import quote

from mp3_slicer import atomic

#: The folder in the folder of indexes, the file that names the generation, and the file of the builder's lock.
FOLDER, CURRENT, LOCK = "catalogue", "current", "lock"
_NAME = re.compile(rb"generation-([0-9]{1,12})\.db")
#: The ending of a reader's note about a generation.
_NOTE = ".damaged"


def folder_of(index_dir: str, media: str) -> str:
    """The folder of the catalogue of a media folder, a real path: several may share a folder of indexes."""
    name = hashlib.blake2b(os.fsencode(media), digest_size=8).hexdigest()
    return os.path.join(index_dir, FOLDER, name)


def current(folder: str) -> str | None:
    """The path of the generation that counts; None where there is none."""
    try:
        with open(os.path.join(folder, CURRENT), "rb") as file:
            name = file.read(64).strip()
    except OSError:
        return None
    return os.path.join(folder, name.decode()) if _NAME.fullmatch(name) else None


def publish(folder: str, temporary: str) -> str:
    """Make a finished file the generation that counts, and return its path. Raises OSError.

    The one before it stays for those who read it while they look; older ones go.
    """
    before = current(folder)
    numbers = [int(match[1]) for name in os.listdir(folder) if (match := _NAME.fullmatch(os.fsencode(name)))]
    path = os.path.join(folder, f"generation-{max(numbers, default=0) + 1}.db")
    fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    with atomic.replacing(os.path.join(folder, CURRENT), 0o644) as file:
        file.write(os.path.basename(path).encode() + b"\n")
    for name in os.listdir(folder):
        other = os.path.join(folder, name)
        if name.endswith(_NOTE) or (_NAME.fullmatch(os.fsencode(name)) and other not in {path, before}):
            with suppress(OSError):
                os.unlink(other)
    return path


def note_damage(path: str) -> None:
    """Leave a note that a generation is damaged, for the next builder, where the folder can be written."""
    with suppress(OSError):
        os.close(os.open(path + _NOTE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644))


def is_noted(path: str) -> bool:
    """Return whether a reader found that a generation is damaged."""
    return os.path.lexists(path + _NOTE)


def connect(path: str) -> sqlite3.Connection:
    """Open a generation to read it, without locks, as it never changes. Raises sqlite3.Error."""
    uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def is_damage(error: Exception) -> bool:
    """Return whether an error of reading a generation tells that it is damaged, rather than of a disk, memory or a query."""
    if isinstance(error, sqlite3.OperationalError):
        # Text that is not UTF-8 has no code.
        return not hasattr(error, "sqlite_errorcode") and "decode" in str(error)
    return isinstance(error, sqlite3.DatabaseError | ValueError | zlib.error)


def sweep(folder: str) -> None:
    """Take away what builders left that were killed. The builder's lock is held."""
    for name in os.listdir(folder):
        if name.startswith(atomic.PREFIX):
            with suppress(OSError):
                os.unlink(os.path.join(folder, name))
