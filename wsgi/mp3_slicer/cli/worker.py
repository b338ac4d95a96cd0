"""`slicer worker`: work on jobs, in the foreground."""

import argparse

from mp3_slicer.cli import values
from mp3_slicer.cli.errors import UsageError
from mp3_slicer.cli.jobs import job_commands, missing_packages
from mp3_slicer.cli.options import add_media_folder, settings_of
from mp3_slicer.jobs.order import LANES
from mp3_slicer.server import express, machine, preflight, privileges, reach


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_media_folder(parser)
    for lane in LANES:
        parser.add_argument(
            f"--{lane}", type=values.processes, metavar="N", help=f"processes for {lane} jobs (default: one per CPU)"
        )
    parser.add_argument(
        "--grace",
        type=int,
        default=30,
        metavar="S",
        help="seconds that running jobs have to finish after a stop signal (default: %(default)s)",
    )
    # What it starts itself with.
    parser.add_argument("--lane", choices=LANES, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Work until a signal ends it; returns the exit status."""
    commands = job_commands()
    cpus = machine.cpus()
    given = {lane: getattr(options, lane) for lane in LANES}
    processes = {lane: cpus if number is None else number for lane, number in given.items()}
    if not any(processes.values()):
        raise UsageError("both lanes have 0 processes: give one of them more by --short or --long")
    settings = settings_of(options.folder)
    if options.lane is not None:
        return int(commands.work_in_lane(settings, options.lane, processes[options.lane]))
    user = reach.run_user(express.RUN_USER)
    # What a server and its workers keep is for both to write.
    preflight.can_read(settings, user)
    preflight.own_caches(settings, user)
    # From here on nothing is root's: it reads what Redis holds, and starts those who read files.
    privileges.become(user)
    try:
        return int(commands.work(settings, processes=processes, grace=options.grace))
    except ImportError as error:
        raise missing_packages(error) from None
