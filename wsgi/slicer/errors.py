"""The base of what Slicer raises about its input and its surroundings. A message is one sentence for the person who asked.

SlicerError
├── capacity.errors.CapacityError       DemandError, CostsError, FleetError
├── cli.errors.UsageError
├── jobs.errors.JobsError               JobsDownError, JobsBusyError (JobsShareError), JobsTokenError
├── media.aside.StandstillError
├── media.names.NamesPendingError
├── media.protected.ProtectedError
├── media.source.SourceMissingError, SourceTooLargeError
├── media.store.IndexPendingError
├── mp3.errors.Mp3Error                 NotMp3Error, UnsupportedMp3Error, SpanError, SourceChangedError
├── render.errors.RenderError           OptionError, LimitError, UnreadableError, ToolError
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

What a disk, a network or the kernel refuses is an OSError: media.source.SourceUnavailableError, jobs.work.NoRoomError and
counts.folder.FolderBusyError are kinds of it. jobs.watch.UnwantedError is no Exception, so that nothing but the worker catches it.
"""


class SlicerError(Exception):
    """Something that an operator or a client can put right. Whatever else is raised is a defect, or an OSError."""
