"""The base of what Slicer raises about its input and its surroundings. A message is one sentence for the person who asked.

SlicerError
├── cli.errors.UsageError
├── jobs.errors.JobsError             jobs, Redis and the broker
├── timespan.TimeSpanError
├── mp3.errors.Mp3Error               a source, or a span of it
├── server.drain.DrainError
├── server.preflight.PreflightError
└── settings.SettingsError
"""


class SlicerError(Exception):
    """Something that an operator or a client can put right. Whatever else is raised is a defect, or OSError."""
