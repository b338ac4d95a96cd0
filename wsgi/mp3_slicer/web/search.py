"""`/search`: moments by what is said, and files by what they are called. `/library?q=` lists the latter."""

import json
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode

from mp3_slicer.catalogue import (
    Catalogue,
    CatalogueError,
    CatalogueTimeoutError,
    Found,
    Hit,
    Named,
    Query,
    QueryError,
)
from mp3_slicer.media.protected import Protected
from mp3_slicer.mp3 import SECOND
from mp3_slicer.settings import Settings
from mp3_slicer.web.problems import Problem, overstayed
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import http_date, respond_whole
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.sources import Sources

#: Seconds for which results may be reused.
MAX_AGE = 10
#: Results on a page: unless told, and at most; and the number from which they begin at most.
PAGE, MAX_PAGE, MAX_FROM = 20, 100, 1000
_BY = ("file", "moment")
_MOST_PREFIX = 1024
_SECOND = 1000  #: milliseconds


class Lengths(NamedTuple):
    """Lengths of clips in milliseconds."""

    shortest: int  #: that a file must have
    least: int  #: of the clip of a moment: a cue may be shorter than anything that can be heard
    longest: int

    @classmethod
    def of(cls, shortest: Fraction, longest: Fraction) -> Self:
        """Of limits in seconds. Whole seconds are whole numbers of samples at any rate, so that no rounding goes beyond a limit."""
        return cls(ceil(shortest * _SECOND), (int(shortest) + 1) * _SECOND, int(longest) * _SECOND)


class Search:
    """One object for all threads."""

    def __init__(self, settings: Settings, catalogue: Catalogue, sources: Sources, protected: Protected) -> None:
        self._lengths = Lengths.of(settings.min_clip_seconds, settings.max_clip_seconds)
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
            # Results that no page can begin with are told of too.
            "more": page.more or (page.goes_on and following is None),
            "results": [_result(each, self._lengths) for each in page.results],
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
        return {path: titled(known[path]) for path, mtime in sources if path in known and known[path].mtime_ns == mtime}


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


def clip_of(file: Named, hit: Hit | None, lengths: Lengths) -> str | None:
    """The URL of the clip of a moment, or of the whole file, as far as a clip may go; None where no clip can be made."""
    url = f"/clips/{quote(file.path)}"
    if file.duration < lengths.shortest or (hit is not None and hit.start >= file.duration):
        return None
    if hit is None:
        return url if file.duration < lengths.longest else f"{url}?t=0,{_seconds(lengths.longest)}"
    # Where the audio ends within a moment, it still has a clip of that length.
    start = max(0, min(hit.start, file.duration - lengths.least))
    end = min(max(hit.end, start + lengths.least), start + lengths.longest)
    return f"{url}?t={_seconds(start)},{_seconds(end)}"


def _result(found: Found, lengths: Lengths) -> dict[str, Any]:
    file, hit = found
    made = {
        "path": file.path.decode("utf-8", "replace"),
        **titled(file),
        "album": file.album,
        "date": file.date,
        "info": f"/info/{quote(file.path)}",
        "clip": clip_of(file, hit, lengths),
    }
    if hit is None:
        return {**made, "moment": None}
    moment = {
        "start": hit.start / 1000,
        "end": hit.end / 1000,
        "speaker": hit.speaker,
        "words": [{"text": text, "hit": is_hit} for text, is_hit in hit.words],
    }
    return {**made, "moment": moment}


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
