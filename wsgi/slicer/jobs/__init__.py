"""Jobs: work that is too long for a request, kept in Redis, done by workers that Celery feeds, and never lost.

What a job is and how its state changes is here and knows nothing of Celery. `slicer.jobs.desk` is for those who want something done,
`slicer.jobs.crew` for those who do it; only these two, and what they import, need the packages of the extra `jobs`.
"""

from slicer.jobs.errors import JobsBusyError, JobsDownError, JobsError, JobsShareError, JobsTokenError
from slicer.jobs.job import FINAL, Job, State
from slicer.jobs.order import Order

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
