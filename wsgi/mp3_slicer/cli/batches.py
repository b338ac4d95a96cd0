"""Work on many files in several processes, in batches: memory is bounded, and Ctrl-C ends it between two files."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from typing import NoReturn, TypeVar

from tqdm import tqdm

_BATCH = 64
_T = TypeVar("_T")
_Item = TypeVar("_Item")


def bar(total: int | None) -> "tqdm[NoReturn]":
    """Progress on a terminal, of `total` files where that is known."""
    return tqdm(total=total, unit=" files", disable=not sys.stderr.isatty(), file=sys.stderr)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C. Processes started meanwhile never get it: their parent ends them, after their current files."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def map_bounded(
    pool: ProcessPoolExecutor,
    work: Callable[[list[_Item]], _T],
    items: Iterable[_Item],
    jobs: int,
    *,
    batch: int = _BATCH,
) -> Iterator[_T]:
    """Work in batches, a few in flight at a time, so that memory is bounded."""
    ahead = iter(items)
    batches = iter(lambda: list(islice(ahead, batch)), [])
    # A process starts when there is work for it.
    with _interrupts_held():
        waiting: set[Future[_T]] = {pool.submit(work, each) for each in islice(batches, 2 * jobs)}
    while waiting:
        done = next(as_completed(waiting))
        waiting.discard(done)
        with _interrupts_held():
            waiting |= {pool.submit(work, each) for each in islice(batches, 1)}
        yield done.result()
