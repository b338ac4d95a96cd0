"""`slicer drain`: new daemons for a server that runs."""

import argparse
import importlib

from mp3_slicer.cli.errors import UsageError
from mp3_slicer.server.drain import drain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pid", type=int, metavar="PID", help="the process number of `slicer serve`")


def run(options: argparse.Namespace) -> int:
    """Replace the daemons, unless the application cannot be loaded here: then the old ones are better."""
    try:
        importlib.import_module("mp3_slicer.web.app")
    except Exception as error:
        raise UsageError(f"the application cannot be loaded, so nothing is replaced: {error!r}") from None
    print(f"{drain(options.pid)} daemons replaced")
    return 0
