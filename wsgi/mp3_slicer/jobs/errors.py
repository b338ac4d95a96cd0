"""Errors of the queue, as opposed to those of a job's work."""

from mp3_slicer.errors import SlicerError


class JobsError(SlicerError):
    """Base of what this package raises; the message is a sentence for the client."""


class JobsDownError(JobsError):
    """Redis, or the broker, cannot be reached or does not answer."""


class JobsBusyError(JobsError):
    """As many jobs are waiting as may wait."""


class JobsShareError(JobsBusyError):
    """As many jobs of this client are waiting as may wait."""


class JobsTokenError(JobsError):
    """The token is none of the job's: its bearer may not cancel it."""
