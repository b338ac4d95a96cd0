"""Errors of renders. Each message is one sentence for the client."""

from mp3_slicer.errors import SlicerError


class RenderError(SlicerError):
    """Base of everything this package raises about a request or the work on it."""


class OptionError(RenderError):
    """An option that is unknown, repeated, malformed, out of range, or contradicts another option or the source."""

    def __init__(self, option: str, message: str, allowed: str) -> None:
        super().__init__(option, message, allowed)
        self.option = option  #: its name, as it was given
        self.message = message  #: what is wrong with it, a sentence without the name
        self.allowed = allowed  #: the allowed values

    def __str__(self) -> str:
        return f"{self.option}: {self.message}"


class LimitError(RenderError):
    """The work would be, or has become, more than is allowed."""


class TooLongError(LimitError):
    """The spans together, or the work on them, are longer than allowed."""


class TooLargeError(LimitError):
    """The result, or the memory for making it, is larger than allowed."""


class WorkTimeoutError(LimitError):
    """The time for the work was used up."""


class UnreadableError(RenderError):
    """The frames of the span cannot be decoded."""


class ToolError(RenderError):
    """ffmpeg is missing, failed, or gave an unexpected result. A fault of the server, not of the request."""


class ToolMissingError(ToolError):
    """ffmpeg is not installed."""


class PeaksTimeoutError(WorkTimeoutError):
    """The time was used up; what was done until then is kept, to go on from."""

    def __init__(self, message: str, partial: bytes, progress: float) -> None:
        super().__init__(message)
        self.partial = partial  #: for `peaks`, with the same request and source
        self.progress = progress  #: how much of the whole that is, from 0 to 1
        self.is_stored = False  #: whether it is in the store of results
