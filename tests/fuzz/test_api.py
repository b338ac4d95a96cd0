"""A short round over the API of a running Slicer, and of Nginx before it; `make fuzz` has the long one."""

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from fuzz import api

#: After these no other operation is begun, so that a loaded machine asks less and does not take longer.
SECONDS = 120


@pytest.fixture(scope="module")
def stack() -> Iterator[api.Stack]:
    with api.stack() as running:
        yield running


def test_every_answer_is_as_the_description_has_it(stack):
    report = api.run(stack.url, 3, 1, seconds=SECONDS)
    assert not report.findings, api.text_of(report)
    asked = {label for label, _ in report.answers}
    assert asked <= api.operations(stack.url) - api.UNASKED
    # Not only refusals.
    assert {status for label, status in report.answers if "/clips" in label} & {200, 206}
    assert {status for label, status in report.answers if "/clips" in label} & {400, 404, 415}


def test_the_same_through_nginx(stack):
    report = api.run(stack.edge, 2, 2, seconds=SECONDS, only="/peaks")
    assert not report.findings, api.text_of(report)
    assert report.answers


def test_an_answer_that_is_not_described_is_found(stack):
    """A server that has the description and answers otherwise."""
    description = api.requests.get(f"{stack.url}/openapi.json", timeout=60).content

    class Liar(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = (200, description) if self.path == "/openapi.json" else (418, b'{"a": 1}')
            self._answer(status, body)

        def do_POST(self) -> None:
            self._answer(202, json.dumps({"id": "0"}).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        report = api.run(f"http://127.0.0.1:{server.server_port}", 1, 1, only="/healthz")
        server.shutdown()
    assert ("GET /healthz", "undocumented 418") in report.findings
