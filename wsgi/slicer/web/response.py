"""An answer: status, headers and body as plain values. It is a WSGI application itself, as PEP 3333 has them."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Response:
    """What is sent. Every body has a Content-Length among its headers: a reply cut short must never look whole."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: Iterable[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a WSGI request."""
        start_response(_LINES[self.status], self.headers)
        if environ["REQUEST_METHOD"] == "HEAD":
            close = getattr(self.body, "close", None)
            if close:
                close()
            return ()
        return self.body
