"""Options and settings that several commands share."""

import argparse
import os

from mp3_slicer.cli.errors import UsageError
from mp3_slicer.settings import PREFIX, Settings, is_remote


def add_media_folder(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the media folder."""
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help=f"the media folder or URL (or {PREFIX}MEDIA)")


def settings_of(folder: str | None) -> Settings:
    """Return the settings of the environment, with the media in `folder` where that is given. Raises UsageError, SettingsError."""
    environ = dict(os.environ)
    if folder is not None:
        if not is_remote(folder) and not os.path.isdir(folder):
            raise UsageError(f"{folder} is not a folder that can be read")
        environ[f"{PREFIX}MEDIA"] = folder if is_remote(folder) else os.path.abspath(folder)
    elif not environ.get(f"{PREFIX}MEDIA", "").strip():
        raise UsageError(f"name the folder that holds the MP3 files, as an argument or in {PREFIX}MEDIA")
    return Settings.from_environ(environ)
