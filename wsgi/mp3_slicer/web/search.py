"""`/search`: moments by what is said, and files by what they are called. `/library?q=` lists the latter."""

import json
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.http import http_date

from mp3_slicer.catalogue import (
    Catalogue,
    CatalogueError,
    CatalogueTimeoutError,
    Found,
    Named,
    Query,
    QueryError,
    stored_time,
)
from mp3_slicer.media.protected import Protected
from mp3_slicer.mp3 import SECOND
from mp3_slicer.web.problems import Problem, overstayed
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import respond_whole
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.sources import Sources

#: Seconds for which results may be reused.
MAX_AGE = 10
#: Results on a page: unless told, and at most; and the number from which they begin at most.
PAGE, MAX_PAGE, MAX_FROM = 20, 100, 1000
_BY = ("file", "moment")
_MOST_PREFIX = 1024
#: Milliseconds of a clip at least: a cue may be shorter than anything that can be heard.
_LEAST_CLIP = 1000


class Search:
    """One object for all threads."""

    def __init__(self, catalogue: Catalogue, sources: Sources, protected: Protected) -> None:
        self._catalogue = catalogue
        self._sources = sources
        self._hidden = None if protected.is_empty else protected.holds

    def get(self, request: Request) -> Response:
        """A page of results. Raises Problem."""
        options = dict(request.options)
        text, prefix, by = options.get("q", ""), options.get("prefix", ""), options.get("by", _BY[0])
        if by not in _BY:
            raise Problem(
                400, "option-refused", f"by={by[:20]!r} is not known", {"option": "by", "allowed": ", ".join(_BY)}
            )
        limit, start = (
            _number(options, name, default, low, high)
            for name, default, low, high in (("limit", PAGE, 1, MAX_PAGE), ("from", 0, 0, MAX_FROM))
        )
        query, within = parsed(text), prefix_of(prefix)
        try:
            # What is protected is found out on the media.
            page = self._sources.aside(
                b"",
                lambda: self._catalogue.search(
                    query, prefix=within, start=start, limit=limit, moments=by == "moment", hidden=self._hidden
                ),
            )
        except CatalogueError as error:
            raise unsearchable(error) from None
        following = None
        if page.goes_on and start + limit <= MAX_FROM:
            asked = {"q": text, "prefix": prefix, "by": by, "from": start + limit, "limit": limit}
            following = "/search?" + urlencode(
                {name: value for name, value in asked.items() if value}, errors="surrogateescape"
            )
        document = {
            "files": page.files,
            "more": page.more,
            "results": [_result(each) for each in page.results],
            "next": following,
        }
        data = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        return respond_whole(request, data, "application/json", what="document", caching=Caching(MAX_AGE))

    def names(self, text: str, prefix: bytes, after: bytes, limit: int) -> list[dict[str, Any]]:
        """Sources whose name or title has what `text` says, as /library has them. Raises Problem."""
        query = parsed(text)
        try:
            found = self._sources.aside(
                b"",
                lambda: self._catalogue.names(query, prefix=prefix, after=after, limit=limit, hidden=self._hidden),
            )
        except CatalogueError as error:
            raise unsearchable(error) from None
        return [{**listed(each.path, each.size, each.mtime_ns), **titled(each)} for each in found]

    def titles(self, sources: list[tuple[bytes, int]]) -> dict[bytes, dict[str, Any]]:
        """Title, artist and duration of sources, given by path and time of modification, where the catalogue has that very file."""
        paths = [path for path, _ in sources]
        try:
            known = self._sources.aside(b"", lambda: self._catalogue.known(paths, self._hidden))
        except CatalogueError:
            return {}
        return {
            path: titled(known[path])
            for path, mtime in sources
            if path in known and known[path].mtime_ns == stored_time(mtime)
        }


def unsearchable(error: CatalogueError) -> Problem:
    """The problem where nothing can be searched."""
    if isinstance(error, CatalogueTimeoutError):
        return overstayed("the search took too long; ask for rarer words, or for fewer of them")
    return Problem(501, "no-catalogue", f"{error}; the operator of this server can run slicer index")


def parsed(text: str) -> Query:
    """A query. Raises Problem 400."""
    try:
        return Query.parse(text)
    except QueryError as error:
        raise Problem(400, "query-malformed", f"q={text[:50]!r}: {error}", {"q": text[:50]}) from None


def prefix_of(text: str) -> bytes:
    """The bytes of a prefix. Raises Problem 400."""
    if len(text) > _MOST_PREFIX:
        raise Problem(400, "option-too-long", f"prefix is longer than {_MOST_PREFIX} characters", {"option": "prefix"})
    return text.encode("utf-8", "surrogateescape")


def listed(path: bytes, size: int, mtime_ns: int) -> dict[str, Any]:
    """A source as /library has it."""
    return {
        "path": path.decode("utf-8", "replace"),
        "size": size,
        "modified": http_date(mtime_ns // SECOND),
        "clips": f"/clips/{quote(path)}",
        "info": f"/info/{quote(path)}",
    }


def titled(file: Named) -> dict[str, Any]:
    """What the catalogue knows of a source beside that. Durations are seconds."""
    cover = f"/covers/{quote(file.path)}" if file.has_cover else None
    return {"title": file.title, "artist": file.artist, "duration": file.duration / 1000, "cover": cover}


def _result(found: Found) -> dict[str, Any]:
    file, hit = found
    path = quote(file.path)
    made = {
        "path": file.path.decode("utf-8", "replace"),
        **titled(file),
        "album": file.album,
        "date": file.date,
        "info": f"/info/{path}",
    }
    if hit is None:
        return {**made, "moment": None, "clip": f"/clips/{path}"}
    end = max(hit.end, hit.start + _LEAST_CLIP)
    moment = {
        "start": hit.start / 1000,
        "end": hit.end / 1000,
        "speaker": hit.speaker,
        "words": [{"text": text, "hit": is_hit} for text, is_hit in hit.words],
    }
    return {**made, "moment": moment, "clip": f"/clips/{path}?t={_seconds(hit.start)},{_seconds(end)}"}


def _seconds(milliseconds: int) -> str:
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03}".rstrip("0") if rest else str(whole)


def _number(options: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = options.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) <= 4 and low <= int(text) <= high:
        return int(text)
    raise Problem(
        400,
        "option-refused",
        f"{name}={text[:20]!r} is not a whole number from {low} to {high}",
        {"option": name, "allowed": f"{low} to {high}"},
    )
