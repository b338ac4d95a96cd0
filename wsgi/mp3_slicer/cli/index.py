"""`slicer index`: index every file of a folder in advance, and bring the catalogue up to date."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tqdm import tqdm

from mp3_slicer.catalogue.build import Outcome, update
from mp3_slicer.catalogue.documents import Document, Seen
from mp3_slicer.catalogue.scan import Listed, Scan, read_batch
from mp3_slicer.cli import waveforms
from mp3_slicer.cli.batches import bar, map_bounded
from mp3_slicer.cli.errors import UsageError
from mp3_slicer.cli.options import settings_of
from mp3_slicer.cli.tally import Tally
from mp3_slicer.media.indexing import TRY_SECONDS, Indexed, index_batch
from mp3_slicer.media.library import Catalog, Entry
from mp3_slicer.media.protected import Protected, ProtectedKeys
from mp3_slicer.media.store import IndexStore
from mp3_slicer.objects.choose import indexes_of, library_of
from mp3_slicer.parent import end_with
from mp3_slicer.server import express, machine, preflight, privileges, reach
from mp3_slicer.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--peaks", action="store_true", help="also make the waveforms that the studio shows first")
    parser.add_argument("--jobs", type=int, metavar="N", help="files at a time (default: one per CPU)")


def run(options: argparse.Namespace) -> int:
    """Index all files; returns 1 where some cannot be."""
    settings = settings_of(options.folder)
    jobs = _jobs(options.jobs)
    user = reach.run_user(express.RUN_USER)
    preflight.can_read(settings, user)
    draw = waveforms.loaded() if options.peaks else None
    preflight.own_caches(settings, user, ("index_dir", "results_dir", "scratch_dir") if draw else ("index_dir",))
    # Root never reads the contents of the files: the run user does.
    privileges.become(user)
    # No client waits here, so a try may take long.
    store = indexes_of(settings, seconds=TRY_SECONDS, warn=_warn)
    store.prepare()
    library = library_of(settings)
    if not library.can_list:
        raise UsageError(f"{settings.media} has no list: its files are indexed when they are asked for")
    listed = Listed(library)
    entries, remove = _entries(settings, library, listed, store)
    tally = Tally()
    # A thread of its own would be handed the signals that `map_bounded` keeps from this one.
    tqdm.monitor_interval = 0
    with _pool(jobs) as pool, bar(len(entries) if isinstance(entries, list) else None) as shown:
        try:
            for found in map_bounded(pool, _batch(settings), (entry.path for entry in entries), jobs):
                shown.update(len(found))
                tally.add(found)
            outcome = _catalogue(settings, pool, jobs, listed.seen(), tally)
            drawn = waveforms.draw_all(partial(draw, settings), pool, jobs, library, tally.refused) if draw else None
        except BrokenExecutor:
            raise UsageError("an indexing process was killed; run the command again to continue") from None
    tally.report(remove(), settings.shared_indexes, outcome)
    if drawn is not None:
        print(drawn)
    return 0 if tally.is_clean and not (drawn is not None and drawn.refused) else 1


def _entries(
    settings: Settings, library: Catalog, listed: Listed, store: IndexStore
) -> tuple[list[Entry] | Iterator[Entry], Callable[[], int]]:
    """What is there, and what removes the indexes of what is not, once all was read."""
    if not settings.is_remote:
        gone = store.prune(settings.media)
        return list(listed.sources()), lambda: gone
    from mp3_slicer.objects.census import Census

    # A bucket may have millions, and nobody knows how many before the end of its list.
    census = Census(library, store)
    return census.counted(listed.sources()), census.remove


def _batch(settings: Settings) -> Callable[[list[bytes]], list[Indexed]]:
    indexes = partial(indexes_of, settings, seconds=TRY_SECONDS, warn=str)
    return partial(index_batch, partial(library_of, settings), indexes, settings.max_source_bytes)


def _warn(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _jobs(wanted: int | None) -> int:
    jobs = machine.cpus() if wanted is None else wanted
    if not 1 <= jobs <= 256:
        raise UsageError(f"--jobs {jobs} is not a number from 1 to 256")
    return jobs


def _pool(jobs: int) -> ProcessPoolExecutor:
    # A spawned process first enters this one's folder, which may be closed to its user.
    if not os.access(".", os.X_OK):
        os.chdir("/")
    # Spawned, not forked: a fork of a process with threads is not safe, and Python will not do it by default either.
    # A process whose parent was killed would wait for work for ever.
    return ProcessPoolExecutor(jobs, get_context("spawn"), initializer=end_with, initargs=(os.getpid(), signal.SIGKILL))


def _catalogue(settings: Settings, pool: ProcessPoolExecutor, jobs: int, there: list[Seen], tally: Tally) -> Outcome:
    """Bring the catalogue up to date with what is there."""
    folders = settings.signed_folders if settings.signing_keys else ()
    protected = partial(ProtectedKeys, folders) if settings.is_remote else partial(Protected, settings.media, folders)
    scan = Scan(partial(library_of, settings), protected, settings.index_dir, settings.transcript_encoding)

    def read(changed: list[Seen]) -> Iterator[Document]:
        with bar(len(changed)) as shown:
            for batch in map_bounded(pool, partial(read_batch, scan), changed, jobs):
                shown.update(len(batch.documents))
                tally.leave(batch.unread)
                yield from batch.documents

    return update(settings.index_dir, settings.media_name, there, read)
