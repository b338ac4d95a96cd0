"""Answers that are JSON documents: a source's description, the library, health, the API's own description."""

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.http import http_date

import slicer
from slicer.media.aside import Aside, StandstillError
from slicer.media.describe import describe
from slicer.media.library import Library
from slicer.media.names import NamesPendingError
from slicer.media.protected import Permit
from slicer.media.shelf import Opened, Shelf
from slicer.media.store import IndexStore
from slicer.mp3 import SECOND, SourceChangedError
from slicer.web.answer import Answer
from slicer.web.clips import problems_of_media, take_or_problem
from slicer.web.conditional import evaluate
from slicer.web.problems import Problem, busy, cache_control

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Sources on a page of the library: unless told, and at most.
PAGE, MAX_PAGE = 100, 1000
_INFO_MAX_AGE = 60
_LIBRARY_MAX_AGE = 10
_OPENAPI_MAX_AGE = 3600
_MAX_TEXT = 1024


class Documents:
    """Answers that are JSON. One object for all threads; it holds nothing that changes but the store."""

    def __init__(
        self,
        library: Library,
        store: IndexStore,
        shelf: Shelf,
        aside: Aside,
        *,
        hidden: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """`hidden` tells of a path, of a folder too, that it is not to be listed."""
        self._library = library
        self._hidden = hidden
        self._store = store
        self._shelf = shelf
        self._aside = aside
        self._openapi = _openapi()

    def info(self, environ: "WSGIEnvironment", path: bytes, permit: Permit) -> Answer:
        """What is known of the source at `path`. Raises Problem."""
        with problems_of_media():
            opened = self._aside.run(path, lambda: self._current(path, permit))
        modified = opened.source.identity.mtime_ns // SECOND
        document = {"path": path.decode("utf-8", "replace"), "clips": f"/clips/{quote(path)}", **describe(opened.index)}
        return _json(environ, document, _INFO_MAX_AGE, modified)

    def _current(self, path: bytes, permit: Permit) -> Opened:
        opened = take_or_problem(self._shelf, path, permit)
        try:
            opened.check_current()
        except SourceChangedError:
            self._shelf.drop(path, opened)
            opened = take_or_problem(self._shelf, path, permit)
        return opened

    def library(self, environ: "WSGIEnvironment", options: dict[str, str]) -> Answer:
        """A page of sources in byte order of their paths. Raises Problem."""
        prefix, after = (options.get(name, "") for name in ("prefix", "after"))
        for name, text in (("prefix", prefix), ("after", after)):
            if len(text) > _MAX_TEXT:
                raise Problem(400, "option-too-long", f"{name} is longer than {_MAX_TEXT} characters", {"option": name})
        limit = _limit(options.get("limit", str(PAGE)))
        entries = self._library.list(_path_bytes(prefix), _path_bytes(after), hidden=self._hidden)
        with problems_of_media():
            try:
                page = self._aside.run(b"", lambda: list(islice(entries, limit + 1)))
            except NamesPendingError:
                raise busy("the names of a large folder are being sorted; try again", 2) from None
        sources = [
            {
                "path": entry.path.decode("utf-8", "replace"),
                "size": entry.size,
                "modified": http_date(entry.mtime_ns // SECOND),
                "clips": f"/clips/{quote(entry.path)}",
                "info": f"/info/{quote(entry.path)}",
            }
            for entry in page[:limit]
        ]
        following = None
        if len(page) > limit:
            following = (
                f"/library?prefix={quote(_path_bytes(prefix))}&after={quote(page[limit - 1].path)}&limit={limit}"
            )
        return _json(environ, {"sources": sources, "next": following}, _LIBRARY_MAX_AGE)

    def healthz(self, environ: "WSGIEnvironment") -> Answer:
        """Alive: a thread of this process answers."""
        return _json(environ, {"status": "alive", "version": slicer.__version__}, 0)

    def readyz(self, environ: "WSGIEnvironment") -> Answer:
        """Able to serve: the media folder can be read and indexes can be kept. 503 with what is missing otherwise."""
        try:
            media = self._aside.run(b"", self._library.is_readable)
        except StandstillError:
            media = False
        checks = {"media": media, "index": self._store.is_writable()}
        if not all(checks.values()):
            problem = busy("not ready: " + ", ".join(name for name, good in checks.items() if not good), 5)
            problem.members["checks"] = checks
            raise problem
        return _json(environ, {"status": "ready", "checks": checks}, 0)

    def openapi(self, environ: "WSGIEnvironment") -> Answer:
        """The OpenAPI 3.1 description of this server."""
        return _json(environ, self._openapi, _OPENAPI_MAX_AGE)


def _json(environ: "WSGIEnvironment", document: dict[str, Any], max_age: int, modified: int | None = None) -> Answer:
    """An answer of JSON with an ETag of its own bytes."""
    data = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    etag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    headers = [("Content-Type", "application/json"), ("Cache-Control", cache_control(max_age)), ("ETag", etag)]
    if modified is not None:
        headers.append(("Last-Modified", http_date(modified)))
    # Documents are small: a Range on one is ignored, as RFC 9110 section 14.2 allows.
    plain = {name: value for name, value in environ.items() if name != "HTTP_RANGE"}
    outcome = evaluate(plain, etag=etag, modified=modified or 0, length=len(data))
    if outcome.status == 304:
        return Answer(304, headers, ())
    if outcome.status == 412:
        raise Problem(
            412, "precondition-failed", "the document is not the one that If-Match or If-Unmodified-Since names"
        )
    return Answer(200, [*headers, ("Content-Length", str(len(data)))], [data])


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE:
        return int(text)
    raise Problem(
        400, "limit-malformed", f"limit={text[:20]!r} is not a whole number from 1 to {MAX_PAGE}", {"limit": text[:20]}
    )


def _path_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _openapi() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files("slicer.web").joinpath("openapi.json").read_bytes())
    document["info"]["version"] = slicer.__version__
    return document
