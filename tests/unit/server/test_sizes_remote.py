"""Sizes where clips wait for a store: more threads, within the least memory that a process may have."""

import pytest

from mp3_slicer.server import preflight
from mp3_slicer.server.sizes import (
    GIB,
    LEAST_CLIPS_MEMORY,
    MIB,
    MOST_STORE_MILLISECONDS,
    MOST_STORE_THREADS,
    RESERVED_CLIPS_MEMORY,
    SizesError,
    compute,
)

#: Bytes of memory that one more thread sets aside: its stack.
STACK = 8 * MIB


def test_more_threads_wait_for_a_store() -> None:
    local, remote = compute(2, 4 * GIB), compute(2, 4 * GIB, is_remote=True)
    assert (local.clips_threads, remote.clips_threads) == (3, 8)
    assert remote.clips_backlog > local.clips_backlog
    assert remote.max_request_workers > local.max_request_workers
    assert remote.socket_timeout > local.socket_timeout
    # What a process sets aside at rest, and a clip for each thread, leave room for an index.
    assert 67 * MIB + 5 * STACK + 8 * MIB < RESERVED_CLIPS_MEMORY < LEAST_CLIPS_MEMORY


@pytest.mark.parametrize(
    ("milliseconds", "threads"), [(0, 8), (1, 8), (7, 8), (8, 9), (40, 41), (63, 64), (64, 64), (5000, 64)]
)
def test_a_thread_for_each_millisecond_of_a_store(milliseconds: int, threads: int) -> None:
    sizes = compute(2, 4 * GIB, is_remote=True, store_milliseconds=milliseconds)
    assert sizes.clips_threads == threads
    # A folder has no latency.
    assert compute(2, 4 * GIB, store_milliseconds=milliseconds) == compute(2, 4 * GIB)


@pytest.mark.parametrize("mib", [192, 200, 201, 210, 400, 695, 696, 697, 1024, 4096])
def test_threads_leave_memory_to_indexes(mib: int) -> None:
    sizes = compute(1, 8 * GIB, clips_memory_bytes=mib * MIB, is_remote=True, store_milliseconds=5000)
    assert sizes.clips_memory_bytes - sizes.clips_reserved_bytes >= LEAST_CLIPS_MEMORY - RESERVED_CLIPS_MEMORY
    # One more would not fit.
    assert sizes.clips_threads == MOST_STORE_THREADS or mib * MIB - sizes.clips_reserved_bytes < 73 * MIB
    # A stack and a piece for each, beside what the process takes with eight.
    assert sizes.clips_reserved_bytes == RESERVED_CLIPS_MEMORY + (sizes.clips_threads - 8) * (STACK + MIB)
    preflight.indexes_fit(64 * MIB, sizes.clips_memory_bytes, sizes.clips_reserved_bytes)
    with pytest.raises(preflight.PreflightError, match="--clips-memory"):
        preflight.indexes_fit(sizes.clips_memory_bytes, sizes.clips_memory_bytes, sizes.clips_reserved_bytes)


@pytest.mark.parametrize("milliseconds", [-1, MOST_STORE_MILLISECONDS + 1])
def test_a_latency_out_of_range_is_named(milliseconds: int) -> None:
    with pytest.raises(SizesError, match=f"store-milliseconds={milliseconds}"):
        compute(2, GIB, is_remote=True, store_milliseconds=milliseconds)
