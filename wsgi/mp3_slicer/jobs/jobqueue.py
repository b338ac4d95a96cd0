"""The queue as its clients see it, the web application and the command line: jobs are submitted here, and done elsewhere."""

from celery import Celery
from kombu.exceptions import OperationalError

from mp3_slicer.jobs.celery_app import make_app, queue_name
from mp3_slicer.jobs.errors import JobsDownError, JobsError
from mp3_slicer.jobs.job import Job
from mp3_slicer.jobs.order import Order, lane_of
from mp3_slicer.jobs.store import NOBODY, Asker, JobStore
from mp3_slicer.jobs.transport import TASK
from mp3_slicer.settings import PREFIX, Settings

#: A connection that was idle while the broker was away is found dead only when it is used: once more, at once, on a new one.
_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class JobQueue:
    """Submits orders. One object for all threads of a process; it connects when it is first used."""

    def __init__(self, settings: Settings) -> None:
        self.store = open_store(settings)
        self._app = make_app(settings)
        self._name = settings.jobs_name
        self._short = float(settings.job_short_seconds)

    def submit(self, order: Order, asker: Asker = NOBODY, *, again: bool = False) -> Job:
        """Return the job of an order, which is queued, running or finished; `again` repeats a job that is done.

        Raises JobsBusyError, JobsShareError, and JobsDownError where the job may or may not be queued: then submit it again.
        """
        lane = lane_of(order.work_seconds, self._short)
        became, job = self.store.open(order, lane, asker, again=again)
        if became != "known":
            send(self._app, self._name, job.id, job.lane)
            self.store.sent(job.id)
        return job


def open_store(settings: Settings, *, timeout: float = 1.0) -> JobStore:
    """The store of these settings. Raises JobsError where the URL is none of a Redis."""
    try:
        return JobStore(
            settings.jobs_state,
            settings.jobs_name,
            keep_seconds=settings.job_keep_seconds,
            most=settings.jobs_waiting,
            most_of_client=settings.jobs_client,
            timeout=timeout,
        )
    except ValueError:
        # What is wrong with it would show a part of it, perhaps of its password.
        name = "JOBS_STORE" if settings.jobs_store else "JOBS_BROKER"
        raise JobsError(f"{PREFIX}{name} is no URL of a Redis, like redis://127.0.0.1:6379/0") from None


def send(app: Celery, name: str, job: str, lane: str) -> None:
    """Give a job's message to the broker. Raises JobsDownError."""
    try:
        app.send_task(
            TASK, args=[job], queue=queue_name(name, lane), retry=True, retry_policy=_RETRY, ignore_result=True
        )
    except (OperationalError, OSError) as error:
        raise JobsDownError(f"the broker cannot be used: {error}"[:200]) from error
