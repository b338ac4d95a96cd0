"""Which answers a cache may send once more, too old as they are, while it fetches a newer one (RFC 5861)."""

from typing import TYPE_CHECKING

from slicer.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: With this a proxy asks, which takes it out of what it passes on: a browser would keep to it too.
_FIELD, _WORD = "HTTP_X_SLICER_CACHE", "stale"
#: Seconds, as long as anything is kept: a year.
_DIRECTIVE = ", stale-while-revalidate=31536000"


def allow_stale(environ: "WSGIEnvironment", answer: Response) -> None:
    """Say of an answer that any client may have that it is better old than late, to a proxy that asks; never of an error."""
    if environ.get(_FIELD) != _WORD or answer.status >= 400:
        return
    for number, (name, value) in enumerate(answer.headers):
        if name == "Cache-Control" and value.startswith("public, max-age="):
            answer.headers[number] = (name, value + _DIRECTIVE)
