"""A response: status, headers, body and how long caches may reuse it, as plain values. It is a WSGI application itself (PEP 3333)."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
#: RFC 5861, in seconds: a year, longer than any entry lives.
_STALE = ", stale-while-revalidate=31536000"


class Caching(NamedTuple):
    """The time for which caches may reuse a response (RFC 9111 section 5.2.2)."""

    max_age: int | None  #: seconds; 0 for never, None for only after asking whether it is still the same
    immutable: bool = False  #: whether it never changes (RFC 8246)

    def directives(self, *, private: int | None = None, stale: bool = False) -> str:
        """The value of Cache-Control.

        `private` is for a response to one client alone, and the seconds for which that client may have it; with `stale` caches may
        serve it stale while they fetch a newer one.
        """
        if self.max_age is None:
            return "no-cache"
        if self.max_age == 0:
            return "no-store"
        if private is not None:
            return f"private, max-age={min(private, self.max_age)}"
        return f"public, max-age={self.max_age}{', immutable' if self.immutable else ''}{_STALE if stale else ''}"


NO_STORE, REVALIDATE = Caching(0), Caching(None)


class Response:
    """One response. Every body has a Content-Length among its headers: a reply cut short must never look whole.

    Cache-Control is not among the headers until it is sent: it depends on the request too.
    """

    __slots__ = ("body", "caching", "headers", "status")

    def __init__(
        self, status: int, headers: list[tuple[str, str]], body: Iterable[bytes], caching: Caching | None = NO_STORE
    ) -> None:
        """`caching` is None for a response without Cache-Control."""
        self.status = status
        self.headers = headers
        self.body = body
        self.caching = caching

    @classmethod
    def whole(cls, status: int, content_type: str, data: bytes, *headers: tuple[str, str]) -> Self:
        """A response whose body is `data`, with further headers; caches do not store it."""
        return cls(status, [("Content-Type", content_type), ("Content-Length", str(len(data))), *headers], [data])

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a WSGI request."""
        start_response(_LINES[self.status], self.headers)
        if environ["REQUEST_METHOD"] == "HEAD":
            close = getattr(self.body, "close", None)
            if close:
                close()
            return ()
        return self.body
