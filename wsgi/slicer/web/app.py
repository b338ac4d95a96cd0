"""The application: which URL is answered by what."""

import logging
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, RequestRedirect, Rule

from slicer.counts.cells import Cells
from slicer.counts.folder import Folder, in_memory
from slicer.counts.log import LineLog
from slicer.media.aside import Aside
from slicer.media.library import Library
from slicer.media.shelf import Shelf
from slicer.media.store import IndexStore
from slicer.settings import Settings
from slicer.web.answer import Answer
from slicer.web.clips import Clips
from slicer.web.cors import Cors
from slicer.web.documents import Documents
from slicer.web.extra import Extra, process_group, process_threads
from slicer.web.gate import Asked, Gate, finish
from slicer.web.hosts import Hosts
from slicer.web.ledger import Ledger, Record, Watched
from slicer.web.memory import make_place
from slicer.web.metrics import Metrics
from slicer.web.options import parse_options
from slicer.web.page import Page
from slicer.web.prefer import preferred
from slicer.web.problems import Problem, busy, not_found, overstayed
from slicer.web.stale import allow_stale

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from slicer.web.jobs import Jobs
    from slicer.web.orders import Kind

_LOG = logging.getLogger("slicer")
_CLIP_OPTIONS = frozenset({"t", "download"})
_LIBRARY_OPTIONS = frozenset({"prefix", "after", "limit"})
_RENDER_OPTIONS = frozenset(
    {"t", "channels", "trim", "crossfade", "speed", "rate", "fade", "gain", "normalize", "bitrate", "download"}
)
#: Spans may be several.
_REPEATABLE = frozenset({"t"})
_PEAKS_OPTIONS = frozenset({"t", "pixels", "zoom", "bits"})
_CANCEL_OPTIONS = frozenset({"token"})
_NO_OPTIONS: frozenset[str] = frozenset()
_METHODS = ("GET", "HEAD", "OPTIONS")
#: Endpoints for operators alone. Proxies in front pass no request on that could mean one of them.
INTERNAL = frozenset({"metrics"})
#: Nothing is what its bytes look like: a title in JSON may look like HTML.
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
#: An index that takes more than this part of their memory is read in parts.
_SHARE = 4
#: By endpoint, where they are others.
_OTHER_METHODS = {"jobs": ("POST", "OPTIONS"), "job": ("GET", "HEAD", "DELETE", "OPTIONS")}


class Slicer:
    """The WSGI application. Every thread of a process runs this one object."""

    def __init__(self, settings: Settings, counts: str | None = None) -> None:
        """`counts` is the folder in which all processes of the server keep their numbers; None for a process by itself."""
        library = Library(settings.media, os.path.join(settings.index_dir, "names"))
        self._gate = Gate(settings)
        folder, cells = _numbers(counts)
        log = LineLog(settings.request_log) if settings.request_log else None
        self._ledger = Ledger(cells, log, process_group() or "none", process_threads())
        store = IndexStore(
            settings.index_dir, seconds=settings.index_seconds, whole_bytes=settings.index_memory_bytes // _SHARE
        )
        store.prepare()
        shelf = Shelf(
            library,
            store,
            self._gate.protected,
            memory_bytes=settings.index_memory_bytes,
            largest=settings.max_source_bytes,
            note=self._ledger.note,
        )
        # One thread waits for slow media, another one for a moment, and at least one answers meanwhile.
        waiting = max(0, process_threads() - 2)
        aside = Aside(settings.media, seconds=float(settings.index_seconds), waiting=waiting)
        self._clips = Clips(settings, shelf, aside)
        self._extra = Extra(settings, shelf, {"render": self._ask_render, "peaks": self._ask_peaks}, self._ledger)
        self._metrics = Metrics(settings, folder, cells, self._extra)
        self._documents = Documents(library, store, shelf, aside, hidden=self._gate.protected.holds)
        self._lists = bool(settings.list_library)
        self._page = Page()
        self._cors = Cors(settings.origins)
        self._hosts = Hosts(settings)
        self.url_map = Map(
            [
                Rule("/", endpoint="page", methods=_METHODS),
                Rule("/studio/<path:path>", endpoint="studio", methods=_METHODS),
                Rule("/clips/<path:path>", endpoint="clips", methods=_METHODS),
                Rule("/renders/<path:path>", endpoint="renders", methods=_METHODS),
                Rule("/peaks/<path:path>", endpoint="peaks", methods=_METHODS),
                Rule("/jobs", endpoint="jobs", methods=_OTHER_METHODS["jobs"]),
                Rule("/jobs/<id>", endpoint="job", methods=_OTHER_METHODS["job"]),
                Rule("/jobs/<id>/wait", endpoint="job_wait", methods=_METHODS),
                Rule("/jobs/<id>/events", endpoint="job_events", methods=_METHODS),
                Rule("/info/<path:path>", endpoint="info", methods=_METHODS),
                Rule("/library", endpoint="library", methods=_METHODS),
                Rule("/healthz", endpoint="healthz", methods=_METHODS),
                Rule("/readyz", endpoint="readyz", methods=_METHODS),
                Rule("/metrics", endpoint="metrics", methods=_METHODS),
                Rule("/openapi.json", endpoint="openapi", methods=_METHODS),
            ],
            # One spelling each: a proxy's rules must not mean fewer requests than the routes do.
            strict_slashes=True,
            merge_slashes=False,
        )
        # No host is ever matched, so one adapter serves all requests. A match is remembered by what decides about the route.
        routes = self.url_map.bind("")
        self._match = lru_cache(maxsize=256)(lambda path, method: routes.match(path, method)[0])

    def on_page(self, environ: "WSGIEnvironment") -> Answer:
        """The studio."""
        return self._page.index(environ)

    def on_studio(self, environ: "WSGIEnvironment") -> Answer:
        """A file of the studio."""
        return self._page.file(environ, _path_behind(environ, "/studio/"))

    def on_clips(self, environ: "WSGIEnvironment") -> Answer:
        """The lossless cut of a span."""
        path = _path_behind(environ, "/clips/")
        asked = self._gate.ask(("/clips/", path), environ.get("QUERY_STRING", ""), _CLIP_OPTIONS, environ=environ)
        return self._clips.answer(environ, path, dict(asked.pairs), asked.permit)

    def on_renders(self, environ: "WSGIEnvironment") -> Answer:
        """A span decoded, changed and encoded."""
        path = _path_behind(environ, "/renders/")
        asked = self._ask_render(path, environ.get("QUERY_STRING", ""), environ)
        return self._as_job(environ, "render", path, asked) or self._extra.renders.answer(environ, path, *asked)

    def on_peaks(self, environ: "WSGIEnvironment") -> Answer:
        """A waveform."""
        path = _path_behind(environ, "/peaks/")
        asked = self._ask_peaks(path, environ.get("QUERY_STRING", ""), environ)
        return self._as_job(environ, "peaks", path, asked) or self._extra.waveforms.answer(environ, path, *asked)

    def _ask_render(self, path: bytes, query: str, environ: "WSGIEnvironment | None" = None) -> Asked:
        """The options of a render at a path that is allowed. Raises Problem."""
        return self._gate.ask(("/renders/", path), query, _RENDER_OPTIONS, _REPEATABLE, environ)

    def _ask_peaks(self, path: bytes, query: str, environ: "WSGIEnvironment | None" = None) -> Asked:
        """The options of a waveform at a path that is allowed. Raises Problem."""
        return self._gate.ask(("/peaks/", path), query, _PEAKS_OPTIONS, environ=environ)

    def _as_job(self, environ: "WSGIEnvironment", kind: "Kind", path: bytes, asked: Asked) -> Answer | None:
        """The answer to a client that prefers not to wait here, where there are jobs; else None."""
        wanted = preferred(environ)
        if not wanted or environ["REQUEST_METHOD"] != "GET":
            return None
        jobs = self._extra.jobs
        return None if jobs is None else jobs.instead(environ, kind, path, asked, wanted)

    def on_jobs(self, environ: "WSGIEnvironment") -> Answer:
        """Asks for work that takes long."""
        return self._jobs().post(environ)

    def on_job(self, environ: "WSGIEnvironment") -> Answer:
        """A job as it is, or its end."""
        jobs, name = self._jobs(), _job_of(environ)
        if environ["REQUEST_METHOD"] == "DELETE":
            options = parse_options(environ.get("QUERY_STRING", ""), _CANCEL_OPTIONS)
            return jobs.cancel(environ, name, options.get("token", ""))
        return jobs.state(environ, name)

    def on_job_wait(self, environ: "WSGIEnvironment") -> Answer:
        """A job once it has ended."""
        return self._jobs().wait(environ, _job_of(environ))

    def on_job_events(self, environ: "WSGIEnvironment") -> Answer:
        """A job's states, one after another."""
        return self._jobs().events(environ, _job_of(environ))

    def _jobs(self) -> "Jobs":
        jobs = self._extra.jobs
        if jobs is None:
            raise Problem(
                501,
                "no-jobs",
                "this server takes no jobs; its operator can install slicer[jobs] and name a broker in SLICER_JOBS_BROKER",
            )
        return jobs

    def on_info(self, environ: "WSGIEnvironment") -> Answer:
        """What is known of a source."""
        path = _path_behind(environ, "/info/")
        asked = self._gate.ask(("/info/", path), environ.get("QUERY_STRING", ""), _NO_OPTIONS, environ=environ)
        return self._documents.info(environ, path, asked.permit)

    def on_library(self, environ: "WSGIEnvironment") -> Answer:
        """What can be cut, paged."""
        if not self._lists:
            raise Problem(403, "not-listed", "this server gives nobody a list of what it has")
        return self._documents.library(environ, parse_options(environ.get("QUERY_STRING", ""), _LIBRARY_OPTIONS))

    def on_healthz(self, environ: "WSGIEnvironment") -> Answer:
        """Alive."""
        return self._documents.healthz(environ)

    def on_readyz(self, environ: "WSGIEnvironment") -> Answer:
        """Able to serve."""
        return self._documents.readyz(environ)

    def on_metrics(self, environ: "WSGIEnvironment") -> Answer:
        """The numbers of the server."""
        return self._metrics.answer(environ)

    def on_openapi(self, environ: "WSGIEnvironment") -> Answer:
        """The API's description."""
        return self._documents.openapi(environ)

    def dispatch(self, environ: "WSGIEnvironment", record: Record) -> Answer:
        """The answer to a request, whatever happens."""
        problem: Problem | None = None
        try:
            if self._hosts.are_named:
                self._hosts.check(environ)
            endpoint = record.route = self._endpoint(environ["PATH_INFO"])
            method = environ["REQUEST_METHOD"]
            methods = _OTHER_METHODS.get(endpoint, _METHODS)
            allow = ", ".join(methods)
            if method not in methods:
                raise Problem(
                    405,
                    "method",
                    f"{method[:20]} is not possible here, only {' and '.join(methods[:-1])}",
                    headers=(("Allow", allow),),
                )
            answer: Answer
            if method == "OPTIONS":
                answer = Answer(
                    204, [("Allow", allow), ("Cache-Control", "no-store"), *self._cors.preflight(allow)], ()
                )
            else:
                answer = getattr(self, f"on_{endpoint}")(environ)
        except Problem as error:
            problem = error
        except (NotFound, RequestRedirect):
            problem = not_found()
        except MemoryError:
            make_place(environ)
            problem = busy("the server is short of memory; try again", 2)
        except OSError:
            # A disk that fails, a file system that is away: the operator's, not the client's, and it may come back.
            _LOG.exception("%s %s", record.method, record.target)
            problem = busy("the server cannot read or write what it needs at the moment; try again", 5)
        except Exception:
            _LOG.exception("%s %s", record.method, record.target)
            problem = Problem(500, "internal", "the server made a mistake; it is in its log")
        except BaseException as error:
            # What mod_wsgi interrupts a request with that overstays. Its own answer would have no body and no Retry-After.
            if type(error).__name__ != "RequestTimeout":
                raise
            problem = overstayed()
        if problem is not None:
            record.reason = problem.kind
            answer = problem.answer()
        record.status = answer.status
        return answer

    def _endpoint(self, path: str) -> str:
        """What answers a path. Raises NotFound, RequestRedirect."""
        first, slash, rest = path[1:].partition("/")
        if first == "jobs":
            # A job's name never decides, what follows it does.
            name, second, rest = rest.partition("/")
            endpoint: str = self._match(
                f"/jobs{slash}{'x' if name else ''}{second}{rest[:20]}", "GET" if name else "POST"
            )
        else:
            endpoint = self._match("/" + first + slash + ("x" if rest else ""), "GET")
        return endpoint

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """The application proper, apart from __call__ so that a wrapper can go around it."""
        record = self._ledger.begin(environ)
        try:
            answer = self.dispatch(environ, record)
            finish(environ, answer)
            allow_stale(environ, answer)
            answer.headers += self._cors.headers(environ)
            answer.headers += (("X-Request-Id", record.id), _NO_SNIFFING)
            return Watched(answer(environ, start_response), record, self._ledger)
        except BaseException:
            self._ledger.end(record)
            raise

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a WSGI request."""
        return self.wsgi_app(environ, start_response)


def _path_behind(environ: "WSGIEnvironment", prefix: str) -> bytes:
    """The rest of the path, as the bytes the client sent: names on disk are bytes, and need not be UTF-8."""
    path: str = environ["PATH_INFO"]
    return path[len(prefix) :].encode("latin-1")


def _job_of(environ: "WSGIEnvironment") -> str:
    """The job that the path names."""
    name: str = environ["PATH_INFO"].split("/", 3)[2]
    return name


def _numbers(counts: str | None) -> tuple[Folder | None, Cells]:
    """Where this process counts: in a server's folder of counts, or for itself where there is none, or it cannot be used."""
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
