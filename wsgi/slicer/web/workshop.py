"""What renders and waveforms are made with: sources, limits, the results that are kept; and what each failure is to a client."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from slicer.media.protected import Permit
from slicer.media.shelf import Opened, Shelf
from slicer.media.timespan import ALLOWED
from slicer.mp3 import (
    Mp3Error,
    SourceChangedError,
    SpanCrossesSegmentsError,
    SpanOutsideError,
    SpanTooShortError,
)
from slicer.render import (
    Limits,
    OptionError,
    Results,
    Stored,
    TooLargeError,
    ToolMissingError,
    TooLongError,
    UnreadableError,
    WorkTimeoutError,
)
from slicer.render.audio.scratch import prepare
from slicer.settings import Settings
from slicer.web.client import Clients
from slicer.web.clips import take_or_problem
from slicer.web.connection import has_gone
from slicer.web.problems import Problem, busy, overstayed
from slicer.web.quota import Shares

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LOG = logging.getLogger("slicer")
#: What a source's name ends in, in the order in which they are looked for.
_SUFFIXES = (b".mp3", b".MP3", b".Mp3", b".mP3")
_TRIES = 3
#: Seconds below which there is no use in beginning.
_LEAST_SECONDS = 0.5


class Workshop:
    """One object for all threads; it holds nothing that changes but what is on disk."""

    def __init__(
        self, settings: Settings, shelf: Shelf, note: Callable[[str, str, float], None], processes: int = 1
    ) -> None:
        """`note` is told of each result that was asked for: what it is, what came of it, and the seconds that took.

        `processes` is how many make them.
        """
        self._clients = Clients(settings)
        self._shares = Shares(settings.scratch_dir, processes)
        self._shelf = shelf
        self._note = note
        self._limits = Limits(
            shortest_seconds=settings.min_clip_seconds,
            span_seconds=settings.max_render_seconds,
            output_bytes=settings.max_render_bytes,
            work_seconds=settings.render_seconds,
            memory_bytes=settings.render_memory_bytes,
        )
        self.max_age = settings.clip_max_age  #: seconds
        self.scratch = settings.scratch_dir  #: folder for nameless files
        self.results = Results(settings.results_dir, max_bytes=settings.results_bytes)

    def prepare(self) -> None:
        """Make the folders, and take away what killed processes left there. A folder that cannot be written is logged, and no more."""
        for work in (self.results.prepare, lambda: prepare(self.scratch)):
            try:
                work()
            except OSError as error:
                _LOG.error("a folder cannot be used: %s", error)

    def source(self, stem: bytes, permit: Permit) -> Opened:
        """The open source whose path is `stem` and the ending of MP3 files, as it is now. Raises Problem as `take_or_problem` does."""
        *others, last = _SUFFIXES
        for suffix in others:
            with suppress(_Missing):
                return self._take(stem + suffix, permit)
        return self._take(stem + last, permit)

    def _take(self, path: bytes, permit: Permit) -> Opened:
        for _ in range(_TRIES):
            try:
                opened = take_or_problem(self._shelf, path, permit)
            except Problem as problem:
                raise (_Missing.of(problem) if problem.status == 404 else problem) from None
            try:
                opened.check_current()
            except SourceChangedError:
                # The file was replaced since it was last asked for.
                self._shelf.drop(path, opened)
            else:
                return opened
        raise busy("the file is being changed; try again", 1)

    def limits(self, began: float) -> Limits:
        """The limits of a request that began at `began` by the monotonic clock: what it took until now counts as work.

        Raises Problem where nothing is left.
        """
        left = self._limits.work_seconds - Fraction(time.monotonic() - began)
        if left < min(Fraction(_LEAST_SECONDS), self._limits.work_seconds / 2):
            raise busy("the file had to be indexed first; try again", 1)
        return replace(self._limits, work_seconds=left)

    def keep(self, key: str, facts: dict[str, str | int], etag: str, pieces: Iterable[bytes]) -> Stored | None:
        """Keep a result, and return it as it is kept; None where there is no place for it."""
        return self.results.put(key, {**facts, "etag": etag}, pieces)

    @contextmanager
    def making(self, kind: str, environ: "WSGIEnvironment") -> Iterator[None]:
        """Around the making of a result of a kind for a request, which is noted.

        Raises Problem: 429 where its client has its share already, 503 where it has gone while it waited.
        """
        if has_gone(environ):
            # Others wait, too. What was begun is finished and kept.
            raise busy("the client went away before the work was begun", 1)
        with self._shares.taken(self._clients.of(environ)):
            began = time.monotonic()
            outcome = "failed"
            try:
                yield
                outcome = "made"
            finally:
                self._note(kind, outcome, time.monotonic() - began)

    def found(self, kind: str, key: str) -> tuple[Stored, str] | None:
        """A result of a kind that is kept, with its ETag in quotes, for a request for it, which is noted."""
        found = self.kept(key)
        if found is not None:
            self._note(kind, "kept", 0.0)
        return found

    def kept(self, key: str) -> tuple[Stored, str] | None:
        """A result that is kept, with its ETag in quotes."""
        stored = self.results.get(key)
        if stored is None:
            return None
        etag = stored.facts.get("etag")
        if isinstance(etag, str):
            return stored, etag
        stored.close()
        return None


class _Missing(Problem):
    """There is no such source."""

    @classmethod
    def of(cls, problem: Problem) -> "_Missing":
        return cls(problem.status, problem.kind, problem.detail, problem.members, problem.headers)


def split_suffix(path: bytes) -> tuple[bytes, str]:
    """What comes before the last point of a path's last name, and what comes behind it; nothing behind where there is no point."""
    folder, slash, name = path.rpartition(b"/")
    stem, point, suffix = name.rpartition(b".")
    return (folder + slash + stem, suffix.decode("utf-8", "surrogateescape")) if point else (path, "")


@contextmanager
def problems_of_work() -> Iterator[None]:
    """Raise what goes wrong with a request or the work on it as a Problem. Defects stay what they are."""
    try:
        yield
    except OptionError as error:
        raise Problem(400, "option-refused", str(error), {"option": error.option, "allowed": error.allowed}) from None
    except SpanOutsideError as error:
        raise Problem(400, "span-outside", str(error), {"option": "t", "allowed": ALLOWED}) from None
    except SpanTooShortError as error:
        raise Problem(400, "span-too-short", str(error), {"option": "t", "allowed": ALLOWED}) from None
    except SpanCrossesSegmentsError as error:
        raise Problem(422, "span-crosses-segments", str(error), {"option": "t", "allowed": ALLOWED}) from None
    except SourceChangedError:
        raise busy("the file is being changed; try again", 1) from None
    except Mp3Error as error:
        raise Problem(422, "cannot-be-cut", str(error)) from None
    except TooLongError as error:
        raise Problem(413, "render-too-long", str(error)) from None
    except TooLargeError as error:
        raise Problem(413, "render-too-large", str(error)) from None
    except UnreadableError as error:
        raise Problem(422, "cannot-be-decoded", str(error)) from None
    except WorkTimeoutError as error:
        raise overstayed(str(error)) from None
    except ToolMissingError:
        raise Problem(
            501,
            "not-installed",
            "this server has no ffmpeg; without it there are mp3 and wav, and neither speed, rate nor normalize=ebu",
        ) from None
    except OSError as error:
        # A disk that is full or broken, a folder that is gone: it is the operator's, and in the log.
        _LOG.error("no place for the work: %s", error)
        raise busy("the server has no place for the work; try again", 5) from None
