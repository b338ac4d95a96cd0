"""The application: route a request, authorise it, answer it, and turn every error into a response."""

import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mp3_slicer.catalogue import Catalogue
from mp3_slicer.counts.cells import Cells
from mp3_slicer.counts.folder import Folder, in_memory
from mp3_slicer.counts.log import LineLog
from mp3_slicer.media.aside import Aside
from mp3_slicer.media.shelf import Shelf
from mp3_slicer.media.sidecars import Sidecars
from mp3_slicer.media.source import SourceUnavailableError
from mp3_slicer.objects.choose import indexes_of, library_of
from mp3_slicer.settings import Settings
from mp3_slicer.web.access import Access, Hosts
from mp3_slicer.web.beside import Beside
from mp3_slicer.web.clips import Clips
from mp3_slicer.web.cors import Cors
from mp3_slicer.web.covers import Covers
from mp3_slicer.web.documents import Documents
from mp3_slicer.web.extras import Extras
from mp3_slicer.web.ledger import Ledger, Watched
from mp3_slicer.web.metrics import Metrics
from mp3_slicer.web.moments import Moments
from mp3_slicer.web.options import read_options
from mp3_slicer.web.problems import Problem, busy, not_found, overstayed, unavailable
from mp3_slicer.web.process import make_room, process_group, process_threads, renders_processes
from mp3_slicer.web.proxy import cache_control
from mp3_slicer.web.request import Clients, Request
from mp3_slicer.web.response import Response
from mp3_slicer.web.routes import Endpoint, Route, Routes, Views, table
from mp3_slicer.web.search import Search
from mp3_slicer.web.sources import Sources
from mp3_slicer.web.studio_files import StudioFiles

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG = logging.getLogger("slicer")
#: Browsers must not guess types: a title in JSON may look like HTML.
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
#: An index that takes more than this part of their memory is read in parts.
_SHARE = 4


class Slicer:
    """The WSGI application. Every thread of a process runs this one object."""

    def __init__(self, settings: Settings, counts: str | None = None) -> None:
        """`counts` is the folder in which all processes of the server keep their numbers; None for a process by itself."""
        self._access = Access(settings)
        self._hosts = Hosts(settings)
        self._clients = Clients(settings)
        self._cors = Cors(settings.origins)
        folder, cells = _numbers(counts)
        log = LineLog(settings.request_log) if settings.request_log else None
        self._ledger = Ledger(cells, log, process_group() or "none", process_threads())
        self.routes = Routes(table(self._views(settings, folder, cells)))

    def _views(self, settings: Settings, folder: Folder | None, cells: Cells) -> Views:
        library = library_of(
            settings, os.path.join(settings.index_dir, "names"), threads=process_threads(), told=self._ledger.told
        )
        protected = self._access.protected
        store = indexes_of(
            settings,
            seconds=settings.index_seconds,
            whole_bytes=settings.index_memory_bytes // _SHARE,
            threads=process_threads(),
            told=self._ledger.told_shared,
        )
        store.prepare()
        shelf = Shelf(
            library, store, protected, memory_bytes=settings.index_memory_bytes, largest=settings.max_source_bytes
        )
        # One thread waits for slow media, others for a moment, and at least one answers meanwhile.
        waiting = max(0, process_threads() - 2)
        # A store has deadlines of its own.
        aside = Aside(
            settings.media,
            seconds=float(settings.index_seconds),
            waiting=waiting,
            mounts=bytes if settings.is_remote else None,
        )
        sources = Sources(shelf, aside)
        beside = Beside(Sidecars(library, protected), settings.transcript_encoding)
        moments = Moments(sources, beside)
        search = Search(settings, Catalogue(settings.index_dir, settings.media_name), sources, protected)
        extras = Extras(settings, sources, self._inner, self._ledger.told_shared)
        return Views(
            studio=StudioFiles(renders_processes()),
            clips=Clips(settings, sources, moments),
            extras=extras,
            documents=Documents(library, store, sources, beside, search, hidden=protected.holds),
            moments=moments,
            covers=Covers(sources, beside),
            search=search,
            metrics=Metrics(settings, folder, cells, extras),
            lists=bool(settings.list_library) and library.can_list,
        )

    def _inner(self, request: Request, route: str, path: bytes, query: str) -> Request:
        """Return the GET of a route, like /renders/<path>, that a request names, parsed and authorised. Raises Problem."""
        inner = request.inner(query)
        endpoint = self.routes.get(route)
        self._let_through(inner, endpoint, endpoint.routes[inner.method], path)
        return inner

    def _let_through(self, request: Request, endpoint: Endpoint, route: Route, path: bytes) -> None:
        """Read a request's options for a route, and authorise it. Raises Problem."""
        request.prefix = endpoint.prefix
        request.path = path
        read_options(request, route)
        if route.is_media:
            self._access.authorise(request)

    def _answer(self, request: Request) -> Response:
        """Return the response of a request's route. Raises Problem."""
        if self._hosts.are_named:
            self._hosts.check(request.fields)
        found = self.routes.find(request.fields["PATH_INFO"])
        if found is None:
            raise not_found()
        endpoint, path = found
        request.record.route = endpoint.name
        if request.method == "OPTIONS":
            preflight = self._cors.preflight(endpoint.allow)
            return Response(204, [("Allow", endpoint.allow), *preflight], ())
        route = endpoint.routes.get(request.method)
        if route is None:
            raise _wrong_method(request.method, endpoint)
        self._let_through(request, endpoint, route, path.encode("latin-1"))
        return route.handler(request)

    def dispatch(self, request: Request) -> Response:
        """Return the response to a request, also after an error."""
        record = request.record
        try:
            response = self._answer(request)
        except BaseException as error:
            problem = self._problem_of(request, error)
            record.reason = problem.kind
            response = problem.response()
        record.status = response.status
        return response

    def _problem_of(self, request: Request, error: BaseException) -> Problem:
        """Return the problem for an error of a request. Raises errors that end the process."""
        record = request.record
        if isinstance(error, Problem):
            return error
        if isinstance(error, MemoryError):
            make_room(request.fields)
            return busy("the server is short of memory; try again", 2)
        if isinstance(error, SourceUnavailableError):
            return unavailable(f"{record.method} {record.target}", error)
        if isinstance(error, OSError):
            # A disk that fails, a file system that is away: the operator's, not the client's, and it may come back.
            _LOG.error("%s %s", record.method, record.target, exc_info=error)
            return busy("the server cannot read or write what it needs at the moment; try again", 5)
        if isinstance(error, Exception):
            _LOG.error("%s %s", record.method, record.target, exc_info=error)
            return Problem(500, "internal", "the server made a mistake; it is in its log")
        # mod_wsgi interrupts a request that takes too long with this. Its own response would have no body and no Retry-After.
        if type(error).__name__ != "RequestTimeout":
            raise error
        return overstayed()

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """The application proper, apart from __call__ so that a wrapper can go around it."""
        record = self._ledger.begin(environ)
        try:
            record.trace = self._clients.trace_of(environ)
            request = Request(environ, record, self._clients)
            response = self.dispatch(request)
            headers = response.headers
            caching = cache_control(request, response)
            if caching is not None:
                headers.append(("Cache-Control", caching))
            headers += self._cors.headers(environ)
            headers += (("X-Request-Id", record.id), _NO_SNIFFING)
            return Watched(response(environ, start_response), record, self._ledger)
        except BaseException:
            self._ledger.end(record)
            raise

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a WSGI request."""
        return self.wsgi_app(environ, start_response)


def _wrong_method(method: str, endpoint: Endpoint) -> Problem:
    possible = " and ".join(endpoint.methods[:-1])
    return Problem(
        405, "method", f"{method[:20]} is not possible here, only {possible}", headers=(("Allow", endpoint.allow),)
    )


def _numbers(counts: str | None) -> tuple[Folder | None, Cells]:
    """Return the numbers of this process: in the server's folder, or in memory if there is none or it cannot be used."""
    if counts is not None:
        folder = Folder(counts)
        try:
            return folder, folder.begin()
        except OSError as error:
            _LOG.error("requests are not counted: %s", error)
    return None, in_memory()


def create_app(settings: Settings, counts: str | None = None) -> Slicer:
    """An application with these settings, which counts in the folder `counts`.

    Raises OSError if its index folder cannot be made, KeysError if keys cannot be used.
    """
    return Slicer(settings, counts)
