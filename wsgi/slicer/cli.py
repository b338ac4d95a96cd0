"""The command `slicer`: serve, drain, worker, jobs, cut, info, index, sign, doctor, plan.

Errors are one line on stderr and exit status 2.
"""

import argparse
import importlib
import io
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import partial
from itertools import islice
from multiprocessing import get_context
from types import FrameType, ModuleType
from typing import IO, Any, NoReturn
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from tqdm import tqdm

import slicer
from slicer.jobs.errors import JobsError
from slicer.jobs.lanes import LANES
from slicer.media.describe import describe
from slicer.media.library import Library
from slicer.media.shelf import MAX_OPEN
from slicer.media.source import Source, SourceMissingError, open_file
from slicer.media.store import IndexPendingError, IndexStore
from slicer.media.timespan import ALLOWED, TimeSpan, TimeSpanError
from slicer.mp3 import Mp3Error, UnsupportedMp3Error, build_whole_index, cut
from slicer.server import (
    confined,
    costs,
    doctor,
    drain,
    express,
    host,
    machine,
    plan,
    plan_report,
    preflight,
    privileges,
    reach,
    run,
)
from slicer.server.demand import Demand
from slicer.server.drain import DrainError
from slicer.server.preflight import PreflightError
from slicer.settings import CACHES, PREFIX, Settings, SettingsError, default_dir
from slicer.signing import add_key, read_keys, signed_url
from slicer.signing.signature import MOST_EXPIRES

_PIECE = 1 << 20
_BATCH = 64
_TRY_SECONDS, _TRIES = 3600, 24
_MAX_BYTES = 1 << 50
#: Plain decimals, as for settings.
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
#: A file of measures has a few thousand.
_MAX_MEASURES = 1 << 20
_TEN_YEARS = 3650 * 86_400
#: What needs a signature where anything does.
_SIGNED_ROOMS = ("/clips/", "/renders/", "/peaks/", "/info/")


class _UsageError(Exception):
    """What the person asked for cannot be done; the message is the line they get."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end."""
        sys.exit(_complain(f"{message} ({self.prog} --help shows what there is)"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 where something was found wrong, 2 where it could not be done."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, _stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that is not UTF-8, or a terminal that knows no arrow, must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            options = _parser().parse_args(arguments)
            status: int = options.command(options)
        finally:
            # What cannot be written must be found out here: when Python ends it is too late to say it well.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _leave_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        _leave_stdout()
        return _complain(f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error))
    except (
        _UsageError,
        confined.RefusedError,
        JobsError,
        SettingsError,
        PreflightError,
        DrainError,
        Mp3Error,
        ValueError,
        LookupError,
    ) as error:
        return _complain(str(error))
    return status


def _stop(number: int, _: FrameType | None) -> NoReturn:
    """End as an exception, so that nothing half-written stays. `slicer serve` has handlers of its own."""
    raise SystemExit(128 + number)


def _leave_stdout() -> None:
    """Let what is still to be written to a standard output that takes nothing more go nowhere: Python would complain again."""
    # Whoever calls main from Python may have put something else there, without a number.
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> int:
    line = " ".join(message.split()).encode(errors="backslashreplace").decode()
    print(f"slicer: {line}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="slicer", description="Sample-exact MP3 clips over HTTP.")
    parser.add_argument("--version", action="version", version=f"slicer {slicer.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve clips of the MP3 files in a folder, in the foreground")
    serve.add_argument("folder", nargs="?", metavar="FOLDER", help=f"the media folder (or {PREFIX}MEDIA)")
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="the address to listen on (default: %(default)s)"
    )
    serve.add_argument(
        "--port", type=int, default=8000, metavar="P", help="the port to listen on (default: %(default)s)"
    )
    serve.add_argument("--cpus", type=int, metavar="N", help="the CPUs to size for (default: those there are)")
    serve.add_argument(
        "--memory", type=_bytes, metavar="BYTES", help="the memory to size for, like 4G (default: what there is)"
    )
    serve.add_argument("--backlog", type=int, metavar="N", help="renders that may wait")
    serve.add_argument(
        "--clips-memory", type=_bytes, metavar="BYTES", help="the limit of each clips process (default: from --memory)"
    )
    serve.add_argument(
        "--request-timeout", type=int, metavar="S", help="seconds a request may take on average (default: 30)"
    )
    serve.add_argument(
        "--max-requests", type=int, metavar="N", help="replace a daemon after so many requests (default: 0, never)"
    )
    serve.add_argument(
        "--status", action="store_true", help="answer /server-status, Apache's own account, to callers on this machine"
    )
    serve.add_argument("--print", action="store_true", help="show sizes and command line, and start nothing")
    serve.set_defaults(command=_serve)

    draining = commands.add_parser(
        "drain", help="replace the daemons of a server one after another, with the code of now"
    )
    draining.add_argument("pid", type=int, metavar="PID", help="the process number of `slicer serve`")
    draining.set_defaults(command=_drain)

    working = commands.add_parser("worker", help="work on the jobs of a queue, in the foreground")
    working.add_argument("folder", nargs="?", metavar="FOLDER", help=f"the media folder (or {PREFIX}MEDIA)")
    for lane in LANES:
        working.add_argument(
            f"--{lane}", type=_processes, metavar="N", help=f"processes for {lane} jobs (default: the CPUs there are)"
        )
    working.add_argument(
        "--grace",
        type=int,
        default=30,
        metavar="S",
        help="seconds in which jobs may finish when it is told to stop (default: %(default)s)",
    )
    # What it starts itself with.
    working.add_argument("--lane", choices=LANES, help=argparse.SUPPRESS)
    working.set_defaults(command=_worker)

    jobs = commands.add_parser("jobs", help="list jobs, show one, or cancel one")
    jobs.add_argument("what", choices=("list", "show", "cancel"))
    jobs.add_argument("job", nargs="?", metavar="ID", help="the job to show or to cancel")
    jobs.set_defaults(command=_jobs)

    cutting = commands.add_parser("cut", help="cut a span out of a file, sample-exact and without decoding")
    cutting.add_argument("file", metavar="FILE")
    cutting.add_argument("--t", required=True, metavar="SPAN", help=ALLOWED.replace("%", "%%"))
    cutting.add_argument(
        "-o", "--output", required=True, metavar="CLIP", help="the clip's file, or - for standard output"
    )
    cutting.set_defaults(command=_cut)

    info = commands.add_parser("info", help="say what is known of a file, as JSON")
    info.add_argument("file", metavar="FILE")
    info.set_defaults(command=_info)

    index = commands.add_parser("index", help="index every file of a folder before it is asked for")
    index.add_argument("folder", metavar="FOLDER")
    index.add_argument("--jobs", type=int, metavar="N", help="files at a time (default: one per CPU)")
    index.set_defaults(command=_index)

    sign = commands.add_parser("sign", help="sign a URL, or make a key to sign with")
    sign.add_argument("url", nargs="?", metavar="URL", help="the URL, or its path and query, to sign")
    sign.add_argument(
        "--key-file", required=True, metavar="FILE", help="the keys that the server has in " + PREFIX + "SIGNING_KEYS"
    )
    sign.add_argument(
        "--expires",
        type=_seconds,
        default=3600,
        metavar="TIME",
        help="until when, like 90s, 30m, 1h or 7d (default: 1h)",
    )
    sign.add_argument("--key", metavar="NAME", help="the key to sign with (default: the last in the file)")
    sign.add_argument("--new-key", metavar="NAME", help="add a new key to the file, which is made if missing")
    sign.set_defaults(command=_sign)

    check = commands.add_parser("doctor", help="look for what would keep the server from working, and say what to do")
    check.add_argument("folder", nargs="?", metavar="FOLDER", help=f"the media folder (or {PREFIX}MEDIA)")
    check.add_argument("--host", action="store_true", help="look at a machine that the Ansible roles set up (as root)")
    check.set_defaults(command=_doctor)

    planning = commands.add_parser("plan", help="say what machines a load takes, and what to set there")
    for item in fields(Demand):
        kind = {"machine_memory": _bytes, "machines": _whole, "machine_cpus": _whole, "spare": _whole}.get(item.name)
        default: Any = item.default
        shown = f"{default >> 30}G" if kind is _bytes else default
        planning.add_argument(
            f"--{item.name.replace('_', '-')}",
            type=kind or _number,
            default=default,
            required=item.name == "clips_per_second",
            metavar="BYTES" if kind is _bytes else "N",
            help=item.metadata["doc"] + ("" if default is None else f" (default: {shown})"),
        )
    planning.add_argument(
        "--assume",
        type=_assumption,
        action="append",
        default=[],
        metavar="NAME=N",
        help="another cost than the one measured; the plan names all of them",
    )
    planning.add_argument(
        "--measured",
        action="append",
        default=[],
        metavar="FILE",
        help="costs of this machine: what a benchmark keeps, build/bench/growth.json for instance",
    )
    planning.add_argument("--brief", action="store_true", help="without what was assumed")
    planning.add_argument("--json", action="store_true", help="all of it as JSON")
    planning.set_defaults(command=_plan)
    return parser


def _number(text: str) -> float:
    """A plain decimal."""
    if not _NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number, like 0.5")
    return float(text)


def _whole(text: str) -> int:
    """A whole number."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number")
    return int(text)


def _assumption(text: str) -> tuple[str, float]:
    """A cost and its value: clip-cpu=0.7."""
    name, _, value = text.partition("=")
    return name, _number(value)


def _processes(text: str) -> int:
    """A number of processes; 0 for none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 256):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 256")
    return int(text)


def _bytes(text: str) -> int:
    """A number of bytes with a unit: 512M, 4G."""
    units = {"K": 10, "M": 20, "G": 30, "T": 40}
    unit = units.get(text[-1:].upper(), 0)
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, like 4G")
    value = int(digits) << unit
    if value > _MAX_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is more memory than there is")
    return value


def _seconds(text: str) -> int:
    """A number of seconds with a unit: 90s, 30m, 1h, 7d."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:])
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9 and 0 < int(digits) * (unit or 1) <= _TEN_YEARS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 1s to 3650d, like 1h")
    return int(digits) * (unit or 1)


def _settings(folder: str | None) -> Settings:
    environ = dict(os.environ)
    if folder is not None:
        if not os.path.isdir(folder):
            raise _UsageError(f"{folder} is not a folder that can be read")
        environ[f"{PREFIX}MEDIA"] = os.path.abspath(folder)
    elif not environ.get(f"{PREFIX}MEDIA", "").strip():
        raise _UsageError(f"name the folder that holds the MP3 files, as an argument or in {PREFIX}MEDIA")
    return Settings.from_environ(environ)


def _serve(options: argparse.Namespace) -> int:
    sizes = run.sizes_here(
        options.cpus,
        options.memory,
        backlog=options.backlog,
        request_timeout=options.request_timeout,
        max_requests=options.max_requests,
        clips_memory_bytes=options.clips_memory,
    )
    return run.run(
        _settings(options.folder),
        sizes,
        host=options.host,
        port=options.port,
        status=options.status,
        print_only=options.print,
    )


def _drain(options: argparse.Namespace) -> int:
    try:
        # What the new daemons are to load: if it cannot be loaded here, the old ones are better.
        importlib.import_module("slicer.web.app")
    except Exception as error:
        raise _UsageError(f"the application cannot be loaded, so nothing is replaced: {error!r}") from None
    print(f"{drain.drain(options.pid)} daemons replaced")
    return 0


def _worker(options: argparse.Namespace) -> int:
    commands = _job_commands()
    cpus = machine.cpus()
    given = {lane: getattr(options, lane) for lane in LANES}
    processes = {lane: cpus if number is None else number for lane, number in given.items()}
    if not any(processes.values()):
        raise _UsageError("there would be no process to work")
    settings = _settings(options.folder)
    if options.lane is not None:
        return int(commands.work_in_lane(settings, options.lane, processes[options.lane]))
    user = reach.run_user(express.RUN_USER)
    # What a server and its workers keep is for both to write.
    _preflight(settings, user, tuple(CACHES))
    # From here on nothing is root's: it reads what Redis holds, and starts those who read files.
    privileges.become(user)
    try:
        return int(commands.work(settings, processes=processes, grace=options.grace))
    except ImportError as error:
        raise _missing(error) from None


def _preflight(settings: Settings, user: str | None, caches: Sequence[str]) -> None:
    """See that `user` (None: the caller) can work here: read the media and Python, and write these folders, which are made if missing.

    Raises PreflightError.
    """
    preflight.readable("media folder", settings.media, user)
    for part in reach.interpreter_parts():
        preflight.readable("Python that Slicer runs on,", part, user)
    for name in caches:
        preflight.own_folder(f"{CACHES[name]} folder", getattr(settings, name), PREFIX + name.upper(), user)


def _jobs(options: argparse.Namespace) -> int:
    commands = _job_commands()
    # Nothing of these needs media.
    settings = _settings(None if os.environ.get(f"{PREFIX}MEDIA", "").strip() else os.curdir)
    if (options.job is None) != (options.what == "list"):
        raise _UsageError("slicer jobs list names no job, show and cancel name one")
    if options.what == "list":
        return int(commands.show_all(settings))
    return int((commands.show if options.what == "show" else commands.cancel)(settings, options.job))


def _job_commands() -> ModuleType:
    try:
        return importlib.import_module("slicer.jobs.commands")
    except ImportError as error:
        raise _missing(error) from None


def _missing(error: ImportError) -> _UsageError:
    return _UsageError(f"jobs need packages that are missing ({error.name}): pip install 'slicer[jobs,renders]'")


def _sign(options: argparse.Namespace) -> int:
    if (options.new_key is None) == (options.url is None):
        raise _UsageError("slicer sign names a URL to sign, or --new-key and the name of a key to make")
    if options.new_key is not None:
        # Root makes it for others to read, and may do so in a folder of theirs: no link of theirs is followed.
        add_key(options.key_file, options.new_key, privileges.open_as_root if os.geteuid() == 0 else os.open)
        return 0
    try:
        parts = urlsplit(options.url)
    except ValueError as error:
        raise _UsageError(f"{options.url[:100]!r} is no URL: {error}") from None
    path = unquote_to_bytes(parts.path)
    if not path.startswith(tuple(room.encode() for room in _SIGNED_ROOMS)):
        raise _UsageError(
            f"{options.url[:100]!r} is no URL below {', '.join(_SIGNED_ROOMS)}: nothing else needs a signature"
        )
    pairs = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    for text in (value for name, value in pairs if name == "t"):
        try:
            TimeSpan.parse(text)
        except TimeSpanError as error:
            raise _UsageError(f"t={text[:100]!r}: {error} (allowed: {ALLOWED})") from None
    for name in {name for name, _ in pairs} - {"t"}:
        if sum(name == each for each, _ in pairs) > 1:
            raise _UsageError(f"the option {name[:50]!r} is given more than once")
    keys = read_keys(options.key_file)
    key = keys.newest if options.key is None else keys.get(options.key)
    if key is None:
        raise _UsageError(f"{options.key_file} has no key {options.key[:40]!r}")
    host = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
    print(host + signed_url(path, pairs, key, min(int(time.time()) + options.expires, MOST_EXPIRES)))
    return 0


def _cut(options: argparse.Namespace) -> int:
    try:
        asked = TimeSpan.parse(options.t)
    except TimeSpanError as error:
        raise _UsageError(f"--t {options.t!r}: {error} (allowed: {ALLOWED})") from None
    user = confined.user()
    with _open(options.file, user) as source:
        if options.output == "-":
            if sys.stdout is None:
                raise _UsageError("standard output is closed")
            return confined.run(user, lambda: _cut_into(sys.stdout.buffer, source, asked))
        if os.path.exists(options.output) and os.path.samefile(options.output, options.file):
            raise _UsageError(f"{options.output} is the source itself: name another file for the clip")
        if user is None:
            _write_whole(options.output, _pieces(source, asked))
            return 0
        with confined.whole_file(options.output) as file:
            return confined.run(user, lambda: _cut_into(file, source, asked))


def _cut_into(file: IO[bytes], source: Source, asked: TimeSpan) -> None:
    """Write the clip to a file."""
    file.writelines(_pieces(source, asked))
    file.flush()


def _pieces(source: Source, asked: TimeSpan) -> Iterator[bytes]:
    """The clip in pieces. Raises Mp3Error, before the first one where the source cannot be cut."""
    try:
        index = build_whole_index(source.fd)
        span = index.locate(asked.start, asked.end)
    finally:
        # What is wrong with a file that was changed meanwhile is that.
        source.check()
    minimum = -(-span.segment.header.sample_rate // 10)  # the shortest clip that every decoder trims rightly
    clip = cut(source.fd, span, minimum=minimum)
    for piece in clip.pieces(source.fd, 0, clip.length, _PIECE):
        source.check()
        yield piece


def _write_whole(path: str, pieces: Iterator[bytes]) -> None:
    """Write a file so that it is there whole or not at all."""
    if not path:
        raise _UsageError("the clip's file has no name")
    if os.path.isdir(path):
        raise _UsageError(f"{path} is a folder")
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as device:
            device.writelines(pieces)
        return
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise _UsageError(f"there is no folder {folder}")
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".slicer-")
    except OSError as error:
        raise _UsageError(f"{folder} cannot be written: {error.strerror}") from None
    try:
        with open(handle, "wb") as file:
            file.writelines(pieces)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _open(path: str, user: str | None) -> Source:
    try:
        return open_file(path, os.open if user is None else partial(confined.open_for_reading, user=user))
    except SourceMissingError:
        raise _UsageError(f"{path} is not a regular file") from None


def _info(options: argparse.Namespace) -> int:
    user = confined.user()
    with _open(options.file, user) as source:
        return confined.run(user, lambda: print(json.dumps(describe(build_whole_index(source.fd)), indent=2)))


def _index(options: argparse.Namespace) -> int:
    settings = _settings(options.folder)
    jobs = machine.cpus() if options.jobs is None else options.jobs
    if not 1 <= jobs <= 256:
        raise _UsageError(f"--jobs {jobs} is not a number from 1 to 256")
    user = reach.run_user(express.RUN_USER)
    _preflight(settings, user, ("index_dir",))
    # Whatever the files hold is read by who serves them, never by root.
    privileges.become(user)
    store = _store(settings)
    store.prepare()
    gone = store.prune(settings.media)
    paths = [entry.path for entry in Library(settings.media).list()]
    made = refused = 0
    # A thread of its own would be handed the signals that `_interrupts_held` keeps from this one.
    tqdm.monitor_interval = 0
    # Spawned, not forked: a fork of a process with threads is not safe, and Python will not do it by default either.
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        tqdm(total=len(paths), unit=" files", disable=not sys.stderr.isatty(), file=sys.stderr) as bar,
    ):
        try:
            for found in _map_bounded(pool, settings, paths, jobs):
                for path, complaint, is_new in found:
                    bar.update()
                    made += is_new
                    if complaint:
                        refused += 1
                        tqdm.write(f"{os.fsdecode(path)}: {complaint}", file=sys.stderr)
        except BrokenExecutor:
            raise _UsageError("a process that indexed was killed; run it again to go on") from None
    print(
        f"{made} indexed, {len(paths) - made - refused} were indexed before, {refused} cannot be, {gone} of files that are gone removed"
    )
    return 1 if refused else 0


_Found = list[tuple[bytes, str, bool]]


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back. Processes that are started meanwhile never get it: the one that started them ends them, after the files at hand."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _map_bounded(pool: ProcessPoolExecutor, settings: Settings, paths: list[bytes], jobs: int) -> Iterator[_Found]:
    """Index in batches, a few in flight at a time: memory stays the same for any number of files."""
    batches = iter([paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)])
    # A process starts when there is work for it.
    with _interrupts_held():
        waiting: set[Future[_Found]] = {
            pool.submit(_index_batch, settings, batch) for batch in islice(batches, 2 * jobs)
        }
    while waiting:
        done = next(as_completed(waiting))
        waiting.discard(done)
        with _interrupts_held():
            waiting |= {pool.submit(_index_batch, settings, batch) for batch in islice(batches, 1)}
        yield done.result()


def _index_batch(settings: Settings, paths: list[bytes]) -> _Found:
    library, store = Library(settings.media), _store(settings)
    found: _Found = []
    for path in paths:
        try:
            with library.open(path) as source:
                if source.identity.size > settings.max_source_bytes:
                    found.append((path, f"it is larger than {settings.max_source_bytes} bytes", False))
                    continue
                known = store.is_indexed(source)
                if not known:
                    _index_to_the_end(store, source)
                    # The store answers without a place to write; here writing is all that is wanted.
                    if not store.is_indexed(source):
                        found.append((path, "its index cannot be stored", False))
                        continue
            found.append((path, "", not known))
        except SourceMissingError:
            found.append((path, "it is gone or cannot be read", False))
        except Mp3Error as error:
            found.append((path, str(error), False))
        except OSError as error:
            found.append((path, error.strerror or str(error), False))
    return found


def _index_to_the_end(store: IndexStore, source: Source) -> None:
    """Index a file however long that takes, within a day. Raises UnsupportedMp3Error after that."""
    for _ in range(_TRIES):
        try:
            store.get(source)
            return
        except IndexPendingError:
            continue  # with what was walked, where that could be stored
    raise UnsupportedMp3Error("it could not be read to its end within a day")


def _store(settings: Settings) -> IndexStore:
    # Nobody waits for an answer here, so a try may take long.
    return IndexStore(settings.index_dir, seconds=_TRY_SECONDS)


def _doctor(options: argparse.Namespace) -> int:
    if options.host:
        if options.folder:
            raise _UsageError("--host looks at the folders of the machine's own sites: name none")
        found = host.checks()
        status = doctor.report(found)
        print(host.summary(found))
        return status
    media = options.folder or os.environ.get(f"{PREFIX}MEDIA") or None
    folders = {
        PREFIX + name.upper(): os.environ.get(PREFIX + name.upper()) or default_dir(name, os.environ) for name in CACHES
    }
    return doctor.report(doctor.checks(media=media, folders=folders, environ=os.environ))


def _plan(options: argparse.Namespace) -> int:
    demand = Demand(**{item.name: getattr(options, item.name) for item in fields(Demand)})
    assumed = costs.Costs()
    for path in options.measured:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_MEASURES + 1)
        try:
            assumed = assumed.with_measured(text)
        except ValueError as error:
            raise _UsageError(f"--measured {path}: {error}") from None
    assumed = costs.with_assumed(assumed, options.assume)
    found = plan.plan(
        demand, assumed, open_files=MAX_OPEN, most_results=_most_results() if demand.renders_per_second else 0
    )
    if options.json:
        print(json.dumps(plan_report.values(found), indent=2, allow_nan=False))
    else:
        print(plan_report.text(found, brief=options.brief))
    return 0


def _most_results() -> int:
    """How many renders are kept. Only where renders are made are their packages there."""
    try:
        return int(importlib.import_module("slicer.render.results").MAX_RESULTS)
    except ImportError as error:
        raise _UsageError(
            f"renders need packages that are missing ({error.name}): pip install 'slicer[renders]'"
        ) from None
