"""A server that says what a test wants it to say, where a slicer would be."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Say(NamedTuple):
    """An answer."""

    status: int
    caching: str = "no-store"
    body: bytes = b"stub"
    more: tuple[tuple[str, str], ...] = ()


class Stub:
    """Answers each request with what `answer` says of its target; sees their targets and fields."""

    def __init__(self, answer: Callable[[str], Say]) -> None:
        self.answer = answer
        #: (target, fields by their names in lower case) of each request.
        self.seen: list[tuple[str, dict[str, str]]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fields = {name.lower(): value for name, value in self.headers.items()}
                stub.seen.append((self.path, fields))
                said = stub.answer(self.path)
                if fields.get("x-slicer-checks"):
                    said = Say(200, body=b"", more=(("X-Accel-Redirect", "/.open" + self.path),))
                self.send_response(said.status)
                lines = [("Cache-Control", said.caching), ("Content-Length", str(len(said.body))), *said.more]
                for name, value in lines:
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(said.body)

            do_HEAD = do_POST = do_GET  # noqa: N815 - the names that the class looks for

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def stub_of(answer: Callable[[str], Say]) -> Iterator[Stub]:
    """A stub until the end of the block."""
    stub = Stub(answer)
    try:
        yield stub
    finally:
        stub.close()
