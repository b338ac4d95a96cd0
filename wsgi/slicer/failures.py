"""Why a job failed, as the members of an RFC 9457 problem: kept with the job, for a client that asks later."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from slicer.media.source import SourceMissingError, SourceTooLargeError, SourceUnavailableError
from slicer.media.store import IndexPendingError
from slicer.mp3 import (
    Mp3Error,
    NotMp3Error,
    SourceChangedError,
    SpanCrossesSegmentsError,
    SpanOutsideError,
    SpanTooShortError,
)
from slicer.render import (
    OptionError,
    TooLargeError,
    ToolError,
    ToolMissingError,
    TooLongError,
    UnreadableError,
    WorkTimeoutError,
)

_TYPE = "urn:slicer:problem:"
#: By error, the first that fits: status and last part of the problem's type; None where another sentence than the error's is better.
_KINDS: tuple[tuple[type[Exception], int, str, str | None], ...] = (
    (OptionError, 400, "option-refused", None),
    (SpanOutsideError, 400, "span-outside", None),
    (SpanTooShortError, 400, "span-too-short", None),
    (SpanCrossesSegmentsError, 422, "span-crosses-segments", None),
    (WorkTimeoutError, 413, "render-too-long", None),
    (TooLongError, 413, "render-too-long", None),
    (TooLargeError, 413, "render-too-large", None),
    (UnreadableError, 422, "cannot-be-decoded", None),
    (SourceMissingError, 410, "source-gone", "the source is not there any more"),
    (SourceChangedError, 410, "source-gone", "the source is another one by now; ask again"),
    (SourceUnavailableError, 503, "try-again", "the media cannot be read at the moment; ask again"),
    (SourceTooLargeError, 413, "source-too-large", None),
    (IndexPendingError, 503, "try-again", "the source could not be indexed in time; ask again"),
    (NotMp3Error, 415, "not-an-mp3", None),
    (Mp3Error, 422, "cannot-be-cut", None),
    (ToolMissingError, 501, "not-installed", "the worker has no ffmpeg"),
    (ToolError, 500, "internal", "the server made a mistake; it is in its log"),
    (MemoryError, 503, "try-again", "the worker was short of memory; ask again"),
    (OSError, 503, "try-again", "there was no room for the result, or no way to it; ask again"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An end that is no result."""

    status: int  #: as HTTP has them; one of the server's (5xx) may not come again
    kind: str  #: the last part of the problem's type
    detail: str  #: one sentence

    @property
    def problem(self) -> dict[str, Any]:
        """The members of the problem."""
        return {
            "type": _TYPE + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }


#: A job whose workers were killed too often.
LOST = Failure(503, "job-lost", "whoever worked on it was killed, more than once; ask again")
#: A job that a worker could not finish in its time.
OVERSTAYED = Failure(413, "render-too-long", "the work took longer than a job may; ask for less at a time")
#: A defect.
MISTAKE = Failure(500, "internal", "the server made a mistake; it is in its log")


def failure_of(error: BaseException) -> Failure:
    """What to say of an error that ended the work."""
    for kind, status, name, sentence in _KINDS:
        if isinstance(error, kind):
            return Failure(status, name, sentence or str(error))
    return MISTAKE
