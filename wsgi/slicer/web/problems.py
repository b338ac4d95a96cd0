"""Errors as RFC 9457 problem details: what went wrong, with the value that was wrong, in one sentence for a person."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from slicer.web.response import Response

#: Seconds an error may be reused by a cache, by status; 0 is no-store. Statuses not named are no-store too, 401, 403, 410 and 429 among
#: them: these depend on the client or on the moment, and a cache would give them to others.
MAX_AGE = {400: 60, 404: 10, 405: 60, 413: 60, 414: 60, 415: 60, 416: 10, 422: 60}
_PREFIX = "urn:slicer:problem:"


@dataclass(slots=True, eq=False)
class Problem(Exception):  # noqa: N818  (the RFC's own name)
    """An answer that is an error. `kind` is the last part of its type, `members` are extra members of the JSON object."""

    status: int
    kind: str
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    def answer(self) -> Response:
        """The answer to send: JSON, its length, and how long it may be kept."""
        phrase = HTTPStatus(self.status).phrase
        body = {
            "type": _PREFIX + self.kind,
            "title": phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        return Response(
            self.status,
            [
                ("Content-Type", "application/problem+json"),
                ("Content-Length", str(len(data))),
                ("Cache-Control", cache_control(MAX_AGE.get(self.status, 0))),
                *self.headers,
            ],
            [data],
        )


def cache_control(max_age: int) -> str:
    """The header's value for a public answer that may be reused for so many seconds; 0 for never."""
    return f"public, max-age={max_age}" if max_age else "no-store"


def not_found() -> Problem:
    """The one answer for what is missing and for what must not be given out."""
    return Problem(404, "not-found", "there is nothing to cut under this path; /library lists what there is")


def busy(detail: str, seconds: int) -> Problem:
    """503: try again in so many seconds."""
    return Problem(503, "try-again", detail, headers=(("Retry-After", str(seconds)),))


def overstayed(detail: str = "the request was worked on for too long, and was stopped; try again") -> Problem:
    """504 for a request that was worked on for too long."""
    return Problem(504, "overstayed", detail, headers=(("Retry-After", "2"),))
