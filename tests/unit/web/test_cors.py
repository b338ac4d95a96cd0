"""Cors: which headers which origins get; and that every answer of the application has them."""

import pytest

from mp3_slicer.settings import Settings
from mp3_slicer.web.app import Slicer
from mp3_slicer.web.cors import EXPOSED, Cors
from mp3_slicer.web.routes import Route, Routes

A, B, C = "https://a.example", "https://b.example:8443", "https://c.example"
EXPOSE = ("Access-Control-Expose-Headers", EXPOSED)
VARY = ("Vary", "Origin")


def allow(origin):
    return ("Access-Control-Allow-Origin", origin)


@pytest.mark.parametrize(
    ("origins", "origin", "headers"),
    [
        ((), A, set()),
        ((), None, set()),
        (("*",), A, {allow("*"), EXPOSE}),
        (("*",), None, {allow("*"), EXPOSE}),
        ((A, "*"), B, {allow("*"), EXPOSE}),
        ((A,), A, {allow(A), EXPOSE}),
        ((A,), B, {allow(A), EXPOSE}),
        ((A,), None, {allow(A), EXPOSE}),
        ((A, B), A, {allow(A), EXPOSE, VARY}),
        ((A, B), B, {allow(B), EXPOSE, VARY}),
        ((A, B), C, {EXPOSE, VARY}),
        ((A, B), None, {EXPOSE, VARY}),
        ((A, B), "null", {EXPOSE, VARY}),
        ((A, B), "", {EXPOSE, VARY}),
        ((A, B), A + "/", {EXPOSE, VARY}),
        ((A, B), A.upper(), {EXPOSE, VARY}),
        ((A, B), A + ".evil.example", {EXPOSE, VARY}),
        ((A, B), f"{A},{B}", {EXPOSE, VARY}),
    ],
)
def test_headers(origins, origin, headers):
    environ = {} if origin is None else {"HTTP_ORIGIN": origin}
    found = Cors(origins).headers(environ)
    assert set(found) == headers
    assert len(found) == len(headers)


def test_a_list_that_changes_with_the_origin_always_says_so():
    """Or a cache would give one origin's answer to another."""
    cors = Cors((A, B))
    assert all(VARY in cors.headers({"HTTP_ORIGIN": origin}) for origin in (A, B, C))


def test_preflight():
    assert Cors(()).preflight("GET") == []
    for origins in (("*",), (A,), (A, B)):
        headers = dict(Cors(origins).preflight("GET, HEAD, OPTIONS"))
        assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
        assert int(headers["Access-Control-Max-Age"]) > 0
        allowed = headers["Access-Control-Allow-Headers"].split(", ")
        assert {"Range", "If-Range", "If-None-Match", "If-Match"} <= set(allowed)


def broken(request):
    """A handler with a defect."""
    raise ZeroDivisionError(request.path)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/library", 200),
        ("HEAD", "/library", 200),
        ("OPTIONS", "/library", 204),
        ("GET", "/library?limit=x", 400),
        ("GET", "/nothing", 404),
        ("POST", "/library", 405),
        ("GET", "/healthz", 500),
    ],
)
def test_every_answer_has_the_headers(method, path, status, tmp_path, caplog):
    (tmp_path / "media").mkdir()
    application = Slicer(
        Settings.from_environ(
            {
                "SLICER_MEDIA": str(tmp_path / "media"),
                "SLICER_INDEX_DIR": str(tmp_path / "index"),
                "SLICER_CORS_ORIGINS": f"{A}, {B}",
            }
        )
    )
    table = [route for route in application.routes.table if route.name != "healthz"]
    application.routes = Routes([*table, Route("healthz", "/healthz", broken)])
    answers = []
    path, _, query = path.partition("?")
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "HTTP_ORIGIN": B}
    body = b"".join(application(environ, lambda status, headers: answers.append((status, headers))))
    ((line, headers),) = answers
    assert int(line.split()[0]) == status
    assert {allow(B), EXPOSE, VARY} <= set(headers)
    assert "Cache-Control" in dict(headers)
    if method == "HEAD":
        assert body == b""
    elif status != 204:
        assert int(dict(headers)["Content-Length"]) == len(body)
    assert ("ZeroDivisionError" in caplog.text) == (status == 500)
    # What went wrong inside is for the log alone.
    assert b"ZeroDivision" not in body
