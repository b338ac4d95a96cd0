"""From exceptions to problems (RFC 9457): one table for responses and for the ends of jobs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from mp3_slicer.media.aside import StandstillError
from mp3_slicer.media.protected import ProtectedError
from mp3_slicer.media.source import (
    SourceArchivedError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnavailableError,
)
from mp3_slicer.media.store import IndexPendingError
from mp3_slicer.mp3 import (
    Mp3Error,
    NotMp3Error,
    SourceChangedError,
    SpanCrossesSegmentsError,
    SpanOutsideError,
    SpanTooShortError,
)
from mp3_slicer.render import (
    OptionError,
    TooLargeError,
    ToolError,
    ToolMissingError,
    TooLongError,
    UnreadableError,
    WorkTimeoutError,
)
from mp3_slicer.timespan import ALLOWED

TYPE = "urn:slicer:problem:"
_MISTAKE = "the server made a mistake; it is in its log"


class Said(NamedTuple):
    """The problem that an error is."""

    status: int  #: of HTTP; after one of the server's (5xx) another try may succeed
    kind: str  #: the last part of the problem's type
    detail: str = ""  #: one sentence; the error's own if this is empty
    retry: int = 0  #: seconds until a retry is useful, 0 if unknown


class Row(NamedTuple):
    """One kind of error, those that derive from it included."""

    error: type[Exception]
    job: Said  #: as the end of a job
    response: Said | None  #: as a response; None for a defect, or an error that the application handles
    members: Callable[[Any], dict[str, Any]] | None = None  #: further members of the response


def _both(
    error: type[Exception], status: int, kind: str, members: Callable[[Any], dict[str, Any]] | None = None
) -> Row:
    said = Said(status, kind)
    return Row(error, said, said, members)


def _of_span(_: Exception) -> dict[str, Any]:
    return {"option": "t", "allowed": ALLOWED}


_SIGNED = Said(403, "signature-missing", "this source needs a signed URL")
#: By error, the first that fits.
TABLE = (
    _both(OptionError, 400, "option-refused", lambda error: {"option": error.option, "allowed": error.allowed}),
    _both(SpanOutsideError, 400, "span-outside", _of_span),
    _both(SpanTooShortError, 400, "span-too-short", _of_span),
    _both(SpanCrossesSegmentsError, 422, "span-crosses-segments", _of_span),
    Row(WorkTimeoutError, Said(413, "render-too-long"), Said(504, "overstayed", retry=2)),
    _both(TooLongError, 413, "render-too-long"),
    _both(TooLargeError, 413, "render-too-large"),
    _both(UnreadableError, 422, "cannot-be-decoded"),
    Row(ProtectedError, _SIGNED, _SIGNED),
    Row(
        SourceMissingError,
        Said(410, "source-gone", "the source no longer exists"),
        Said(404, "not-found", "there is nothing to cut under this path; /library lists what there is"),
    ),
    Row(
        SourceChangedError,
        Said(410, "source-gone", "the source has changed; ask again"),
        Said(503, "try-again", "the file is being changed; try again", retry=1),
    ),
    Row(
        SourceUnavailableError,
        Said(503, "try-again", "the media cannot be read at the moment; ask again"),
        Said(503, "try-again", "the media cannot be read at the moment; try again", retry=5),
    ),
    Row(
        StandstillError,
        Said(503, "try-again", "the media do not answer in time; ask again"),
        Said(503, "try-again", "the media do not answer in time, for this file or those beside it; try again", retry=5),
    ),
    _both(SourceTooLargeError, 413, "source-too-large"),
    _both(SourceArchivedError, 409, "source-archived"),
    Row(
        IndexPendingError,
        Said(503, "try-again", "the source could not be indexed in time; ask again"),
        Said(503, "try-again", "the file is being indexed for the first time; try again", retry=2),
        lambda error: {"progress": round(error.progress, 4)},
    ),
    _both(NotMp3Error, 415, "not-an-mp3"),
    _both(Mp3Error, 422, "cannot-be-cut"),
    Row(
        ToolMissingError,
        Said(501, "not-installed", "the worker has no ffmpeg"),
        Said(
            501,
            "not-installed",
            "this server has no ffmpeg; without it there are mp3 and wav, and neither speed, rate nor normalize=ebu",
        ),
    ),
    Row(ToolError, Said(500, "internal", _MISTAKE), None),
    Row(MemoryError, Said(503, "try-again", "the worker was short of memory; ask again"), None),
    Row(
        OSError,
        Said(503, "try-again", "there was no room for the result, or no way to it; ask again"),
        Said(503, "try-again", "the server has no place for the work; try again", retry=5),
    ),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal, or the end of a job without a result."""

    status: int  #: of HTTP; after one of the server's (5xx) another try may succeed
    kind: str  #: the last part of the problem's type
    detail: str  #: one sentence
    retry: int = 0  #: seconds until a retry is useful, 0 if unknown
    members: dict[str, Any] = field(default_factory=dict)  #: of the problem, beside the common ones

    @property
    def problem(self) -> dict[str, Any]:
        """The members of the problem."""
        return {
            "type": TYPE + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }


#: A job whose workers were killed too often.
LOST = Failure(503, "job-lost", "its workers were killed more than once; ask again")
#: A job that a worker could not finish in its time.
OVERSTAYED = Failure(413, "render-too-long", "the work took longer than a job may; ask for less at a time")
#: A defect.
MISTAKE = Failure(500, "internal", _MISTAKE)


def failure_of(error: BaseException) -> Failure:
    """Return the end of a job whose work raised an error."""
    for row in TABLE:
        if isinstance(error, row.error):
            return Failure(row.job.status, row.job.kind, row.job.detail or str(error))
    return MISTAKE


def refusal_of(error: BaseException) -> Failure | None:
    """Return the same for a response; None if the error is a defect, or the application handles it."""
    for row in TABLE:
        if isinstance(error, row.error):
            said = row.response
            if said is None:
                return None
            members = row.members(error) if row.members else {}
            return Failure(said.status, said.kind, said.detail or str(error), said.retry, members)
    return None
