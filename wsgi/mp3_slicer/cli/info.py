"""`slicer info`: a description of a file."""

import argparse
import json

from mp3_slicer.cli.cut import source_at
from mp3_slicer.media.describe import describe
from mp3_slicer.mp3 import build_whole_index
from mp3_slicer.server import confined


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")


def run(options: argparse.Namespace) -> int:
    """Print the description as JSON."""
    user = confined.user()
    with source_at(options.file, user) as source:
        return confined.run(user, lambda: print(json.dumps(describe(build_whole_index(source)), indent=2)))
