"""`slicer cut`: a clip of a file, as a file."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import IO

from mp3_slicer import atomic
from mp3_slicer.cli.errors import UsageError
from mp3_slicer.media.source import FileSource, SourceMissingError, open_file
from mp3_slicer.mp3 import build_whole_index, cut
from mp3_slicer.server import confined
from mp3_slicer.timespan import ALLOWED, TimeSpan, TimeSpanError

_PIECE = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--t", required=True, metavar="SPAN", help=ALLOWED.replace("%", "%%"))
    parser.add_argument(
        "-o", "--output", required=True, metavar="CLIP", help="the clip's file, or - for standard output"
    )


def run(options: argparse.Namespace) -> int:
    """Write the clip."""
    try:
        asked = TimeSpan.parse(options.t)
    except TimeSpanError as error:
        raise UsageError(f"--t {options.t!r}: {error} (allowed: {ALLOWED})") from None
    user = confined.user()
    with source_at(options.file, user) as source:
        if options.output == "-":
            if sys.stdout is None:
                raise UsageError("standard output is closed")
            return confined.run(user, lambda: _cut_into(sys.stdout.buffer, source, asked))
        if os.path.exists(options.output) and os.path.samefile(options.output, options.file):
            raise UsageError(f"{options.output} is the source itself: name another file for the clip")
        if user is None:
            _write_whole(options.output, _pieces(source, asked))
            return 0
        with confined.whole_file(options.output) as file:
            return confined.run(user, lambda: _cut_into(file, source, asked))


def source_at(path: str, user: str | None) -> FileSource:
    """Open a file by its name, as `user` (None: the caller). Raises UsageError where it is no regular file."""
    try:
        return open_file(path, os.open if user is None else partial(confined.open_for_reading, user=user))
    except SourceMissingError:
        raise UsageError(f"{path} is not a regular file") from None


def _cut_into(file: IO[bytes], source: FileSource, asked: TimeSpan) -> None:
    """Write the clip to a file."""
    file.writelines(_pieces(source, asked))
    file.flush()


def _pieces(source: FileSource, asked: TimeSpan) -> Iterator[bytes]:
    """Yield the clip in pieces. Raises Mp3Error, before the first one where the source cannot be cut."""
    try:
        index = build_whole_index(source)
        span = index.locate(asked.start, asked.end)
    finally:
        # A change of the file meanwhile explains any other error.
        source.check()
    minimum = -(-span.segment.header.sample_rate // 10)  # the shortest clip that every decoder trims rightly
    clip = cut(source, span, minimum=minimum)
    for piece in clip.pieces(source, 0, clip.length, _PIECE):
        source.check()
        yield piece


def _write_whole(path: str, pieces: Iterator[bytes]) -> None:
    """Write a file whole or not at all."""
    if not path:
        raise UsageError("the clip's file has no name")
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder")
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as device:
            device.writelines(pieces)
        return
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder}")
    with ExitStack() as stack:
        try:
            file = stack.enter_context(atomic.replacing(path))
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
        file.writelines(pieces)
