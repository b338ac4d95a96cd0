"""Results that several machines share: a folder on local disk, and behind it a place that all of them reach.

A result that is not on local disk is fetched to it, so that ranges and later requests find it there. Its facts have its name and the
ETag of its bytes, which is a digest of them: what is fetched is stored only where both are right.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from typing import BinaryIO, Protocol

from mp3_slicer.errors import SlicerError
from mp3_slicer.render.resultfile import MAX_LINE, Facts, Stored, parsed
from mp3_slicer.render.results import Results, ResultStore
from mp3_slicer.render.version import Digest

_LOG = logging.getLogger("slicer")
_KEY = "key"


class Place(Protocol):
    """A place of files that all machines reach. A file is there whole or not at all."""

    def fetched(self, key: str) -> AbstractContextManager[Iterator[bytes] | None]:
        """The pieces of a file, None where there is none. Raises OSError."""

    def holds(self, key: str) -> bool:
        """Return whether there is a file. Raises OSError."""

    def store(self, key: str, file: BinaryIO) -> None:
        """Store a file. Raises OSError."""

    def remove(self, key: str) -> None:
        """Remove a file, if there is one. Raises OSError."""


class DamagedError(SlicerError):
    """What was fetched is no result of this name, or not the whole of it."""


class SharedResults:
    """One object for all threads. A place that fails costs a render, and one line in the log."""

    def __init__(self, local: Results, place: Place, *, strict: bool) -> None:
        """With `strict`, for workers, a result counts as stored only where other machines find it."""
        self.partials = local
        self._local = local
        self._place = place
        self._strict = strict
        self._lock = threading.Lock()
        self._failed: set[str] = set()  #: what failed, until it works again

    def prepare(self) -> None:
        """Prepare the local folder. Raises OSError."""
        self._local.prepare()

    def get(self, key: str) -> Stored | None:
        """The result of this name, open, or None. Raises ValueError where `key` is no name."""
        found = self._local.get(key)
        if found is None:
            return self._fetch(key)
        # One from before results were shared lacks its name: no other machine would take it.
        if self._strict and (found.facts.get(_KEY) != key or not (self._is_there(key) or self._share(key))):
            found.close()
            return None
        return found

    def put(self, key: str, facts: Facts, pieces: Iterable[bytes]) -> Stored | None:
        """Store a result here and there, and return it, open; None where it cannot be stored. Raises what `pieces` raises."""
        stored = self._local.put(key, {**facts, _KEY: key}, pieces)
        if stored is not None and not self._share(key) and self._strict:
            stored.close()
            return None
        return stored

    def drop(self, key: str) -> None:
        """Remove a result from this machine, if it exists."""
        self._local.drop(key)

    def _share(self, key: str) -> bool:
        try:
            with open(self._local.path(key), "rb") as file:
                self._place.store(key, file)
        except OSError as error:
            self._note("stored", error)
            return False
        self._failed.discard("stored")
        return True

    def _is_there(self, key: str) -> bool:
        try:
            return self._place.holds(key)
        except OSError as error:
            self._note("found", error)
            return False

    def _fetch(self, key: str) -> Stored | None:
        self._local.path(key)
        try:
            with self._place.fetched(key) as pieces:
                if pieces is None:
                    return None
                facts, rest = _begun(key, pieces)
                stored = self._local.put(key, facts, rest)
        except OSError as error:
            self._note("fetched", error)
            return None
        except DamagedError as error:
            _LOG.warning("a shared result is made again: %s", error)
            self._remove(key)
            return None
        self._failed.discard("fetched")
        return stored

    def _remove(self, key: str) -> None:
        """Remove a damaged one, so that a worker that has made it stores it again."""
        try:
            self._place.remove(key)
        except OSError as error:
            self._note("removed", error)

    def _note(self, what: str, error: OSError) -> None:
        """Log a failure, once until the same works again."""
        with self._lock:
            is_first = what not in self._failed
            self._failed.add(what)
        if is_first:
            _LOG.warning("shared results cannot be %s, going on without: %s", what, error.strerror or error)


def _begun(key: str, pieces: Iterator[bytes]) -> tuple[Facts, Iterator[bytes]]:
    """The facts of a file and the bytes behind them, which are checked at their end. Raises DamagedError."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= MAX_LINE:
            break
    found = parsed(head)
    if found is None or found[2].get(_KEY) != key:
        raise DamagedError(f"{key} is another one, or none")
    begin, length, facts = found
    return facts, _checked(key, head[begin:], pieces, length, facts.get("etag"))


def _checked(key: str, first: bytes, pieces: Iterator[bytes], length: int, etag: object) -> Iterator[bytes]:
    """The bytes of a result. Raises DamagedError at their end where they are not those that its ETag and its length say."""
    digest, count = Digest(), 0
    for piece in chain((first,), pieces):
        digest.update(piece)
        count += len(piece)
        yield piece
    if count != length or digest.etag != etag:
        raise DamagedError(f"{key} is damaged")


def store_of(folder: str, *, max_bytes: int, place: Place | None, strict: bool = False) -> ResultStore:
    """The results of a folder, shared where there is a place for that. `strict` is as SharedResults has it."""
    local = Results(folder, max_bytes=max_bytes)
    return local if place is None else SharedResults(local, place, strict=strict)
