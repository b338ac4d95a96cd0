"""The caching proxy in front: its redirect to the canonical URL, and how long caches may reuse a response.

All spellings of a clip share one cache entry, because the proxy is redirected to their canonical URL.
"""

from urllib.parse import parse_qsl, quote

from mp3_slicer.signing import signed_url
from mp3_slicer.web.request import Request
from mp3_slicer.web.response import Response

#: The field of a proxy that can be redirected by a response header, and the name of that header (a convention from Rack).
_PROXY_FIELD, _X_ACCEL = "HTTP_X_SENDFILE_TYPE", "X-Accel-Redirect"
#: The field of a proxy that asks about each request, and caches responses behind this check.
_CHECKS_FIELD = "HTTP_X_SLICER_CHECKS"
#: Its cache locations, for sources that need a signature and for others.
_SIGNED, _OPEN = "/.signed", "/.open"
#: The field of a proxy that may send stale entries; it removes the permission from its responses, since browsers would use it too.
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
    """The redirect to the canonical URL, by its path and query. It may be reused for `max_age` seconds.

    Its fields apply to the response that the proxy then sends, so it has none for type and reuse.
    """
    url = f"{quote(path)}?{query}"
    if is_behind_check(request):
        url = _location(request, path, query, url, max_age)
    headers = [
        ("Content-Length", "0"),
        (_X_ACCEL, url),
        ("X-Accel-Expires", str(max_age)),
        # Another cache must not give this to a client that wants the response itself.
        ("Vary", "X-Sendfile-Type"),
    ]
    if disposition is not None:
        headers.append(("Content-Disposition", disposition))
    return Response(200, headers, (), None)


def _location(request: Request, path: bytes, query: str, url: str, max_age: int) -> str:
    """The URL at which such a proxy caches the response of a canonical URL, whose decoded path and query are given too.

    Its signature is of the canonical URL, with the key and expiry of the client's.
    """
    passed = request.passed
    if passed is None or passed.signature is None:
        return _OPEN + url
    key, expires = passed.signature
    mac = signed_url(path, parse_qsl(query, keep_blank_values=True), key, expires).rpartition("=")[2]
    return f"{_SIGNED}/{min(max_age, passed.left)}/{expires}/{key.name}/{mac}{url}"


def cache_control(request: Request, response: Response) -> str | None:
    """The Cache-Control of a response to a request; None where it has none.

    A response to a signed URL is cached by its client alone, until the signature expires. A proxy that asks for it may serve others
    stale, except errors.
    """
    if response.caching is None:
        return None
    passed = request.passed
    private = passed.left if passed is not None and request.is_signed else None
    stale = request.fields.get(_CACHE_FIELD) == _STALE and response.status < 400
    return response.caching.directives(private=private, stale=stale)
