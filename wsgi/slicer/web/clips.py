"""`/clips/<path>.mp3?t=a,b`: the lossless cut."""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug.http import http_date

from slicer.media.aside import Aside, StandstillError
from slicer.media.protected import Permit, ProtectedError
from slicer.media.shelf import Opened, Shelf
from slicer.media.source import Identity, SourceMissingError, SourceTooLargeError, SourceUnavailableError
from slicer.media.store import IndexPendingError
from slicer.media.timespan import ALLOWED, TimeSpan, TimeSpanError
from slicer.mp3 import (
    ENGINE_VERSION,
    SECOND,
    Clip,
    Index,
    Mp3Error,
    NotMp3Error,
    SourceChangedError,
    Span,
    SpanCrossesSegmentsError,
    SpanOutsideError,
    cut,
)
from slicer.settings import Settings
from slicer.web.access import unsigned
from slicer.web.disposition import attachment
from slicer.web.outcome import outcome_of
from slicer.web.problems import Problem, busy, cache_control, not_found
from slicer.web.process import make_place
from slicer.web.proxy import elsewhere, is_sent
from slicer.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LOG = logging.getLogger("slicer")
#: Bodies up to so many bytes are read before the first byte is sent, so that a change meanwhile costs a new try and no half answer.
_WHOLE = 1 << 20
#: Bytes of a larger body that are in memory at a time.
_PIECE = 1 << 18
_TRIES = 3
_WHOLE_FILE = TimeSpan(0, None)


class Clips:
    """Answers for clips. One object for all threads; it holds nothing that changes but the store."""

    def __init__(self, settings: Settings, shelf: Shelf, aside: Aside) -> None:
        self._shelf = shelf
        self._aside = aside
        self._minimum = settings.min_clip_seconds
        self._maximum = settings.max_clip_seconds
        self._max_age = settings.clip_max_age
        self._cache_control = cache_control(settings.clip_max_age)

    def answer(self, environ: "WSGIEnvironment", path: bytes, options: dict[str, str], permit: Permit) -> Response:
        """The clip that `options` ask of the source at `path`. Raises Problem."""
        asked = parse_span(options)
        if is_sent(environ, _query(asked)):
            disposition = _disposition(path, options, asked)
            return elsewhere(environ, b"/clips/" + path, _query(asked), self._max_age, disposition)
        if not self._aside.may_stand_still(path):
            return self._current(environ, path, options, asked, permit)
        with problems_of_media():
            return self._aside.run(path, lambda: self._current(environ, path, options, asked, permit))

    def _current(
        self, environ: "WSGIEnvironment", path: bytes, options: dict[str, str], asked: TimeSpan, permit: Permit
    ) -> Response:
        """The answer from the file that is there now. Raises Problem."""
        for _ in range(_TRIES):
            opened = take_or_problem(self._shelf, path, permit)
            try:
                try:
                    return self._cut(environ, path, options, asked, opened)
                except Problem:
                    # It must be a problem of the file that is there now.
                    opened.check_current()
                    raise
            except SourceChangedError:
                # The file was replaced between two looks at it: look again, at the new one.
                self._shelf.drop(path, opened)
        raise busy("the file is being changed; try again", 1)

    def _cut(
        self, environ: "WSGIEnvironment", path: bytes, options: dict[str, str], asked: TimeSpan, opened: Opened
    ) -> Response:
        """The answer from an open source. Raises Problem, and SourceChangedError if the source is not the current one."""
        identity = opened.source.identity
        span = self._locate(opened.index, asked, options.get("t", ""))
        clip = cut(opened.source.fd, span)
        etag = _etag(identity, opened.index, span)
        modified = identity.mtime_ns // SECOND
        outcome = outcome_of(environ, etag=etag, modified=modified, length=clip.length, what="clip")
        headers = [
            ("Content-Type", "audio/mpeg"),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", self._cache_control),
            ("Content-Location", _canonical(path, asked)),
            ("ETag", etag),
            ("Last-Modified", _http_date(modified)),
        ]
        if outcome.status == 304:
            opened.check_current()
            return Response(304, headers, ())
        headers.append(("Content-Length", str(outcome.stop - outcome.start)))
        rate = span.segment.header.sample_rate
        headers.append(
            ("X-Clip-Span", f"first={span.first}, end={span.last}, total={span.segment.samples}, rate={rate}")
        )
        if outcome.status == 206:
            headers.append(("Content-Range", f"bytes {outcome.start}-{outcome.stop - 1}/{clip.length}"))
        disposition = _disposition(path, options, asked)
        if disposition is not None:
            headers.append(("Content-Disposition", disposition))
        return Response(outcome.status, headers, self._body(environ, opened, clip, outcome.start, outcome.stop, path))

    def _body(
        self, environ: "WSGIEnvironment", opened: Opened, clip: Clip, start: int, stop: int, path: bytes
    ) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            opened.check_current()
            return ()
        if stop - start > _WHOLE:
            opened.check_current()
            return _Pieces(environ, opened, clip.pieces(opened.source.fd, start, stop, _PIECE), self._aside, path)
        # Made and original bytes stay apart: joining them would copy the clip once more.
        pieces = tuple(clip.pieces(opened.source.fd, start, stop, stop - start))
        opened.check_current()
        return pieces

    def _locate(self, index: Index, asked: TimeSpan, text: str) -> Span:
        """The samples of a span, within the limits of length."""
        try:
            span = index.locate(asked.start, asked.end)
        except SpanOutsideError as error:
            raise _span_problem(400, "span-outside", str(error), text) from None
        except SpanCrossesSegmentsError as error:
            raise _span_problem(422, "span-crosses-segments", str(error), text) from None
        rate = span.segment.header.sample_rate
        samples = span.last - span.first
        if samples * self._minimum.denominator < self._minimum.numerator * rate:
            raise _span_problem(
                400,
                "span-too-short",
                f"{float(self._minimum):g} s is the shortest clip; this span holds {samples} samples",
                text,
            )
        if samples * self._maximum.denominator > self._maximum.numerator * rate:
            raise _span_problem(
                413, "span-too-long", f"{float(self._maximum):g} s is the longest clip; ask for less", text
            )
        return span


class _Pieces:
    """A body that is too large for memory: read piece by piece, each checked against a change of the file, which ends it at once."""

    __slots__ = ("_aside", "_environ", "_opened", "_path", "_pieces")

    def __init__(
        self, environ: "WSGIEnvironment", opened: Opened, pieces: Iterator[bytes], aside: Aside, path: bytes
    ) -> None:
        self._environ = environ
        self._opened = opened
        self._pieces = pieces
        self._aside = aside
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._aside.run(self._path, self._next):
                yield piece
        except MemoryError:
            make_place(self._environ)
            raise

    def _next(self) -> bytes:
        """The next piece, from a file that was not changed; empty behind the last one."""
        piece = next(self._pieces, b"")
        if piece:
            self._opened.check_unchanged()
        return piece


def _disposition(path: bytes, options: dict[str, str], asked: TimeSpan) -> str | None:
    """The Content-Disposition that the options ask for."""
    return attachment(options["download"], path, asked.canonical) if "download" in options else None


def _query(asked: TimeSpan) -> str:
    """The query of a span's canonical URL."""
    return f"t={asked.canonical}"


def _canonical(path: bytes, asked: TimeSpan) -> str:
    """The one URL of a span of the source at `path`."""
    return f"/clips/{quote(path)}?{_query(asked)}"


def parse_span(options: dict[str, str]) -> TimeSpan:
    """The `t` among the options; without one, the whole file. Raises Problem."""
    text = options.get("t")
    if text is None:
        return _WHOLE_FILE
    try:
        return TimeSpan.parse(text)
    except TimeSpanError as error:
        raise _span_problem(400, "span-malformed", f"t={text[:100]!r}: {error}", text) from None


@contextmanager
def problems_of_media() -> Iterator[None]:
    """Raise it as a Problem that media stand still."""
    try:
        yield
    except StandstillError:
        raise busy("the media do not answer in time, for this file or those beside it; try again", 5) from None


def take_or_problem(shelf: Shelf, path: bytes, permit: Permit) -> Opened:
    """The open source at a path, with its index.

    Raises Problem: 403 for what needs a signature, 404 for missing and forbidden alike, 413 for too large, 415 for what is no MP3, 422
    for one that cannot be cut, 503 while it is being indexed or changed, or where nobody can tell what is there.
    """
    try:
        return shelf.take(path, permit)
    except ProtectedError:
        raise unsigned() from None
    except SourceMissingError:
        raise not_found() from None
    except SourceUnavailableError as error:
        _LOG.error("%s: %s", os.fsdecode(path), error.strerror)
        raise busy("the media cannot be read at the moment; try again", 5) from None
    except SourceTooLargeError as error:
        raise Problem(413, "source-too-large", str(error)) from None
    except IndexPendingError as error:
        problem = busy("the file is being indexed for the first time; try again", 2)
        problem.members["progress"] = round(error.progress, 4)
        raise problem from None
    except SourceChangedError:
        raise busy("the file is being changed; try again", 1) from None
    except NotMp3Error as error:
        raise Problem(415, "not-an-mp3", str(error)) from None
    except Mp3Error as error:
        raise Problem(422, "cannot-be-cut", str(error)) from None


def _span_problem(status: int, kind: str, detail: str, text: str) -> Problem:
    return Problem(status, kind, detail, {"t": text[:100], "allowed": ALLOWED})


def _etag(identity: Identity, index: Index, span: Span) -> str:
    # The segment counts too: the same numbers in another segment are other samples.
    return f'"{_digest(identity.size, identity.mtime_ns, index.proof)}-{span.segment.runs[0].anchors[0]:x}-{span.first:x}-{span.last:x}"'


@lru_cache(maxsize=1024)
def _digest(size: int, mtime_ns: int, proof: int) -> str:
    """What changes with the file and with the engine, and is the same on every server that has a copy with its time kept."""
    return hashlib.blake2b(repr((size, mtime_ns, proof, ENGINE_VERSION)).encode(), digest_size=10).hexdigest()


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    return http_date(seconds)
