"""An origin that misbehaves: for each object, in the one way that a test sets."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Bytes above which an answer is one that "replaced long" cuts.
LONG = 1 << 20


class Crooked:
    """One HTTP server. `way` names what is wrong, for answers to requests of more than one byte unless it begins with a star."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.etag = '"one"'
        self.way = ""
        self.asked: list[dict[str, str]] = []  #: fields of each request, in lower case
        self.stores = 501  #: the status of answers to PUT; nothing is stored in any case
        self.connections = 0
        self.released = threading.Event()  #: ends answers that stand still
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def do_GET(self) -> None:
                outer.asked.append({name.lower(): text for name, text in self.headers.items()} | {"": self.path})
                with contextlib.suppress(ConnectionError):
                    outer._answer(self)

            def do_PUT(self) -> None:
                outer.asked.append({name.lower(): text for name, text in self.headers.items()} | {"": self.path})
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(outer.stores)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/media/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        low, high = (int(found[1]), int(found[2]) + 1) if found else (0, len(self.data))
        way = self.way.removeprefix("*") if high - low > 1 or self.way.startswith("*") else ""
        body, etag, total = self.data[low:high], self.etag, len(self.data)
        fields: dict[str, str] = {}
        status = 206
        if way.isdigit():
            status, body = int(way), b""
            fields["Location"] = self.url + "elsewhere.mp3"
        elif way == "ExpiredToken" and "Credential=two" in handler.headers.get("Authorization", ""):
            pass
        elif way in {"ExpiredToken", "InvalidObjectState", "AccessDenied"}:
            status, body = 403, f"<Error><Code>{way}</Code></Error>".encode()
        elif way == "whole":
            status, body = 200, self.data
        elif way == "shifted":
            low, high = low + 1, high + 1
        elif way == "other total":
            total += 1
        elif way == "no etag":
            etag = ""
        elif way == "weak":
            etag = "W/" + etag
        elif way == "gzip":
            fields["Content-Encoding"] = "gzip"
        elif way == "drops" and "If-Match" in handler.headers:
            status, body = 412, b""
        elif way == "silent":
            self.released.wait(60)
        handler.send_response(status)
        for name, text in {"ETag": etag, "Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT", **fields}.items():
            if text:
                handler.send_header(name, text)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {low}-{high - 1}/{total}")
        handler.send_header("Content-Length", str(len(body) + (way == "long")))
        handler.end_headers()
        half = len(body) // 2
        handler.wfile.write(body[:half])
        if way in {"short", "once", "stuck", "replaced"} or (way == "replaced long" and len(body) > LONG):
            # Half of it is on its way: the rest never comes.
            if way in {"once", "replaced", "replaced long"}:
                self.way = ""
            if way in {"replaced", "replaced long"}:
                self.etag = f'"{self.etag[1:-1]}2"'
            elif way == "stuck":
                self.released.wait(60)
            handler.close_connection = True
            return
        handler.wfile.write(body[half:])

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def crooked(data: bytes) -> Iterator[Crooked]:
    """An origin with one object under every path."""
    server = Crooked(data)
    try:
        yield server
    finally:
        server.close()
