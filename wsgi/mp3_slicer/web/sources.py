"""Sources for the views: opened, indexed and current, or a problem; and the span that `t` names."""

import os
from collections.abc import Callable
from typing import TypeVar

from mp3_slicer.media.aside import Aside, StandstillError
from mp3_slicer.media.protected import ProtectedError
from mp3_slicer.media.shelf import Opened, Shelf
from mp3_slicer.media.source import (
    SourceArchivedError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnavailableError,
)
from mp3_slicer.media.store import IndexPendingError
from mp3_slicer.mp3 import Mp3Error, SourceChangedError
from mp3_slicer.timespan import ALLOWED, TimeSpan, TimeSpanError
from mp3_slicer.web.problems import Problem, busy, problem_of, unavailable
from mp3_slicer.web.request import Request

_T = TypeVar("_T")
#: Suffixes of sources, in the order of search.
_SUFFIXES = (b".mp3", b".MP3", b".Mp3", b".mP3")
_TRIES = 3
_WHOLE_FILE = TimeSpan(0, None)
_TROUBLES = (
    ProtectedError,
    SourceMissingError,
    SourceUnavailableError,
    SourceArchivedError,
    SourceTooLargeError,
    IndexPendingError,
    SourceChangedError,
    Mp3Error,
)


class Sources:
    """One object for all threads; only the shelf changes."""

    def __init__(self, shelf: Shelf, aside: Aside) -> None:
        self._shelf = shelf
        self._aside = aside

    def _take(self, path: bytes, request: Request) -> Opened:
        """The open source at a path, with its index.

        Raises Problem: 403 for what needs a signature, 404 for missing and forbidden alike, 413 for too large, 415 for what is no MP3,
        422 for one that cannot be cut, 503 while it is being indexed or changed, or if the media cannot be read.
        """
        try:
            return self._shelf.take(path, request.permit, request.record.note)
        except _TROUBLES as error:
            raise _refused(path, error) from None

    def work(self, path: bytes, request: Request, work: Callable[[Opened], _T]) -> _T:
        """Return the result of work on the current source at a path; the work checks that it is still current. Raises Problem."""
        for _ in range(_TRIES):
            opened = self._take(path, request)
            try:
                try:
                    return work(opened)
                except (SourceUnavailableError, SourceArchivedError) as error:
                    raise _refused(path, error) from None
                except Problem:
                    # It must be a problem of the file that has this path now.
                    opened.check_current()
                    raise
            except SourceChangedError:
                # The file was replaced between two looks at it: look again, at the new one.
                self._shelf.drop(path, opened)
        raise busy("the file is being changed; try again", 1)

    def at(self, path: bytes, request: Request, work: Callable[[Opened], _T]) -> _T:
        """Return the result of work on the source at a path and what lies beside it, once it is known to be current. Raises Problem.

        An object that is replaced while it is read is read again.
        """
        return self.work(path, request, lambda opened: work(_checked(opened)))

    def find(self, stem: bytes, request: Request) -> Opened:
        """The open source whose path is `stem` and the ending of MP3 files, as it is now. Raises Problem."""
        return self.at_stem(stem, request, lambda opened: opened)

    def at_stem(self, stem: bytes, request: Request, work: Callable[[Opened], _T]) -> _T:
        """Return the result of work, as `at` does, on the source whose path is `stem` and the ending of MP3 files. Raises Problem."""
        *others, last = _SUFFIXES
        for suffix in others:
            try:
                return self.at(stem + suffix, request, work)
            except Problem as problem:
                if problem.kind != "not-found":
                    raise
        return self.at(stem + last, request, work)

    def aside(self, path: bytes, work: Callable[[], _T]) -> _T:
        """Return the result of work that reads media at a path. Raises Problem 503 if they stand still."""
        try:
            return self._aside.run(path, work)
        except StandstillError as error:
            raise problem_of(error) or error from None

    def run(self, path: bytes, work: Callable[[], _T]) -> _T:
        """The same while a body is sent: raises StandstillError."""
        return self._aside.run(path, work)


def _refused(path: bytes, error: Exception) -> Exception:
    """The problem that an error is, once it is in the log where it is the operator's."""
    if isinstance(error, SourceUnavailableError):
        return unavailable(os.fsdecode(path), error)
    return problem_of(error) or error


def _checked(opened: Opened) -> Opened:
    opened.check_current()
    return opened


def split_suffix(path: bytes) -> tuple[bytes, str]:
    """Split a path at the last point of its last name; the suffix is empty where there is no point."""
    folder, slash, name = path.rpartition(b"/")
    stem, point, suffix = name.rpartition(b".")
    return (folder + slash + stem, suffix.decode("utf-8", "surrogateescape")) if point else (path, "")


def parse_span(text: str | None) -> TimeSpan:
    """The span that a `t` names; without one, the whole file. Raises Problem."""
    if text is None:
        return _WHOLE_FILE
    try:
        return TimeSpan.parse(text)
    except TimeSpanError as error:
        raise span_problem(400, "span-malformed", f"t={text[:100]!r}: {error}", text) from None


def span_problem(status: int, kind: str, detail: str, text: str) -> Problem:
    """A problem of the span that `text` names."""
    return Problem(status, kind, detail, {"t": text[:100], "allowed": ALLOWED})
