"""`/jobs`: work that is too long for a request. Every answer here is given at once; who waits is held by Nginx."""

import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from slicer.jobs import FINAL, Job, JobsBusyError, JobsDownError, JobsShareError, JobsTokenError, Order, State
from slicer.jobs.desk import Desk
from slicer.jobs.store import Figures
from slicer.settings import Settings
from slicer.web.access import Asked
from slicer.web.client import Clients
from slicer.web.ledger import Ledger
from slicer.web.orders import Kind, Orders
from slicer.web.prefer import Preferred
from slicer.web.problems import Problem, busy
from slicer.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LOG = logging.getLogger("slicer")
#: Bytes of a body that is read, at most.
_MAX_BODY = 16 << 10
#: Seconds after which it is worth asking for the state again.
_RETRY_SECONDS = 2
#: With this a proxy says that it can hold clients, at /.held/.
_HOLD_FIELD = "HTTP_X_SLICER_HOLD"


class Jobs:
    """Answers for jobs. One object for all threads; nothing in it waits for a job."""

    def __init__(self, settings: Settings, orders: Orders, ledger: Ledger) -> None:
        self._ledger = ledger
        self._desk = Desk(settings)
        self._orders = orders
        self._clients = Clients(settings)
        self._from = float(settings.job_from_seconds)

    def post(self, environ: "WSGIEnvironment") -> Response:
        """Ask for what the body names: 202 with the job, or 303 where it is there already. Raises Problem."""
        document = _body(environ)
        if not isinstance(document, dict) or set(document) != {"request"}:
            raise Problem(
                400, "body-malformed", 'the body is not a JSON object like {"request": "/renders/show.opus?t=0,7200"}'
            )
        order = self._orders.of_url(document["request"])
        token = secrets.token_hex(16)
        job = self._ask(environ, order, token)
        return _see_other(job) if job.state is State.DONE else _accepted(job, token)

    def instead(
        self, environ: "WSGIEnvironment", kind: Kind, path: bytes, asked: Asked, preferred: Preferred
    ) -> Response | None:
        """The answer to a render or waveform whose client prefers not to wait here; None where it is to be made, or sent, at once.

        Raises Problem.
        """
        order = self._orders.of(kind, path, *asked)
        if self._orders.is_kept(order) or not (preferred.respond_async or order.work_seconds >= self._from):
            return None
        held = preferred.wait is not None and bool(environ.get(_HOLD_FIELD))
        # Who is held is not told a token, and nobody else can take away what it waits for.
        token = "" if held else secrets.token_hex(16)
        try:
            job = self._ask(environ, order, token)
        except Problem as problem:
            if problem.status in {429, 503} and not preferred.respond_async:
                # It would wait for the render itself, too.
                return None
            raise
        if job.state is State.DONE:
            return None
        if held:
            return _answer(job, 303, [("Location", f"/jobs/{job.id}/wait"), preferred.applied])
        return _accepted(job, token, preferred._replace(wait=None) if preferred.respond_async else None)

    def state(self, environ: "WSGIEnvironment", name: str) -> Response:
        """A job as it is now; 303 to the result where that is there. Raises Problem."""
        job = self._found(name)
        if job.state is State.DONE:
            return _see_other(job)
        return _answer(job, 200)

    def cancel(self, environ: "WSGIEnvironment", name: str, token: str) -> Response:
        """Have nobody work on a job any more for the client that has the token; it goes on for others. Raises Problem."""
        with _problems():
            # An empty one is the operator's.
            job = self._desk.cancel(name, token or "-")
        if job is None:
            raise _unknown()
        self._ledger.name_job(job.id)
        if job.state in {State.DONE, State.FAILED}:
            raise Problem(409, "job-ended", f"the job has ended already: it is {job.state}", {"state": job.state.value})
        return _answer(job, 200)

    def wait(self, environ: "WSGIEnvironment", name: str) -> Response:
        """A job once it has ended, where a proxy can hold the client; else as it is now. Raises Problem."""
        job = self._found(name)
        return _held(environ, job, "wait") or _answer(job, 200)

    def events(self, environ: "WSGIEnvironment", name: str) -> Response:
        """A job's states as server-sent events: those to come, where a proxy can hold the client, else the one now. Raises Problem."""
        job = self._found(name)
        held = _held(environ, job, "events")
        if held is not None:
            return held
        # Browsers ask again by themselves, after so many milliseconds.
        data = f"retry: {1000 * _RETRY_SECONDS}\nevent: state\ndata: ".encode() + job.encoded() + b"\n"
        headers = [
            ("Content-Type", "text/event-stream"),
            ("Content-Length", str(len(data))),
            ("Cache-Control", "no-store"),
        ]
        return Response(200, headers, [data])

    def _ask(self, environ: "WSGIEnvironment", order: Order, token: str) -> Job:
        asks = partial(
            self._desk.ask, order, request=self._ledger.request, client=self._clients.of(environ), token=token
        )
        with _problems():
            job = asks()
            if job.state is State.DONE and not self._orders.is_kept(order):
                job = asks(again=True)
            self._ledger.name_job(job.id)
            return job

    def figures(self) -> Figures | None:
        """How many jobs there are and were; None where nobody can say now."""
        try:
            return self._desk.figures()
        except JobsDownError as error:
            _LOG.error("jobs: %s", error)
            return None

    def _found(self, name: str) -> Job:
        """A job. Raises Problem: 404 for one that there is not, 410 for one whose result is gone."""
        with _problems():
            job = self._desk.get(name)
        if job is None:
            raise _unknown()
        self._ledger.name_job(job.id)
        if job.state is State.DONE and not self._orders.is_kept(job.order):
            raise Problem(
                410, "result-gone", "the result was not kept for so long; ask for it again", {"request": job.order.url}
            )
        return job


def _accepted(job: Job, token: str, preferred: Preferred | None = None) -> Response:
    """202, with what this client alone may cancel the job by."""
    headers = [("Location", f"/jobs/{job.id}")]
    if preferred is not None:
        headers.append(preferred.applied)
    return _answer(job, 202, headers, {"cancel": f"/jobs/{job.id}?token={token}"})


def _see_other(job: Job) -> Response:
    return _answer(job, 303, [("Location", job.order.url)])


def _answer(
    job: Job, status: int, headers: list[tuple[str, str]] | None = None, more: dict[str, str] | None = None
) -> Response:
    data = job.encoded(more)
    found = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(data))),
        ("Cache-Control", "no-store"),
        *(headers or []),
    ]
    if job.state not in FINAL:
        found.append(("Retry-After", str(_RETRY_SECONDS)))
    return Response(status, found, [data])


def _held(environ: "WSGIEnvironment", job: Job, way: str) -> Response | None:
    """Where the proxy is to hold the client; None where it cannot, or there is nothing to wait for."""
    if job.state in FINAL or not environ.get(_HOLD_FIELD) or environ["REQUEST_METHOD"] != "GET":
        return None
    headers = [
        ("Content-Length", "0"),
        ("Cache-Control", "no-store"),
        ("X-Accel-Redirect", f"/.held/{way}/{job.channel}"),
    ]
    return Response(200, headers, ())


def _unknown() -> Problem:
    return Problem(404, "job-unknown", "there is no such job, or not any more; ask for the work again")


def _body(environ: "WSGIEnvironment") -> Any:
    """The JSON in a request's body. Raises Problem."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "body-type", "the body is to be application/json")
    length = environ.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= _MAX_BODY):
        raise Problem(413, "body-too-long", f"the body has no length, or more than {_MAX_BODY} bytes")
    try:
        return json.loads(environ["wsgi.input"].read(int(length)))
    except (ValueError, RecursionError):
        raise Problem(400, "body-malformed", "the body is no JSON") from None


@contextmanager
def _problems() -> Iterator[None]:
    """What is wrong with the queue, as problems."""
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
