"""Preconditions and byte ranges: every question of RFC 9110 sections 13 and 14, asked of values, without a server."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from werkzeug.datastructures import ETags
from werkzeug.http import parse_date, parse_etags

#: Werkzeug 3.2 has it as ETags.from_header, and warns where the old function is called.
_parse_etags: Callable[[str], ETags] = getattr(ETags, "from_header", parse_etags)
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.ASCII)


class Outcome(NamedTuple):
    """The status that a request's headers ask for: 200, 206 with the bytes start..stop-1, 304, 412 or 416."""

    status: int
    start: int
    stop: int


def evaluate(environ: Mapping[str, str], *, etag: str, modified: int, length: int) -> Outcome:
    """Decide for a GET or HEAD of something `length` bytes long, with this strong ETag (in quotes) and modification time.

    `modified` is whole seconds since 1970. The order is that of RFC 9110 section 13.2.2. A Range that cannot be parsed, asks for
    several ranges, or whose If-Range does not match, is ignored; one that lies outside is 416.
    """
    whole = Outcome(200, 0, length)
    if "HTTP_IF_MATCH" in environ:
        if not _parse_etags(environ["HTTP_IF_MATCH"]).is_strong(etag[1:-1]) and environ["HTTP_IF_MATCH"].strip() != "*":
            return Outcome(412, 0, 0)
    elif "HTTP_IF_UNMODIFIED_SINCE" in environ:
        since = _seconds(environ["HTTP_IF_UNMODIFIED_SINCE"])
        if since is not None and modified > since:
            return Outcome(412, 0, 0)
    if "HTTP_IF_NONE_MATCH" in environ:
        # Weak comparison (section 13.1.2): a cache between may have made the validator weak.
        if environ["HTTP_IF_NONE_MATCH"].strip() == "*" or _parse_etags(environ["HTTP_IF_NONE_MATCH"]).contains_weak(
            etag[1:-1]
        ):
            return Outcome(304, 0, 0)
    elif "HTTP_IF_MODIFIED_SINCE" in environ:
        since = _seconds(environ["HTTP_IF_MODIFIED_SINCE"])
        if since is not None and modified <= since:
            return Outcome(304, 0, 0)
    if "HTTP_RANGE" not in environ or environ["REQUEST_METHOD"] != "GET":
        return whole
    if "HTTP_IF_RANGE" in environ and not _is_same(environ["HTTP_IF_RANGE"].strip(), etag, modified):
        return whole
    return _range(environ["HTTP_RANGE"], length) or whole


def _is_same(validator: str, etag: str, modified: int) -> bool:
    """If-Range (section 13.1.5): a strong ETag, or exactly the date."""
    if validator.startswith(('"', "W/")):
        return validator == etag
    return _seconds(validator) == modified


def _seconds(date: str) -> int | None:
    try:
        parsed = parse_date(date)
    except OverflowError:  # a day or a year beyond all counting
        return None
    return None if parsed is None else int(parsed.timestamp())


def _range(text: str, length: int) -> Outcome | None:
    match = _RANGE.fullmatch(text)
    if not match or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        count = int(last)
        if count == 0:
            return Outcome(416, 0, 0)
        return Outcome(206, max(0, length - count), length)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= length:
        return Outcome(416, 0, 0)
    return Outcome(206, start, min(length, int(last) + 1) if last else length)
