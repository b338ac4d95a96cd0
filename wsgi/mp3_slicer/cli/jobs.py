"""`slicer jobs`: list, show and cancel jobs."""

import argparse
import importlib
import os
from types import ModuleType

from mp3_slicer import distribution
from mp3_slicer.cli.errors import UsageError
from mp3_slicer.cli.options import settings_of
from mp3_slicer.settings import PREFIX


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("list", "show", "cancel"))
    parser.add_argument("job", nargs="?", metavar="ID", help="the job to show or to cancel")


def run(options: argparse.Namespace) -> int:
    """Do what is asked for; returns the exit status."""
    commands = job_commands()
    # Nothing of these needs media.
    settings = settings_of(None if os.environ.get(f"{PREFIX}MEDIA", "").strip() else os.curdir)
    if (options.job is None) != (options.what == "list"):
        raise UsageError("slicer jobs list names no job, show and cancel name one")
    if options.what == "list":
        return int(commands.show_all(settings))
    return int((commands.show if options.what == "show" else commands.cancel)(settings, options.job))


def job_commands() -> ModuleType:
    """Import what works with jobs. Raises UsageError where its packages are missing."""
    try:
        return importlib.import_module("mp3_slicer.jobs.commands")
    except ImportError as error:
        raise missing_packages(error) from None


def missing_packages(error: ImportError) -> UsageError:
    """Return the error to raise in place of one of an import."""
    install = distribution.pip_install("jobs", "renders")
    return UsageError(f"jobs need packages that are missing ({error.name}): {install}")
