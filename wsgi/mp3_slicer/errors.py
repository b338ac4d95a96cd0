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


class SlicerError(Exception):
    """An error that an operator or a client can correct. Any other is a defect, or an OSError."""
