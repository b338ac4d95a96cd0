"""The conditional responder: the response to a GET or HEAD of something with an ETag, by its conditions and range."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

import werkzeug.http

from mp3_slicer.render.content import Content
from mp3_slicer.web.conditional import Outcome, evaluate
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.request import Request
from mp3_slicer.web.response import Caching, Response

Headers = list[tuple[str, str]]

#: The fields that compare validators, and nothing else.
_ETAG_FIELDS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
_DATE_FIELDS = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE")


class Representation(Protocol):
    """A representation, all or a part of which is sent (RFC 9110 section 3.2)."""

    @property
    def length(self) -> int: ...  # noqa: D102
    def body(self, start: int, stop: int) -> Iterable[bytes]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Data:
    """A representation in memory."""

    __slots__ = ("_data", "length")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)  #: bytes

    def body(self, start: int, stop: int) -> Iterable[bytes]:
        """The bytes start..stop-1."""
        return [self._data[start:stop]]

    def close(self) -> None:
        """Do nothing."""


class Streamed:
    """The content of a result, piece by piece. It is its own body, which the server closes, and so the content (PEP 3333)."""

    __slots__ = ("_content", "_range", "length")

    def __init__(self, content: Content) -> None:
        self._content = content
        self._range = 0, content.length
        self.length = content.length  #: bytes

    def body(self, start: int, stop: int) -> Iterable[bytes]:
        """The bytes start..stop-1."""
        self._range = start, stop
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self._content.pieces(*self._range)

    def close(self) -> None:
        """Close the content."""
        self._content.close()


def respond(
    request: Request,
    representation: Representation,
    headers: Headers,
    *,
    etag: str,
    modified: int | None,
    what: str,
    caching: Caching,
    ranges: bool = True,
    full: Headers | None = None,
) -> Response:
    """Return the response to a GET or HEAD of a representation called `what`, which is closed unless it is sent.

    `etag` is strong and in quotes, `modified` whole seconds since 1970, None for what has no date: then none is compared. Without
    `ranges` a Range is ignored, as RFC 9110 section 14.2 allows. `headers` are those of any response but a problem, `full` further ones
    of a 200 or 206. Raises Problem 412 and 416.
    """
    conditions = request.fields if ranges else _validators(request.fields, dated=modified is not None)
    try:
        outcome = _outcome(conditions, etag=etag, modified=modified or 0, length=representation.length, what=what)
    except BaseException:
        representation.close()
        raise
    headers.append(("ETag", etag))
    if modified is not None:
        headers.append(("Last-Modified", http_date(modified)))
    if ranges:
        headers.append(("Accept-Ranges", "bytes"))
    if outcome.status == 304:
        representation.close()
        return Response(304, headers, (), caching)
    headers.append(("Content-Length", str(outcome.stop - outcome.start)))
    if outcome.status == 206:
        headers.append(("Content-Range", f"bytes {outcome.start}-{outcome.stop - 1}/{representation.length}"))
    if full:
        headers += full
    if request.method == "HEAD":
        representation.close()
        return Response(outcome.status, headers, (), caching)
    return Response(outcome.status, headers, representation.body(outcome.start, outcome.stop), caching)


def respond_whole(
    request: Request,
    data: bytes,
    content_type: str,
    *,
    what: str,
    caching: Caching,
    modified: int | None = None,
    headers: Headers | None = None,
) -> Response:
    """The response with a document in memory, whose ETag is of its own bytes; never a range of it. Raises Problem 412."""
    return respond(
        request,
        Data(data),
        [("Content-Type", content_type), *(headers or ())],
        etag=f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"',
        modified=modified,
        what=what,
        caching=caching,
        ranges=False,
    )


def _validators(conditions: Mapping[str, Any], *, dated: bool) -> dict[str, Any]:
    """Those conditions that compare validators, without a range."""
    names = (*_ETAG_FIELDS, *_DATE_FIELDS) if dated else _ETAG_FIELDS
    return {name: conditions[name] for name in names if name in conditions}


def _outcome(conditions: Mapping[str, Any], *, etag: str, modified: int, length: int, what: str) -> Outcome:
    outcome = evaluate(conditions, etag=etag, modified=modified, length=length)
    if outcome.status == 412:
        raise Problem(
            412, "precondition-failed", f"the {what} is not the one that If-Match or If-Unmodified-Since names"
        )
    if outcome.status == 416:
        raise Problem(
            416,
            "range-outside",
            f"the range {conditions['HTTP_RANGE']!r} lies outside of the {what}'s {length} bytes",
            headers=(("Content-Range", f"bytes */{length}"), ("Accept-Ranges", "bytes")),
        )
    return outcome


#: The first second of the year 1, and the last of the year 9999.
_FIRST, _LAST = -62_135_596_800, 253_402_300_799


@lru_cache(maxsize=1024)
def http_date(seconds: int) -> str:
    """A time as HTTP has it: file systems have times beyond the years 1 to 9999, which become the nearest."""
    return werkzeug.http.http_date(min(max(seconds, _FIRST), _LAST))
