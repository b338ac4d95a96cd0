"""What can be wrong with jobs themselves, apart from the work that one of them is."""

from slicer.errors import SlicerError


class JobsError(SlicerError):
    """Base of what this package raises; the message is a sentence for the person who asked."""


class JobsDownError(JobsError):
    """Redis, or the broker, cannot be reached or does not answer."""


class JobsBusyError(JobsError):
    """As many jobs are waiting as may wait."""


class JobsShareError(JobsBusyError):
    """As many jobs of this client are waiting as may wait."""


class JobsTokenError(JobsError):
    """The token is none of the job's: it was not given to who cancels."""
