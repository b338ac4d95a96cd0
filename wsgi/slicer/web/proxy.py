"""Sending a caching proxy to the one URL of what it asks for, so that all spellings share one entry of its cache."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from slicer.web.access import is_behind_check, is_signed, place
from slicer.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: With this a proxy says that it can be sent to another URL by a header of an answer, and by which (a convention from Rack).
_PROXY_FIELD, _X_ACCEL = "HTTP_X_SENDFILE_TYPE", "X-Accel-Redirect"


def is_sent(environ: "WSGIEnvironment", query: str) -> bool:
    """Whether who asks is such a proxy, and is to be sent to the one URL, whose query is given.

    A proxy that keeps things behind the check of signatures always is; one that does not gets what is signed from here alone.
    """
    if environ.get(_PROXY_FIELD) != _X_ACCEL:
        return False
    if is_behind_check(environ):
        return True
    # As text, not as options: the cache's key is the text.
    return not is_signed(environ) and environ.get("QUERY_STRING", "") != query


def elsewhere(
    environ: "WSGIEnvironment", path: bytes, query: str, max_age: int, disposition: str | None = None
) -> Response:
    """The answer that names the one URL, by its path and its query. It may be reused for `max_age` seconds.

    What is said here about a field goes for what the proxy then sends, so nothing is said of its type and reuse.
    """
    url = f"{quote(path)}?{query}"
    if is_behind_check(environ):
        url = place(environ, path, query, url, max_age)
    headers = [
        ("Content-Length", "0"),
        (_X_ACCEL, url),
        ("X-Accel-Expires", str(max_age)),
        # Another cache on the way must not give this to somebody who wants the thing itself.
        ("Vary", "X-Sendfile-Type"),
    ]
    if disposition is not None:
        headers.append(("Content-Disposition", disposition))
    return Response(200, headers, ())
