"""The caching proxy in front: which URL it is sent to, and how long it and the caches behind it may reuse a response.

All spellings of a clip share one entry of its cache, for it is sent to their one URL.
"""

from urllib.parse import parse_qsl, quote

from slicer.signing import signed_url
from slicer.web.request import Request
from slicer.web.response import Response

#: With this a proxy says that it can be sent to another URL by a header of a response, and by which (a convention from Rack).
_PROXY_FIELD, _X_ACCEL = "HTTP_X_SENDFILE_TYPE", "X-Accel-Redirect"
#: With this a proxy says that it asks about each request, and keeps what it is sent to where nobody gets without.
_CHECKS_FIELD = "HTTP_X_SLICER_CHECKS"
#: Where it keeps, by whether a signature was asked for.
_SIGNED, _OPEN = "/.signed", "/.open"
#: With this a proxy asks for old entries, and takes it out of what it passes on: a browser would keep to it too.
_CACHE_FIELD, _STALE = "HTTP_X_SLICER_CACHE", "stale"


def is_behind_check(request: Request) -> bool:
    """Return whether a proxy asks that caches responses behind this server's check of signatures."""
    return request.passed is not None and request.fields.get(_CHECKS_FIELD) == "1"


def is_sent(request: Request, query: str) -> bool:
    """Return whether a proxy asks that is redirected to the canonical URL, whose query is given.

    A proxy that caches behind the check of signatures always is. Another proxy gets signed responses from here, uncached.
    """
    if request.fields.get(_PROXY_FIELD) != _X_ACCEL:
        return False
    if is_behind_check(request):
        return True
    # As text, not as options: the cache's key is the text.
    return not request.is_signed and request.query != query


def redirect(request: Request, path: bytes, query: str, max_age: int, disposition: str | None = None) -> Response:
    """The response that names the one URL, by its path and its query. It may be reused for `max_age` seconds.

    A field of it goes for what the proxy then sends, so there is none for type and reuse.
    """
    url = f"{quote(path)}?{query}"
    if is_behind_check(request):
        url = _location(request, path, query, url, max_age)
    headers = [
        ("Content-Length", "0"),
        (_X_ACCEL, url),
        ("X-Accel-Expires", str(max_age)),
        # Another cache on the way must not give this to somebody who wants the thing itself.
        ("Vary", "X-Sendfile-Type"),
    ]
    if disposition is not None:
        headers.append(("Content-Disposition", disposition))
    return Response(200, headers, (), None)


def _location(request: Request, path: bytes, query: str, url: str, max_age: int) -> str:
    """The URL at which such a proxy keeps the response to a canonical URL, whose decoded path and query are given too.

    The signature in it is of that URL, by the same key and to the same time: who has the one may have the other.
    """
    passed = request.passed
    if passed is None or passed.signature is None:
        return _OPEN + url
    key, expires = passed.signature
    mac = signed_url(path, parse_qsl(query, keep_blank_values=True), key, expires).rpartition("=")[2]
    return f"{_SIGNED}/{min(max_age, passed.left)}/{expires}/{key.name}/{mac}{url}"


def cache_control(request: Request, response: Response) -> str | None:
    """The Cache-Control of a response to a request; None where it has none.

    No cache but the client's own keeps what was signed for, and that one no longer than the signature is right. A proxy that asks
    for it may send what any client may have once more, old as it is; never an error.
    """
    if response.caching is None:
        return None
    passed = request.passed
    private = passed.left if passed is not None and request.is_signed else None
    stale = request.fields.get(_CACHE_FIELD) == _STALE and response.status < 400
    return response.caching.directives(private=private, stale=stale)
