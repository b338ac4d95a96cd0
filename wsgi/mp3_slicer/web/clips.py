"""`/clips/<path>.mp3?t=a,b`: the lossless cut."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote

from mp3_slicer.media.shelf import Opened
from mp3_slicer.media.source import Identity, Visit
from mp3_slicer.mp3 import ENGINE_VERSION, SECOND, Clip, Index, Span, SpanCrossesSegmentsError, SpanOutsideError, cut
from mp3_slicer.settings import Settings
from mp3_slicer.timespan import TimeSpan
from mp3_slicer.web.disposition import attachment
from mp3_slicer.web.moments import Moments
from mp3_slicer.web.process import make_room
from mp3_slicer.web.proxy import is_sent, redirect
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import respond
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.sources import Sources, span_problem

#: Bytes of a body that is read before its first byte is sent, so that a change meanwhile costs a retry and no truncated response.
_WHOLE = 1 << 20
#: Bytes of a larger body that are in memory at a time.
_PIECE = 1 << 18


class Clips:
    """Responses for clips. One object for all threads; it holds nothing that changes but the store."""

    def __init__(self, settings: Settings, sources: Sources, moments: Moments) -> None:
        self._sources = sources
        self._moments = moments
        self._minimum = settings.min_clip_seconds
        self._maximum = settings.max_clip_seconds
        self._caching = Caching(settings.clip_max_age)
        self._max_age = settings.clip_max_age

    def get(self, request: Request) -> Response:
        """The clip that a request asks for. Raises Problem."""
        options, path = dict(request.options), request.path
        asked = self._moments.asked(request, options)
        text = options.get("t", asked.canonical if "id" in options else "")
        canonical = asked.canonical
        disposition = attachment(options["download"], path, canonical) if "download" in options else None
        query = f"t={canonical}"
        if is_sent(request, query):
            return redirect(request, request.prefix.encode() + path, query, self._max_age, disposition)
        return self._sources.aside(
            path,
            lambda: self._sources.work(
                path, request, lambda opened: self._cut(request, asked, text, query, disposition, opened)
            ),
        )

    def _cut(
        self, request: Request, asked: TimeSpan, text: str, query: str, disposition: str | None, opened: Opened
    ) -> Response:
        """The response from an open source, whose canonical query is `query`.

        Raises Problem, and SourceChangedError if the source is not the current one.
        """
        identity = opened.source.identity
        span = self._locate(opened.index, asked, text)
        visit = opened.source.ahead(span)
        clip = cut(visit, span)
        rate = span.segment.header.sample_rate
        full = [("X-Clip-Span", f"first={span.first}, end={span.last}, total={span.segment.samples}, rate={rate}")]
        if disposition is not None:
            full.append(("Content-Disposition", disposition))
        response = respond(
            request,
            _Representation(opened, visit, clip, self._sources, request),
            [
                ("Content-Type", "audio/mpeg"),
                ("Content-Location", f"{request.prefix}{_quoted(request.path)}?{query}"),
            ],
            etag=_etag(identity, opened.index, span),
            modified=identity.mtime_ns // SECOND,
            what="clip",
            caching=self._caching,
            full=full,
        )
        # What was read is what the file holds, and is still the file under its path.
        visit.check_current()
        return response

    def _locate(self, index: Index, asked: TimeSpan, text: str) -> Span:
        """The samples of a span, within the limits of length."""
        try:
            span = index.locate(asked.start, asked.end)
        except SpanOutsideError as error:
            raise span_problem(400, "span-outside", str(error), text) from None
        except SpanCrossesSegmentsError as error:
            raise span_problem(422, "span-crosses-segments", str(error), text) from None
        rate = span.segment.header.sample_rate
        samples = span.last - span.first
        if samples * self._minimum.denominator < self._minimum.numerator * rate:
            raise span_problem(
                400,
                "span-too-short",
                f"{float(self._minimum):g} s is the shortest clip; this span holds {samples} samples",
                text,
            )
        if samples * self._maximum.denominator > self._maximum.numerator * rate:
            raise span_problem(
                413, "span-too-long", f"{float(self._maximum):g} s is the longest clip; ask for less", text
            )
        return span


class _Representation:
    """A clip's bytes, from its source."""

    __slots__ = ("_clip", "_opened", "_request", "_sources", "_visit", "length")

    def __init__(self, opened: Opened, visit: Visit, clip: Clip, sources: Sources, request: Request) -> None:
        self._opened = opened
        self._visit = visit
        self._clip = clip
        self._sources = sources
        self._request = request
        self.length = clip.length  #: bytes

    def body(self, start: int, stop: int) -> Iterable[bytes]:
        """The bytes start..stop-1: at once where they are few, else piece by piece when they are sent."""
        if stop - start > _WHOLE:
            reader = self._opened.source.onward(self._clip.offset(stop))
            pieces = self._clip.pieces(reader, start, stop, _PIECE)
            return _Pieces(self._opened, pieces, self._sources, self._request)
        # Made and original bytes stay apart: joining them would copy the clip once more.
        return tuple(self._clip.pieces(self._visit, start, stop, stop - start))

    def close(self) -> None:
        """Do nothing: the shelf has the source."""


class _Pieces:
    """A body that is too large for memory: read piece by piece, each checked against a change of the file, which ends it at once."""

    __slots__ = ("_opened", "_pieces", "_request", "_sources")

    def __init__(self, opened: Opened, pieces: Iterator[bytes], sources: Sources, request: Request) -> None:
        self._opened = opened
        self._pieces = pieces
        self._sources = sources
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._sources.run(self._request.path, self._next):
                yield piece
        except MemoryError:
            make_room(self._request.fields)
            raise

    def _next(self) -> bytes:
        """The next piece, from a file that was not changed; empty behind the last one."""
        piece = next(self._pieces, b"")
        if piece:
            self._opened.check_unchanged()
        return piece


def _etag(identity: Identity, index: Index, span: Span) -> str:
    # The segment counts too: the same numbers in another segment are other samples.
    return f'"{_digest(identity.size, identity.mtime_ns, index.proof)}-{span.segment.runs[0].anchors[0]:x}-{span.first:x}-{span.last:x}"'


@lru_cache(maxsize=1024)
def _quoted(path: bytes) -> str:
    """Return a path as it is in a URL."""
    return quote(path)


@lru_cache(maxsize=1024)
def _digest(size: int, mtime_ns: int, proof: int) -> str:
    """Return a digest of the file and the engine: the same on every server whose copy of the file has its time."""
    return hashlib.blake2b(repr((size, mtime_ns, proof, ENGINE_VERSION)).encode(), digest_size=10).hexdigest()
