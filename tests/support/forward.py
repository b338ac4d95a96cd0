"""A proxy of HTTP on this machine that hosts without another way out can use; it remembers which hosts it was asked for."""

import contextlib
import http.client
import selectors
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SECONDS = 120
#: Fields of one connection, which are not passed on.
_OWN = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding"})


class Forward(ThreadingHTTPServer):
    """The proxy, on a port of all addresses of IPv6."""

    address_family = socket.AF_INET6
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("::", 0), _Handler)
        self.names: set[str] = set()


class _Handler(BaseHTTPRequestHandler):
    server: Forward

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.names.add(parts.hostname or "")
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
        with contextlib.closing(connection):
            try:
                headers = {name: text for name, text in self.headers.items() if name.lower() not in _OWN}
                connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers)
                answer = connection.getresponse()
            except OSError as error:
                self.send_error(502, str(error))
                return
            self.send_response_only(answer.status, answer.reason)
            for name, text in answer.getheaders():
                if name.lower() not in _OWN:
                    self.send_header(name, text)
            self.end_headers()
            shutil.copyfileobj(answer, self.wfile)

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        self.server.names.add(host)
        try:
            there = socket.create_connection((host, int(port)), timeout=SECONDS)
        except OSError as error:
            self.send_error(502, str(error))
            return
        self.send_response_only(200)
        self.end_headers()
        with there, selectors.DefaultSelector() as selector:
            for one, other in ((self.connection, there), (there, self.connection)):
                selector.register(one, selectors.EVENT_READ, other)
            # Until one side has nothing more to say, or neither says anything.
            while ready := selector.select(SECONDS):
                for key, _ in ready:
                    block = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not block:
                        return
                    key.data.sendall(block)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def forwarding() -> Iterator[Forward]:
    """A proxy that is closed at the end."""
    with Forward() as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
