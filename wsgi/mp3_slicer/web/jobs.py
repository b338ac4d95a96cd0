"""`/jobs`: work that is too long for a request. Every response is immediate; Nginx holds clients that wait."""

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

from mp3_slicer.jobs import FINAL, Job, JobsBusyError, JobsDownError, JobsShareError, JobsTokenError, Order, State
from mp3_slicer.jobs.jobqueue import JobQueue
from mp3_slicer.jobs.order import peaks_order, render_order
from mp3_slicer.jobs.store import Asker, Figures
from mp3_slicer.jobs.work import job_limits
from mp3_slicer.render.produce import Producer
from mp3_slicer.settings import Settings
from mp3_slicer.web.making import parse_render, parse_waveform
from mp3_slicer.web.prefer import Preferred, preferred
from mp3_slicer.web.problems import Problem, busy, problems
from mp3_slicer.web.request import Request
from mp3_slicer.web.response import Response
from mp3_slicer.web.sources import Sources, split_suffix

_LOG = logging.getLogger("slicer")
#: Bytes of a body that is read, at most.
_MAX_BODY = 16 << 10
#: Seconds until a client should ask for the state again.
_RETRY_SECONDS = 2
#: The field of a proxy that can hold clients, at /.held/.
_HOLD_FIELD = "HTTP_X_SLICER_HOLD"

Kind = Literal["render", "peaks"]
#: Returns the GET of a route, a path behind its prefix and a query that a request names, authorised. Raises Problem.
Inner = Callable[[Request, str, bytes, str], Request]

_ROUTES: Mapping[str, Kind] = {"/renders/<path>": "render", "/peaks/<path>": "peaks"}
_ALLOWED = "the path and query of a render or a waveform, like /renders/show.opus?t=0,7200"
#: As long as a request line may be.
_MAX_URL = 8190
_HALVES = re.compile("[\ud800-\udfff]")


class Orders:
    """Makes orders of requests. One object for all threads."""

    def __init__(self, settings: Settings, sources: Sources, producer: Producer, inner: Inner) -> None:
        self._sources = sources
        self._producer = producer
        self._inner = inner
        self._limits = job_limits(settings)

    def of_url(self, request: Request, url: Any) -> Order:
        """Return the order for a URL of this server, given as path and query. Raises Problem."""
        # JSON has halves of characters, which no URL has.
        if isinstance(url, str) and len(url) <= _MAX_URL and not _HALVES.search(url):
            for route, kind in _ROUTES.items():
                prefix = route.partition("<")[0]
                if url.startswith(prefix):
                    path, _, query = url[len(prefix) :].partition("?")
                    # Characters that no URL has are read as UTF-8; to WSGI each is a byte (PEP 3333).
                    query = query.partition("#")[0].encode().decode("latin-1")
                    return self.of(kind, self._inner(request, route, unquote_to_bytes(path), query))
        raise Problem(400, "request-malformed", f"request is not {_ALLOWED}", {"allowed": _ALLOWED})

    def of(self, kind: Kind, request: Request) -> Order:
        """Return the order for a request of a render or a waveform. Raises Problem."""
        stem, suffix = split_suffix(request.path)
        if kind == "peaks":
            waveform = parse_waveform(suffix, request.options)
            opened = self._sources.find(stem, request)
            url = f"{request.prefix}{quote(stem)}.{waveform.form}?{waveform.canonical}"
            with problems():
                return peaks_order(waveform, opened.name, opened.source.identity, opened.index, url)
        wanted = parse_render(suffix, request.options)
        opened = self._sources.find(stem, request)
        url = f"{request.prefix}{quote(request.path)}?{wanted.canonical}"
        with problems():
            return render_order(wanted, opened.name, opened.source.identity, opened.index, self._limits, url)

    def is_done(self, order: Order) -> bool:
        """Return whether the result of an order is stored."""
        found = self._producer.find(order.key)
        if found is None:
            return False
        found.content.close()
        return True


class Jobs:
    """Responses for jobs. One object for all threads; nothing in it waits for a job."""

    def __init__(self, settings: Settings, orders: Orders) -> None:
        self._queue = JobQueue(settings)
        self._orders = orders
        self._from = float(settings.job_from_seconds)

    def post(self, request: Request) -> Response:
        """Submit the request in the body: 202 with the job, or 303 if its result exists. Raises Problem."""
        document = _body(request)
        if not isinstance(document, dict) or set(document) != {"request"}:
            raise Problem(
                400, "body-malformed", 'the body is not a JSON object like {"request": "/renders/show.opus?t=0,7200"}'
            )
        order = self._orders.of_url(request, document["request"])
        token = secrets.token_hex(16)
        job = self._ask(request, order, token)
        return _see_other(job) if job.state is State.DONE else _accepted(job, token)

    def instead(self, kind: Kind, request: Request) -> Response | None:
        """Return a job's response for a client that prefers not to wait; None to make, or send, the result now. Raises Problem."""
        wanted = preferred(request.fields)
        if not wanted or request.method != "GET":
            return None
        order = self._orders.of(kind, request)
        if self._orders.is_done(order) or not (wanted.respond_async or order.work_seconds >= self._from):
            return None
        held = wanted.wait is not None and bool(request.fields.get(_HOLD_FIELD))
        # A client that is held gets no token, and no other client can cancel its job.
        token = "" if held else secrets.token_hex(16)
        try:
            job = self._ask(request, order, token)
        except Problem as problem:
            if problem.status in {429, 503} and not wanted.respond_async:
                # The client would also wait for the render itself.
                return None
            raise
        if job.state is State.DONE:
            return None
        if held:
            return _response(job, 303, [("Location", f"/jobs/{job.id}/wait"), wanted.applied])
        return _accepted(job, token, wanted._replace(wait=None) if wanted.respond_async else None)

    def state(self, request: Request) -> Response:
        """A job as it is now; 303 to its result once that exists. Raises Problem."""
        job = self._found(request)
        if job.state is State.DONE:
            return _see_other(job)
        return _response(job, 200)

    def cancel(self, request: Request) -> Response:
        """Cancel a job for the client that has the token; it goes on for others. Raises Problem."""
        with _problems_of_the_queue():
            # An empty token is the operator's.
            job = self._queue.store.cancel(_name(request), request.option("token") or "-")
        if job is None:
            raise _unknown()
        request.record.job = job.id
        if job.state in {State.DONE, State.FAILED}:
            raise Problem(409, "job-ended", f"the job has ended already: it is {job.state}", {"state": job.state.value})
        return _response(job, 200)

    def wait(self, request: Request) -> Response:
        """A job once it has ended, if a proxy can hold the client; else as it is now. Raises Problem."""
        job = self._found(request)
        return _held(request, job, "wait") or _response(job, 200)

    def events(self, request: Request) -> Response:
        """A job's states as server-sent events: all later ones if a proxy can hold the client, else the current one. Raises Problem."""
        job = self._found(request)
        held = _held(request, job, "events")
        if held is not None:
            return held
        # Browsers reconnect by themselves, after these milliseconds.
        data = f"retry: {1000 * _RETRY_SECONDS}\nevent: state\ndata: ".encode() + job.encoded() + b"\n"
        return Response.whole(200, "text/event-stream", data)

    def _ask(self, request: Request, order: Order, token: str) -> Job:
        asker = Asker(request.record.id, request.record.trace, request.client, token)
        asks = partial(self._queue.submit, order, asker)
        with _problems_of_the_queue():
            job = asks()
            if job.state is State.DONE and not self._orders.is_done(order):
                job = asks(again=True)
            request.record.job = job.id
            return job

    def figures(self) -> Figures | None:
        """Return the numbers of jobs now and ever; None where Redis is down."""
        try:
            return self._queue.store.figures()
        except JobsDownError as error:
            _LOG.error("jobs: %s", error)
            return None

    def _found(self, request: Request) -> Job:
        """Return the job of a request. Raises Problem: 404 if it does not exist, 410 if its result is gone."""
        with _problems_of_the_queue():
            job = self._queue.store.get(_name(request))
        if job is None:
            raise _unknown()
        request.record.job = job.id
        if job.state is State.DONE and not self._orders.is_done(job.order):
            raise Problem(
                410, "result-gone", "the result has expired; submit the job again", {"request": job.order.url}
            )
        return job


def _accepted(job: Job, token: str, preferred: Preferred | None = None) -> Response:
    """202, with the URL by which this client can cancel the job."""
    headers = [("Location", f"/jobs/{job.id}")]
    if preferred is not None:
        headers.append(preferred.applied)
    return _response(job, 202, headers, {"cancel": f"/jobs/{job.id}?token={token}"})


def _see_other(job: Job) -> Response:
    return _response(job, 303, [("Location", job.order.url)])


def _response(
    job: Job, status: int, headers: list[tuple[str, str]] | None = None, more: dict[str, str] | None = None
) -> Response:
    retry = [] if job.state in FINAL else [("Retry-After", str(_RETRY_SECONDS))]
    return Response.whole(status, "application/json", job.encoded(more), *(headers or []), *retry)


def _held(request: Request, job: Job, way: str) -> Response | None:
    """Return the response that has the proxy hold the client; None if it cannot, or the job has ended."""
    if job.state in FINAL or not request.fields.get(_HOLD_FIELD) or request.method != "GET":
        return None
    return Response(200, [("Content-Length", "0"), ("X-Accel-Redirect", f"/.held/{way}/{job.channel}")], ())


def _name(request: Request) -> str:
    """The job that the path names."""
    return request.path.decode("latin-1")


def _unknown() -> Problem:
    return Problem(404, "job-unknown", "there is no such job; it may have expired: submit it again")


def _body(request: Request) -> Any:
    """The JSON in a request's body. Raises Problem."""
    kind = request.fields.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "body-type", "the body is not application/json")
    length = request.fields.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= _MAX_BODY):
        raise Problem(413, "body-too-long", f"the body has no length, or more than {_MAX_BODY} bytes")
    try:
        return json.loads(request.read(int(length)))
    except (ValueError, RecursionError):
        raise Problem(400, "body-malformed", "the body is no JSON") from None


@contextmanager
def _problems_of_the_queue() -> Iterator[None]:
    """Raise errors of the queue as problems."""
    try:
        yield
    except JobsShareError as error:
        raise Problem(429, "too-many-jobs", str(error), headers=(("Retry-After", "10"),)) from None
    except JobsTokenError as error:
        raise Problem(403, "token-wrong", str(error)) from None
    except JobsBusyError as error:
        raise busy(str(error), 10) from None
    except JobsDownError as error:
        _LOG.error("jobs: %s", error)
        raise busy("jobs cannot be taken or looked up now; try again", 5) from None
