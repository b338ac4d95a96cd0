"""What several commands take from their options, the environment and the machine."""

import argparse
import os
from collections.abc import Sequence

from slicer.cli.errors import UsageError
from slicer.server import preflight, reach
from slicer.settings import CACHES, PREFIX, Settings


def add_media_folder(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the media folder."""
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help=f"the media folder (or {PREFIX}MEDIA)")


def settings_of(folder: str | None) -> Settings:
    """Return the settings of the environment, with the media in `folder` where that is given. Raises UsageError, SettingsError."""
    environ = dict(os.environ)
    if folder is not None:
        if not os.path.isdir(folder):
            raise UsageError(f"{folder} is not a folder that can be read")
        environ[f"{PREFIX}MEDIA"] = os.path.abspath(folder)
    elif not environ.get(f"{PREFIX}MEDIA", "").strip():
        raise UsageError(f"name the folder that holds the MP3 files, as an argument or in {PREFIX}MEDIA")
    return Settings.from_environ(environ)


def check_folders(settings: Settings, user: str | None, caches: Sequence[str]) -> None:
    """See that `user` (None: the caller) can work here: read the media and Python, and write these folders, which are made if missing.

    Raises PreflightError.
    """
    preflight.readable("media folder", settings.media, user)
    for part in reach.interpreter_parts():
        preflight.readable("Python that Slicer runs on,", part, user)
    for name in caches:
        preflight.own_folder(f"{CACHES[name]} folder", getattr(settings, name), PREFIX + name.upper(), user)
