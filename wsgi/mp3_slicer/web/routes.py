"""The table of routes: path, methods, options and handler of each."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from mp3_slicer.render import PEAKS_OPTIONS, RENDER_OPTIONS
from mp3_slicer.web.request import Request
from mp3_slicer.web.response import Response

if TYPE_CHECKING:
    from mp3_slicer.web.clips import Clips
    from mp3_slicer.web.covers import Covers
    from mp3_slicer.web.documents import Documents
    from mp3_slicer.web.extras import Extras
    from mp3_slicer.web.metrics import Metrics
    from mp3_slicer.web.moments import Moments
    from mp3_slicer.web.search import Search
    from mp3_slicer.web.studio_files import StudioFiles

Handler = Callable[[Request], Response]

READ = ("GET", "HEAD")
#: Placeholders in the path of a route: for the path of a source or file, and for the name of a job.
PATH, ID = "<path>", "<id>"


class Route(NamedTuple):
    """One row. Several with the same path have other methods."""

    name: str  #: as metrics and the log of requests have it
    path: str  #: fixed, or with <path> at its end, or with <id> as its second name
    handler: Handler
    methods: tuple[str, ...] = READ  #: beside OPTIONS
    options: frozenset[str] | None = None  #: that its query may have; None: the query is not read
    repeatable: frozenset[str] = frozenset()  #: those of them that may come more than once
    is_media: bool = False  #: whether its path names a source, which may need a signature
    is_internal: bool = False  #: for operators alone: proxies in front refuse it

    @property
    def prefix(self) -> str:
        """The fixed part of its path."""
        return self.path.partition("<")[0]


class Views(NamedTuple):
    """The objects whose methods are handlers."""

    studio: "StudioFiles"
    clips: "Clips"
    extras: "Extras"
    documents: "Documents"
    moments: "Moments"
    covers: "Covers"
    search: "Search"
    metrics: "Metrics"
    lists: bool  #: whether clients may list all sources


_NONE: frozenset[str] = frozenset()
_REPEATABLE = frozenset(each.name for each in RENDER_OPTIONS.values() if each.repeatable)
_LIBRARY = frozenset({"q", "prefix", "after", "limit"})
_SEARCH = frozenset({"q", "prefix", "by", "from", "limit"})
_CLIP = frozenset({"t", "id", "snap", "download"})
_RENDER = frozenset(RENDER_OPTIONS) | {"download"}


def table(views: Views) -> tuple[Route, ...]:
    """All routes of the application."""
    documents, extras, moments = views.documents, views.extras, views.moments
    return (
        Route("page", "/", views.studio.page),
        Route("studio", "/studio/<path>", views.studio.file),
        Route("clips", "/clips/<path>", views.clips.get, options=_CLIP, is_media=True),
        Route("renders", "/renders/<path>", extras.render, options=_RENDER, repeatable=_REPEATABLE, is_media=True),
        Route("peaks", "/peaks/<path>", extras.waveform, options=frozenset(PEAKS_OPTIONS), is_media=True),
        Route("transcripts", "/transcripts/<path>", moments.transcript, options=frozenset({"t"}), is_media=True),
        Route("chapters", "/chapters/<path>", moments.chapters, options=_NONE, is_media=True),
        Route("covers", "/covers/<path>", views.covers.get, options=_NONE, is_media=True),
        Route("jobs", "/jobs", lambda request: extras.jobs.post(request), methods=("POST",)),
        Route("job", "/jobs/<id>", lambda request: extras.jobs.state(request)),
        Route("job", "/jobs/<id>", lambda request: extras.jobs.cancel(request), ("DELETE",), frozenset({"token"})),
        Route("job_wait", "/jobs/<id>/wait", lambda request: extras.jobs.wait(request)),
        Route("job_events", "/jobs/<id>/events", lambda request: extras.jobs.events(request)),
        Route("info", "/info/<path>", documents.info, options=_NONE, is_media=True),
        Route("library", "/library", documents.library, options=_LIBRARY)
        if views.lists
        else Route("library", "/library", documents.unlisted),
        Route("search", "/search", views.search.get, options=_SEARCH)
        if views.lists
        else Route("search", "/search", documents.unlisted),
        Route("healthz", "/healthz", documents.healthz),
        Route("readyz", "/readyz", documents.readyz),
        Route("metrics", "/metrics", views.metrics.get, is_internal=True),
        Route("openapi", "/openapi.json", documents.openapi),
    )


class Endpoint:
    """All rows of one path."""

    __slots__ = ("allow", "methods", "name", "prefix", "routes")

    def __init__(self, routes: list[Route]) -> None:
        """`routes` have one path, and each method once."""
        self.name = routes[0].name
        self.prefix = routes[0].prefix
        self.routes = {method: route for route in routes for method in route.methods}
        self.methods = (*self.routes, "OPTIONS")
        self.allow = ", ".join(self.methods)  #: the value of Allow


class Routes:
    """A table, ready to be searched. Each path has one spelling: a proxy's rules must not mean fewer requests than the routes do."""

    def __init__(self, table: Iterable[Route]) -> None:
        self.table = tuple(table)
        paths: dict[str, list[Route]] = {}
        for route in self.table:
            paths.setdefault(route.path, []).append(route)
        endpoints = self._endpoints = {path: Endpoint(routes) for path, routes in paths.items()}
        self._fixed = {path: each for path, each in endpoints.items() if "<" not in path}
        self._below = {path.split("/")[1]: each for path, each in endpoints.items() if path.endswith("/" + PATH)}
        #: By the first name of the path and what follows the second one.
        self._named = {
            (path.split("/")[1], path.partition(ID)[2]): each for path, each in endpoints.items() if ID in path
        }

    def get(self, path: str) -> Endpoint:
        """The endpoint of a path as the table has it. Raises KeyError."""
        return self._endpoints[path]

    def find(self, path: str) -> tuple[Endpoint, str] | None:
        """The endpoint of a path, and what stands there for <path> or <id>; None where there is none."""
        # Of the first name alone: "*", and no path at all, are the page's.
        first, _, rest = path[1:].partition("/")
        if rest:
            below = self._below.get(first)
            if below is not None:
                return below, rest
            name, slash, tail = rest.partition("/")
            named = self._named.get((first, slash + tail)) if name else None
            return None if named is None else (named, name)
        fixed = self._fixed.get("/" + path[1:])
        return None if fixed is None else (fixed, "")
