import pytest

from mp3_slicer.server.sizes import (
    GIB,
    LEAST_CLIPS_MEMORY,
    MIB,
    MOST_CLIPS_MEMORY,
    RESERVED_CLIPS_MEMORY,
    Sizes,
    SizesError,
    compute,
    stuck_seconds,
)


@pytest.mark.parametrize("cpus", [1, 2, 3, 8, 64, 256])
@pytest.mark.parametrize("memory", [256 * MIB, GIB, 64 * GIB])
@pytest.mark.parametrize("backlog", [1, 4, 256])
def test_the_workers_are_a_sum_and_the_memory_suffices(cpus, memory, backlog):
    sizes = compute(cpus, memory, backlog)
    assert sizes.max_request_workers == (
        sizes.clips_processes * sizes.clips_threads
        + sizes.clips_backlog
        + sizes.renders_processes * sizes.renders_threads
        + sizes.renders_backlog
        + sizes.edge_kept_connections
        + sizes.spare_workers
    )
    # One above each backlog, and some to answer health checks and refusals.
    assert sizes.spare_workers >= 2 + 6
    assert 1 <= sizes.renders_processes <= cpus
    assert sizes.renders_processes * sizes.renders_memory_bytes <= memory // 2
    assert sizes.renders_memory_bytes >= 128 * MIB
    assert LEAST_CLIPS_MEMORY <= sizes.clips_memory_bytes <= MOST_CLIPS_MEMORY
    # What a proxy may hold open and Apache has no child for has a place in the kernel's queue, and others still have some.
    waiting = sizes.edge_clips_connections + sizes.edge_renders_connections - sizes.max_request_workers
    assert waiting <= sizes.listen_backlog - 50
    assert sizes.edge_clips_connections >= sizes.clips_workers + 64
    assert sizes.edge_renders_connections == sizes.renders_workers


def test_two_cpus():
    sizes = compute(2, 4 * GIB, 4)
    assert (sizes.clips_processes, sizes.clips_threads, sizes.clips_backlog) == (2, 3, 24)
    assert (sizes.renders_processes, sizes.renders_threads, sizes.renders_backlog) == (2, 1, 4)
    assert sizes.renders_memory_bytes == GIB
    assert sizes.max_request_workers == 6 + 24 + 2 + 4 + 8 + 8
    assert sizes.clips_memory_bytes == GIB
    assert sizes.edge_clips_connections == 6 + 24 + 128
    assert sizes.edge_renders_connections == 2 + 4
    assert sizes.edge_kept_connections == 8


def test_little_memory_means_fewer_renders():
    assert compute(8, GIB).renders_processes == 2
    assert compute(8, 256 * MIB).renders_processes == 1


def test_a_clips_process_has_half_of_the_memory_within_bounds():
    assert compute(2, GIB).clips_memory_bytes == 256 * MIB
    assert compute(8, GIB).clips_memory_bytes == LEAST_CLIPS_MEMORY
    assert compute(2, 64 * GIB).clips_memory_bytes == MOST_CLIPS_MEMORY
    assert compute(2, GIB, clips_memory_bytes=5 * GIB).clips_memory_bytes == 5 * GIB
    assert RESERVED_CLIPS_MEMORY < LEAST_CLIPS_MEMORY


@pytest.mark.parametrize("request_timeout", [1, 30, 3600])
def test_timeouts_are_in_order(request_timeout):
    sizes = compute(4, GIB, request_timeout=request_timeout)
    assert sizes.request_timeout == request_timeout
    assert sizes.connect_timeout < sizes.queue_timeout
    longest = stuck_seconds(sizes.request_timeout, sizes.clips_threads) + sizes.interrupt_timeout
    assert sizes.socket_timeout > longest
    assert sizes.edge_read_timeout > sizes.connect_timeout + sizes.socket_timeout
    assert sizes.eviction_timeout >= sizes.request_timeout


def test_a_stuck_request_as_it_was_measured():
    assert stuck_seconds(30, 1) == 31
    assert stuck_seconds(4, 2) == 8  # 7.03 s were seen


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, GIB, 4), "cpus=0"),
        ((257, GIB, 4), "cpus=257"),
        ((-1, GIB, 4), "cpus=-1"),
        ((2, 256 * MIB - 1, 4), "memory="),
        ((2, GIB, 0), "backlog=0"),
        ((2, GIB, 257), "backlog=257"),
    ],
)
def test_a_value_out_of_range_is_named(arguments, name):
    with pytest.raises(SizesError, match=name):
        compute(*arguments)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("request_timeout", 1, 3600),
        ("max_requests", 0, 10**9),
        ("clips_memory_bytes", LEAST_CLIPS_MEMORY, None),
    ],
)
def test_both_ends_of_what_is_given_besides(name, low, high):
    shown = name.removesuffix("_bytes").replace("_", "-")
    for value in (low, high):
        if value is not None:
            assert getattr(compute(2, GIB, **{name: value}), name) == value
    for value in (low - 1, None if high is None else high + 1):
        if value is not None:
            with pytest.raises(SizesError, match=f"{shown}={value}"):
                compute(2, GIB, **{name: value})


def test_rows_and_defines_show_the_values():
    sizes = compute(3, 8 * GIB, 7)
    rows = {name: value for name, value, why in sizes.rows() if why}
    assert len(rows) == len(sizes.rows())
    assert rows["clips"] == "3 × 3"
    assert rows["renders queue"] == "7"
    assert rows["Apache workers"] == str(sizes.max_request_workers)
    assert sizes.defines()["SLICER_RENDERS_BACKLOG"] == "7"
    assert all(value.isdigit() for value in sizes.defines().values())


def test_sizes_cannot_be_changed():
    sizes = compute(1, GIB)
    assert isinstance(sizes, Sizes)
    with pytest.raises(AttributeError):
        sizes.cpus = 2  # type: ignore[misc]
