"""The errors of the command line itself."""

from mp3_slicer.errors import SlicerError


class UsageError(SlicerError):
    """A command cannot be carried out as it was given; the message is the line that is printed."""
