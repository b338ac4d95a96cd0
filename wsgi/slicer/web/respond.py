"""Answers out of a finished result: its conditions, its ranges, its bytes piece by piece."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from werkzeug.http import http_date

from slicer.web.outcome import outcome_of
from slicer.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Finished(Protocol):
    """A result: its length in bytes, and any of them, from a file that nobody changes."""

    @property
    def length(self) -> int: ...  # noqa: D102
    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class InMemory:
    """A result that has no file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)  #: bytes

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes start..stop-1, all of them by default, at once."""
        yield self._data[start:stop]

    def close(self) -> None:
        """Nothing is to be closed."""


class _Body:
    """Some of a result's bytes. Whoever sends them closes it, as PEP 3333 has it."""

    __slots__ = ("_finished", "_start", "_stop")

    def __init__(self, finished: Finished, start: int, stop: int) -> None:
        self._finished = finished
        self._start, self._stop = start, stop

    def __iter__(self) -> Iterator[bytes]:
        return self._finished.pieces(self._start, self._stop)

    def close(self) -> None:
        self._finished.close()


def answer_of(
    environ: "WSGIEnvironment",
    finished: Finished,
    headers: list[tuple[str, str]],
    *,
    etag: str,
    modified: int,
    what: str,
    disposition: str | None = None,
) -> Response:
    """The answer to a GET or HEAD of a result called `what`, which is closed with it.

    `etag` is strong and in quotes, `modified` whole seconds since 1970; `headers` are those of any answer but a problem, without these
    two. Raises Problem 412 and 416.
    """
    try:
        outcome = outcome_of(environ, etag=etag, modified=modified, length=finished.length, what=what)
    except BaseException:
        finished.close()
        raise
    headers = [*headers, ("Accept-Ranges", "bytes"), ("ETag", etag), ("Last-Modified", http_date(modified))]
    if outcome.status == 304:
        finished.close()
        return Response(304, headers, ())
    headers.append(("Content-Length", str(outcome.stop - outcome.start)))
    if outcome.status == 206:
        headers.append(("Content-Range", f"bytes {outcome.start}-{outcome.stop - 1}/{finished.length}"))
    if disposition is not None:
        headers.append(("Content-Disposition", disposition))
    return Response(outcome.status, headers, _Body(finished, outcome.start, outcome.stop))
