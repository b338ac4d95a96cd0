"""`slicer index`: index every file of a folder in advance."""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context

from tqdm import tqdm

from slicer.cli.errors import UsageError
from slicer.cli.options import settings_of
from slicer.media.source import Source, SourceArchivedError, SourceMissingError
from slicer.media.store import IndexPendingError, IndexStore
from slicer.mp3 import Mp3Error, UnsupportedMp3Error
from slicer.objects.choose import library_of
from slicer.server import express, machine, preflight, privileges, reach
from slicer.settings import Settings

_BATCH, _TRY_SECONDS, _TRIES = 64, 3600, 24
#: Of each file: its path, its error, and whether its index is new.
_Found = list[tuple[bytes, str, bool]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--jobs", type=int, metavar="N", help="files at a time (default: one per CPU)")


def run(options: argparse.Namespace) -> int:
    """Index all files; returns 1 where some cannot be."""
    settings = settings_of(options.folder)
    jobs = machine.cpus() if options.jobs is None else options.jobs
    if not 1 <= jobs <= 256:
        raise UsageError(f"--jobs {jobs} is not a number from 1 to 256")
    user = reach.run_user(express.RUN_USER)
    preflight.can_read(settings, user)
    preflight.own_caches(settings, user, ("index_dir",))
    # Root never reads the contents of the files: the run user does.
    privileges.become(user)
    store = _store(settings)
    store.prepare()
    library = library_of(settings)
    if not library.can_list:
        raise UsageError(f"{settings.media} has no list: its files are indexed when they are asked for")
    gone = 0 if settings.is_remote else store.prune(settings.media)
    # A bucket may have millions, and nobody knows how many before the end of its list.
    listed = (entry.path for entry in library.list())
    paths: Iterable[bytes] = listed if settings.is_remote else list(listed)
    seen = made = refused = 0
    # A thread of its own would be handed the signals that `_interrupts_held` keeps from this one.
    tqdm.monitor_interval = 0
    # Spawned, not forked: a fork of a process with threads is not safe, and Python will not do it by default either.
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        tqdm(
            total=len(paths) if isinstance(paths, list) else None,
            unit=" files",
            disable=not sys.stderr.isatty(),
            file=sys.stderr,
        ) as bar,
    ):
        try:
            for found in _map_bounded(pool, settings, paths, jobs):
                for path, complaint, is_new in found:
                    bar.update()
                    seen += 1
                    made += is_new
                    if complaint:
                        refused += 1
                        tqdm.write(f"{os.fsdecode(path)}: {complaint}", file=sys.stderr)
        except BrokenExecutor:
            raise UsageError("an indexing process was killed; run the command again to continue") from None
    print(
        f"{made} indexed, {seen - made - refused} already indexed, {refused} refused, {gone} obsolete indexes removed"
    )
    return 1 if refused else 0


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C. Processes started meanwhile never get it: their parent ends them, after their current files."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _map_bounded(pool: ProcessPoolExecutor, settings: Settings, paths: Iterable[bytes], jobs: int) -> Iterator[_Found]:
    """Index in batches, a few in flight at a time, so that memory is bounded."""
    ahead = iter(paths)
    batches = iter(lambda: list(islice(ahead, _BATCH)), [])
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
    library, store, found = library_of(settings), _store(settings), _Found()
    for path in paths:
        try:
            with library.open(path) as source:
                if source.identity.size > settings.max_source_bytes:
                    found.append((path, f"it is larger than {settings.max_source_bytes} bytes", False))
                    continue
                known = store.is_indexed(source)
                if not known:
                    _index_to_the_end(store, source)
                    # The store also answers without writing; here an index must be written.
                    if not store.is_indexed(source):
                        found.append((path, "its index cannot be stored", False))
                        continue
            found.append((path, "", not known))
        except SourceMissingError:
            found.append((path, "it is gone or cannot be read", False))
        except (Mp3Error, SourceArchivedError) as error:
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
    # No client waits here, so a try may take long.
    return IndexStore(settings.index_dir, seconds=_TRY_SECONDS)
