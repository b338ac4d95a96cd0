"""`slicer serve`: the server, in the foreground."""

import argparse
import os

from mp3_slicer.cli import values
from mp3_slicer.cli.options import add_media_folder, settings_of
from mp3_slicer.server import run as server
from mp3_slicer.settings import PREFIX, is_remote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_media_folder(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="the address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=8000, metavar="P", help="the port to listen on (default: %(default)s)"
    )
    parser.add_argument("--cpus", type=int, metavar="N", help="the CPUs to size for (default: those available)")
    parser.add_argument(
        "--memory",
        type=values.size,
        metavar="BYTES",
        help="the memory to size for, like 4G (default: the memory available)",
    )
    parser.add_argument("--backlog", type=int, metavar="N", help="renders that may wait")
    parser.add_argument(
        "--clips-memory",
        type=values.size,
        metavar="BYTES",
        help="the limit of each clips process (default: from --memory)",
    )
    parser.add_argument(
        "--request-timeout", type=int, metavar="S", help="seconds a request may take on average (default: 30)"
    )
    parser.add_argument(
        "--max-requests",
        type=int,
        metavar="N",
        help="replace a daemon after this number of requests (default: 0, never)",
    )
    parser.add_argument(
        "--store-milliseconds",
        type=int,
        default=0,
        metavar="N",
        help="milliseconds that a store takes to answer, for the number of threads (default: 8 threads)",
    )
    parser.add_argument(
        "--status", action="store_true", help="serve Apache's /server-status to callers on this machine"
    )
    parser.add_argument("--print", action="store_true", help="show sizes and command line, and start nothing")


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it; returns Apache's exit status."""
    sizes = server.sizes_here(
        options.cpus,
        options.memory,
        backlog=options.backlog,
        request_timeout=options.request_timeout,
        max_requests=options.max_requests,
        clips_memory_bytes=options.clips_memory,
        store_milliseconds=options.store_milliseconds,
        is_remote=is_remote(options.folder or os.environ.get(f"{PREFIX}MEDIA", "")),
    )
    return server.run(
        settings_of(options.folder),
        sizes,
        host=options.host,
        port=options.port,
        status=options.status,
        print_only=options.print,
    )
