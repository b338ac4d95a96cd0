"""Jobs: work that is too long for a request, kept in Redis, done by workers that Celery feeds, and never lost.

A job and the changes of its state know nothing of Celery. `mp3_slicer.jobs.jobqueue` is for clients of the queue,
`mp3_slicer.jobs.supervisor` for workers; only these two, and their imports, need the packages of the extra `jobs`.
"""

from mp3_slicer.jobs.errors import JobsBusyError, JobsDownError, JobsError, JobsShareError, JobsTokenError
from mp3_slicer.jobs.job import FINAL, Job, State
from mp3_slicer.jobs.order import Order

__all__ = [
    "FINAL",
    "Job",
    "JobsBusyError",
    "JobsDownError",
    "JobsError",
    "JobsShareError",
    "JobsTokenError",
    "Order",
    "State",
]
