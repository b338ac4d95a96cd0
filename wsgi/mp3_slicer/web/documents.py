"""Responses that are JSON documents: a source's description, the library, health, the API's own description."""

import json
from collections.abc import Callable
from importlib import resources
from itertools import islice
from typing import Any
from urllib.parse import quote

import mp3_slicer
from mp3_slicer.media.aside import StandstillError
from mp3_slicer.media.describe import describe
from mp3_slicer.media.library import Catalog
from mp3_slicer.media.names import NamesPendingError
from mp3_slicer.media.store import IndexStore
from mp3_slicer.web.beside import Beside
from mp3_slicer.web.problems import Problem, busy
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import respond_whole
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.search import Search, listed
from mp3_slicer.web.sources import Sources

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
        beside: Beside,
        search: Search,
        *,
        hidden: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """`hidden` returns whether a path, or a folder, is left out of lists."""
        self._library = library
        self._hidden = hidden
        self._store = store
        self._sources = sources
        self._beside = beside
        self._search = search
        self._openapi = _openapi()

    def info(self, request: Request) -> Response:
        """The description of the source at a path. Raises Problem."""
        path = request.path
        opened, (said, modified) = self._sources.aside(
            path,
            lambda: self._sources.at(path, request, lambda opened: (opened, self._beside.describe(opened, request))),
        )
        document = {
            "path": path.decode("utf-8", "replace"),
            "clips": f"/clips/{quote(path)}",
            **describe(opened.index),
            **said,
        }
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
        if "q" in options:
            return self._found(request, options["q"], _path_bytes(prefix), _path_bytes(after), limit)
        entries = self._library.list(_path_bytes(prefix), _path_bytes(after), hidden=self._hidden)
        try:
            page = self._sources.aside(b"", lambda: list(islice(entries, limit + 1)))
        except NamesPendingError:
            raise busy("the names of a large folder are being sorted; try again", 2) from None
        page_of = page[:limit]
        titles = self._search.titles([(entry.path, entry.mtime_ns) for entry in page_of])
        sources = [
            {**listed(entry.path, entry.size, entry.mtime_ns), **titles.get(entry.path, {})} for entry in page_of
        ]
        following = None
        if len(page) > limit:
            following = (
                f"/library?prefix={quote(_path_bytes(prefix))}&after={quote(page[limit - 1].path)}&limit={limit}"
            )
        return _json(request, {"sources": sources, "next": following}, _LIBRARY_MAX_AGE)

    def _found(self, request: Request, text: str, prefix: bytes, after: bytes, limit: int) -> Response:
        """A page of sources by their names and titles. Raises Problem."""
        sources = self._search.names(text, prefix, after, limit + 1)
        following = None
        if len(sources) > limit:
            last = sources[limit - 1]["clips"].removeprefix("/clips/")
            query = quote(text, errors="surrogateescape")
            following = f"/library?q={query}&prefix={quote(prefix)}&after={last}&limit={limit}"
        return _json(request, {"sources": sources[:limit], "next": following}, _LIBRARY_MAX_AGE)

    def healthz(self, request: Request) -> Response:
        """Alive: a thread of this process answers."""
        return _json(request, {"status": "alive", "version": mp3_slicer.__version__}, 0)

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
    return respond_whole(
        request, data, "application/json", what="document", caching=Caching(max_age), modified=modified
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
    document: dict[str, Any] = json.loads(resources.files("mp3_slicer.web").joinpath("openapi.json").read_bytes())
    document["info"]["version"] = mp3_slicer.__version__
    return document
