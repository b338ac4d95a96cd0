"""What a request's conditions and range come to, or the problem that they are."""

from collections.abc import Mapping

from slicer.web.conditional import Outcome, evaluate
from slicer.web.problems import Problem


def outcome_of(environ: Mapping[str, str], *, etag: str, modified: int, length: int, what: str) -> Outcome:
    """Decide for a GET or HEAD of something called `what`, as `evaluate` does. Raises Problem 412 and 416."""
    outcome = evaluate(environ, etag=etag, modified=modified, length=length)
    if outcome.status == 412:
        raise Problem(
            412, "precondition-failed", f"the {what} is not the one that If-Match or If-Unmodified-Since names"
        )
    if outcome.status == 416:
        raise Problem(
            416,
            "range-outside",
            f"the range {environ['HTTP_RANGE']!r} lies outside of the {what}'s {length} bytes",
            headers=(("Content-Range", f"bytes */{length}"), ("Accept-Ranges", "bytes")),
        )
    return outcome
