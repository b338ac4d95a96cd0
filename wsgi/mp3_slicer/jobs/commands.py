"""The job commands of the command line: work, list, show, cancel."""

import json
import logging
import os
import time

from mp3_slicer.jobs import supervisor, worker
from mp3_slicer.jobs.errors import JobsError
from mp3_slicer.jobs.job import Job
from mp3_slicer.jobs.jobqueue import open_store
from mp3_slicer.jobs.order import ID, LONG, SHORT
from mp3_slicer.settings import PREFIX, Settings


def work(settings: Settings, *, processes: dict[str, int], grace: float) -> int:
    """Work on jobs until a signal ends it, with `processes` for each lane. Raises JobsError if jobs are disabled."""
    _check(settings)
    _log()
    print(
        f"working on jobs of {settings.media}: {processes[SHORT]} processes for short ones, {processes[LONG]} for long ones",
        flush=True,
    )
    return supervisor.run(settings, processes, grace)


def work_in_lane(settings: Settings, lane: str, processes: int) -> int:
    """Work on the jobs of one lane. Raises JobsError if jobs are disabled."""
    _check(settings)
    _log()
    return worker.run(settings, lane, processes)


def show_all(settings: Settings) -> int:
    """Print a line for each job that is stored, the oldest first. Raises JobsError."""
    _check(settings)
    store = open_store(settings, timeout=5.0)
    jobs = [job for job in map(store.get, store.names()) if job is not None]
    for job in sorted(jobs, key=lambda job: job.asked):
        asked = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.asked))
        print(f"{job.id}  {job.state:<9}  {100 * job.progress:3.0f} %  {job.lane:<5}  {asked}  {job.order.url}")
    return 0


def show(settings: Settings, name: str) -> int:
    """Print a job as JSON. Raises JobsError."""
    _check(settings)
    print(json.dumps(_facts(_found(open_store(settings, timeout=5.0).get(name), name)), indent=2, ensure_ascii=False))
    return 0


def cancel(settings: Settings, name: str) -> int:
    """Cancel a job. Returns 1 for one that had ended before. Raises JobsError."""
    _check(settings)
    job = _found(open_store(settings, timeout=5.0).cancel(name), name)
    print(f"{job.id}  {job.state}")
    return 0 if job.state == "cancelled" else 1


def _log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _facts(job: Job) -> dict[str, object]:
    order = job.order
    more = {"queue": job.lane, "attempts": job.attempts, "work_seconds": order.work_seconds}
    return {**job.document, **more, "source": os.fsdecode(order.path)}


def _found(job: Job | None, name: str) -> Job:
    if not ID.fullmatch(name):
        raise JobsError(f"{name[:50]!r} is no name of a job: it has 40 hexadecimal digits")
    if job is None:
        raise JobsError(f"there is no job {name}; it may have expired")
    return job


def _check(settings: Settings) -> None:
    if not settings.jobs_broker:
        raise JobsError(f"there are no jobs: set {PREFIX}JOBS_BROKER, like redis://127.0.0.1:6379/0")
