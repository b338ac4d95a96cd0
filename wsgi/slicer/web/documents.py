"""Responses that are JSON documents: a source's description, the library, health, the API's own description."""

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from itertools import islice
from typing import Any
from urllib.parse import quote

from werkzeug.http import http_date

import slicer
from slicer.media.aside import StandstillError
from slicer.media.describe import describe
from slicer.media.library import Catalog
from slicer.media.names import NamesPendingError
from slicer.media.store import IndexStore
from slicer.mp3 import SECOND
from slicer.web.problems import Problem, busy
from slicer.web.request import Request
from slicer.web.respond import Data, respond
from slicer.web.response import Caching, Response
from slicer.web.sources import Sources

#: Sources on a page of the library, by default and at most.
PAGE, MAX_PAGE = 100, 1000
_INFO_MAX_AGE = 60
_LIBRARY_MAX_AGE = 10
_OPENAPI_MAX_AGE = 3600
_MAX_TEXT = 1024


class Documents:
    """Responses that are JSON. One object for all threads; it holds nothing that changes but the store."""

    def __init__(
        self,
        library: Catalog,
        store: IndexStore,
        sources: Sources,
        *,
        hidden: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """`hidden` returns whether a path, or a folder, is left out of lists."""
        self._library = library
        self._hidden = hidden
        self._store = store
        self._sources = sources
        self._openapi = _openapi()

    def info(self, request: Request) -> Response:
        """The description of the source at a path. Raises Problem."""
        path = request.path
        opened = self._sources.aside(path, lambda: self._sources.current(path, request))
        modified = opened.source.identity.mtime_ns // SECOND
        document = {"path": path.decode("utf-8", "replace"), "clips": f"/clips/{quote(path)}", **describe(opened.index)}
        return _json(request, document, _INFO_MAX_AGE, modified)

    def unlisted(self, request: Request) -> Response:
        """The refusal of a list."""
        raise Problem(403, "not-listed", "listing is disabled on this server")

    def library(self, request: Request) -> Response:
        """A page of sources in byte order of their paths. Raises Problem."""
        options = dict(request.options)
        prefix, after = (options.get(name, "") for name in ("prefix", "after"))
        for name, text in (("prefix", prefix), ("after", after)):
            if len(text) > _MAX_TEXT:
                raise Problem(400, "option-too-long", f"{name} is longer than {_MAX_TEXT} characters", {"option": name})
        limit = _limit(options.get("limit", str(PAGE)))
        entries = self._library.list(_path_bytes(prefix), _path_bytes(after), hidden=self._hidden)
        try:
            page = self._sources.aside(b"", lambda: list(islice(entries, limit + 1)))
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
        return _json(request, {"sources": sources, "next": following}, _LIBRARY_MAX_AGE)

    def healthz(self, request: Request) -> Response:
        """Alive: a thread of this process answers."""
        return _json(request, {"status": "alive", "version": slicer.__version__}, 0)

    def readyz(self, request: Request) -> Response:
        """Able to serve: the media folder can be read and indexes can be kept. 503 with what is missing otherwise."""
        try:
            media = self._sources.run(b"", self._library.is_readable)
        except StandstillError:
            media = False
        checks = {"media": media, "index": self._store.is_writable()}
        if not all(checks.values()):
            problem = busy("not ready: " + ", ".join(name for name, good in checks.items() if not good), 5)
            problem.members["checks"] = checks
            raise problem
        return _json(request, {"status": "ready", "checks": checks}, 0)

    def openapi(self, request: Request) -> Response:
        """The OpenAPI 3.1 description of this server."""
        return _json(request, self._openapi, _OPENAPI_MAX_AGE)


def _json(request: Request, document: dict[str, Any], max_age: int, modified: int | None = None) -> Response:
    """A response of JSON with an ETag of its own bytes."""
    data = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    return respond(
        request,
        Data(data),
        [("Content-Type", "application/json")],
        etag=f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"',
        modified=modified,
        what="document",
        caching=Caching(max_age),
        ranges=False,
    )


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
