"""The base of Slicer's errors about its input and its environment. A message is one sentence for the client or the operator.

SlicerError
├── capacity.errors.CapacityError       DemandError, CostsError, FleetError
├── catalogue.query.QueryError
├── catalogue.reader.CatalogueError     CatalogueTimeoutError
├── cli.errors.UsageError
├── jobs.errors.JobsError               JobsDownError, JobsBusyError (JobsShareError), JobsTokenError
├── media.aside.StandstillError
├── media.names.NamesPendingError
├── media.protected.ProtectedError
├── media.source.SourceMissingError, SourceTooLargeError, SourceArchivedError
├── media.store.IndexPendingError
├── mp3.errors.Mp3Error                 NotMp3Error, UnsupportedMp3Error, SpanError, SourceChangedError
├── render.errors.RenderError           OptionError, LimitError, UnreadableError, ToolError
├── render.shared.DamagedError
├── server.confined.RefusedError
├── server.drain.DrainError
├── server.preflight.PreflightError
├── server.reach.RunUserError
├── server.sizes.SizesError
├── settings.SettingsError
├── signing.keys.KeysError
├── signing.signature.SignatureError    SignatureMissingError, SignatureWrongError, SignatureExpiredError
├── signing.signature.UrlError
├── timespan.TimeSpanError
└── web.problems.Problem

A refusal by a disk, a network or the kernel is an OSError: media.source.SourceUnavailableError (objects.errors.StoreError),
jobs.work.NoRoomError and counts.folder.FolderBusyError are kinds of it. jobs.heartbeat.UnwantedError is no Exception, so that nothing
but the worker catches it.
"""

import os
import traceback
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class SlicerError(Exception):
    """An error that an operator or a client can correct. Any other is a defect, or an OSError."""


def reason_of(error: Exception) -> str:
    """One sentence on why something failed; of a defect, where in the program it is."""
    if isinstance(error, SlicerError):
        return str(error) or type(error).__name__
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, MemoryError):
        return "there is too little memory to read it"
    # Without the text of the error: it may hold anything that is in the file.
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"a defect of Slicer, {type(error).__name__} in {os.path.basename(place.filename)}, line {place.lineno}"


def parsed(parse: Callable[[], _T], otherwise: _T) -> tuple[_T, str]:
    """The result of a parser of files, and an empty reason. After a defect of the parser, `otherwise` and the reason.

    What reading the files raises passes: SlicerError and OSError.
    """
    try:
        return parse(), ""
    except (SlicerError, OSError):
        raise
    except Exception as error:
        return otherwise, f"it cannot be read: {reason_of(error)}"
