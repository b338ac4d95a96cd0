"""Sending a caching proxy to the one URL of what it asks for, so that all spellings share one entry of its cache."""

from typing import TYPE_CHECKING

from slicer.web.answer import Answer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: With this a proxy says that it can be sent to another URL by a header of an answer, and by which (a convention from Rack).
_PROXY_FIELD, _X_ACCEL = "HTTP_X_SENDFILE_TYPE", "X-Accel-Redirect"


def can_be_sent(environ: "WSGIEnvironment") -> bool:
    """Whether who asks is such a proxy."""
    return environ.get(_PROXY_FIELD) == _X_ACCEL


def elsewhere(url: str, max_age: int, disposition: str | None) -> Answer:
    """The answer that names the one URL. It may be reused for `max_age` seconds.

    What is said here about a field goes for what the proxy then sends, so nothing is said of its type and reuse.
    """
    headers = [
        ("Content-Length", "0"),
        (_X_ACCEL, url),
        ("X-Accel-Expires", str(max_age)),
        # Another cache on the way must not give this to somebody who wants the thing itself.
        ("Vary", "X-Sendfile-Type"),
    ]
    if disposition is not None:
        headers.append(("Content-Disposition", disposition))
    return Answer(200, headers, ())
