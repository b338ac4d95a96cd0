"""A worker: Celery with a fixed number of processes, each of which does the jobs of one lane, one after another."""

import json
import logging
import os
import resource
import signal
import socket
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import setup_logging, worker_process_init

from mp3_slicer.counts.log import LineLog, moment, trace_id
from mp3_slicer.failures import OVERSTAYED, Failure, failure_of
from mp3_slicer.jobs.celery_app import make_app, queue_name
from mp3_slicer.jobs.errors import JobsDownError
from mp3_slicer.jobs.heartbeat import Heartbeat, UnwantedError
from mp3_slicer.jobs.jobqueue import open_store
from mp3_slicer.jobs.store import Claimed, JobStore
from mp3_slicer.jobs.transport import TASK
from mp3_slicer.jobs.work import Maker
from mp3_slicer.parent import end_with
from mp3_slicer.settings import Settings

_T = TypeVar("_T")
_LOG = logging.getLogger("slicer")
#: Seconds for which a worker tries to record the end of a job: longer than a restart of Redis.
_SAY_SECONDS = 600
#: Memory that a process has at rest, in bytes, with some room.
_REST_BYTES = 256 << 20


def run(settings: Settings, lane: str, processes: int) -> int:
    """Work on the jobs of a lane with `processes` processes until SIGTERM, which lets them finish theirs; return the exit status."""
    app = make_app(settings, worker=True)
    maker = Maker(settings)
    maker.prepare()
    log = LineLog(settings.request_log) if settings.request_log else None
    consumer = _Consumer(open_store(settings, timeout=2.0), maker, lane, log)
    app.task(consumer.consume, name=TASK)
    most = _REST_BYTES + settings.render_memory_bytes
    parent = os.getpid()

    def begin(**_: object) -> None:
        # Else two would do one job after the worker is killed.
        end_with(parent, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))

    worker_process_init.connect(begin, weak=False)
    # Ours is set up already.
    setup_logging.connect(_nothing, weak=False)
    return _start(app, queue_name(settings.jobs_name, lane), f"{settings.jobs_name}-{lane}", processes)


def _start(app: Celery, queue: str, name: str, processes: int) -> int:
    worker = app.Worker(
        queues=[queue],
        concurrency=processes,
        pool="prefork",
        hostname=f"{name}@{socket.gethostname()}",
        # Workers need nothing of each other.
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _nothing(**_: object) -> None:
    pass


class _Consumer:
    """The handler of messages in a process."""

    def __init__(self, store: JobStore, maker: Maker, lane: str, log: LineLog | None) -> None:
        self._lane = lane
        self._log = log
        self._store = store
        self._maker = maker

    def consume(self, name: str) -> None:
        """Do a job, unless it needs no work. The outcome becomes the job's state, and the message is acknowledged."""
        token = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        claimed = _patiently(lambda: self._store.claim(name, token))
        if claimed is None:
            return
        order = claimed.order
        failure: Failure | None = None
        began = time.monotonic()

        def say(event: str, reason: str | None = None) -> None:
            if self._log is not None:
                seconds = round(time.monotonic() - began, 3)
                self._log.write(_line(claimed, name, self._lane, event, seconds, reason))

        say("started")
        try:
            with Heartbeat(self._store, name, token) as heartbeat:
                self._maker.make(order, heartbeat.progress)
        except UnwantedError:
            say("left", "cancelled, or another worker has it")
            return
        except SoftTimeLimitExceeded:
            failure = OVERSTAYED
        except Exception as error:
            failure = failure_of(error)
            if failure.status >= 500:
                _LOG.exception("job %s: %s", name, order.url)
        kept = _patiently(lambda: self._store.finish(name, token, failure))
        if failure is not None:
            say("failed", str(failure.problem.get("detail", "")))
        else:
            say("done" if kept else "left", None if kept else "another worker has it")


def _line(claimed: Claimed, job: str, lane: str, event: str, seconds: float, reason: str | None) -> str:
    """One turn of a job as a line of the log, with the same names as a request's."""
    return json.dumps(
        {
            "time": moment(time.time()),
            "request_id": claimed.request or None,
            "trace_id": trace_id(claimed.trace) or None,
            "job": job,
            "lane": lane,
            "pid": os.getpid(),
            "event": event,
            "target": claimed.order.url,
            "seconds": seconds,
            "reason": reason,
        }
    )


def _patiently(ask: Callable[[], _T]) -> _T:
    """Ask Redis until it answers. Raises JobsDownError when it was away for too long: then the job is repeated."""
    end = time.monotonic() + _SAY_SECONDS
    while True:
        try:
            return ask()
        except JobsDownError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
