"""Sizes where clips wait for a store: more threads, within the least memory that a process may have."""

from mp3_slicer.server.sizes import GIB, LEAST_CLIPS_MEMORY, MIB, RESERVED_CLIPS_MEMORY, compute

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
