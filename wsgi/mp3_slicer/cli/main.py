"""The entry point of the command `slicer`: its commands by name, its exit status, and its errors as one line on stderr."""

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from mp3_slicer import distribution
from mp3_slicer.errors import SlicerError

#: By name: the command's sentence. Its module in this package has the same name.
COMMANDS = {
    "serve": "serve clips of the MP3 files in a folder, in the foreground",
    "drain": "replace the daemons of a server one after another, with the code of now",
    "worker": "work on the jobs of a queue, in the foreground",
    "jobs": "list jobs, show one, or cancel one",
    "cut": "cut a span out of a file, sample-exact and without decoding",
    "info": "say what is known of a file, as JSON",
    "index": "index every file of a folder before it is asked for",
    "sign": "sign a URL, or make a key to sign with",
    "doctor": "look for what would keep the server from working, and say what to do",
    "plan": "say what machines a load takes, and what to set there",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end."""
        sys.exit(complain(f"{message} ({self.prog} --help shows what there is)"))


class _Version(argparse.Action):
    """Prints the version, which is looked up only then, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"slicer {distribution.version()}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 for a negative result, 2 for an error."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, _stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that is not UTF-8, or a terminal that knows no arrow, must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            options = parser(_command_of(words)).parse_args(words)
            status: int = options.run(options)
        finally:
            # A failed write must show here: when Python ends it is too late for a good message.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _leave_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        _leave_stdout()
        return complain(f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error))
    except SlicerError as error:
        return complain(str(error))
    return status


def _stop(number: int, _: FrameType | None) -> NoReturn:
    """End as an exception, so that nothing half-written stays. `slicer serve` has handlers of its own."""
    raise SystemExit(128 + number)


def _leave_stdout() -> None:
    """Discard the rest of a closed standard output: Python would complain again."""
    # A caller from Python may have replaced it by an object without a descriptor.
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> int:
    """Print an error as one line, and return the exit status that goes with it."""
    line = " ".join(message.split()).encode(errors="backslashreplace").decode()
    print(f"slicer: {line}", file=sys.stderr)
    return 2


def _command_of(words: Sequence[str]) -> str | None:
    """Return the command that a command line names: its first word, as no option in front of it has a value."""
    return next((word for word in words if not word.startswith("-")), None)


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of `command` and of the options in front of it; None has the arguments of every command.

    A command's module imports what the command works with, so only the one that is asked for is imported.
    """
    whole = _Parser(prog="slicer", description="Sample-exact MP3 clips over HTTP.")
    whole.add_argument("--version", action=_Version, nargs=0, help="say which version this is, and of which commit")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for name, sentence in COMMANDS.items():
        one = commands.add_parser(name, help=sentence)
        if command in {None, name}:
            module = importlib.import_module(f"mp3_slicer.cli.{name}")
            module.add_arguments(one)
            one.set_defaults(run=module.run)
    return whole
