"""Errors as RFC 9457 problem details: the failure and its value, in one sentence."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mp3_slicer.errors import SlicerError
from mp3_slicer.failures import Failure, refusal_of
from mp3_slicer.media.source import SourceUnavailableError
from mp3_slicer.web.response import Caching, Response

_LOG = logging.getLogger("slicer")
#: Seconds an error may be reused by a cache, by status; 0 is no-store. Statuses not named are no-store too, 401, 403, 410 and 429 among
#: them: these depend on the client or on the moment, and a cache would give them to others.
MAX_AGE = {400: 60, 404: 10, 405: 60, 413: 60, 414: 60, 415: 60, 416: 10, 422: 60}


@dataclass(slots=True, eq=False)
class Problem(SlicerError):  # noqa: N818  (the RFC's own name)
    """A response that is an error. `kind` is the last part of its type, `members` are extra members of the JSON object."""

    status: int
    kind: str
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    def response(self) -> Response:
        """The response to send: JSON, its length, and how long caches may reuse it."""
        body = Failure(self.status, self.kind, self.detail, members=self.members).problem
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(data))), *self.headers]
        return Response(self.status, headers, [data], Caching(MAX_AGE.get(self.status, 0)))


def problem_of(error: Exception) -> Problem | None:
    """Return the problem of an error by the table of failures; None for a defect."""
    found = refusal_of(error)
    if found is None:
        return None
    headers = (("Retry-After", str(found.retry)),) if found.retry else ()
    return Problem(found.status, found.kind, found.detail, found.members, headers)


def unavailable(where: str, error: SourceUnavailableError) -> Problem:
    """The problem of media that cannot be read, in one line of the log unless that has it already: it is the operator's."""
    if not error.is_repeat:
        _LOG.error("%s: %s", where, error.strerror)
    return problem_of(error) or busy("the media cannot be read at the moment; try again", 5)


@contextmanager
def problems() -> Iterator[None]:
    """Raise an error of the table of failures as its Problem. Defects stay what they are."""
    try:
        yield
    except Problem:
        raise
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        if isinstance(error, OSError):
            # A full or broken disk, a missing folder: the operator finds it in the log.
            _LOG.error("no place for the work: %s", error)
        raise problem from None


def not_found() -> Problem:
    """The problem for a missing source, and for one that must not be served."""
    return Problem(404, "not-found", "there is nothing to cut under this path; /library lists what there is")


def busy(detail: str, seconds: int) -> Problem:
    """503: try again in `seconds`."""
    return Problem(503, "try-again", detail, headers=(("Retry-After", str(seconds)),))


def overstayed(detail: str = "the request was worked on for too long, and was stopped; try again") -> Problem:
    """504 for a request that was worked on for too long."""
    return Problem(504, "overstayed", detail, headers=(("Retry-After", "2"),))
