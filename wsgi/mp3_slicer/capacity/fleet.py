"""The machines for a workload, and the utilisation of each resource."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from mp3_slicer.capacity.demand import MOST_MACHINES
from mp3_slicer.capacity.errors import FleetError
from mp3_slicer.capacity.workload import MB, Workload
from mp3_slicer.server.sizes import (
    GIB,
    LEAST_MEMORY,
    MIB,
    MOST_CLIPS_MEMORY,
    MOST_CPUS,
    RESERVED_CLIPS_MEMORY,
    Sizes,
    compute,
)
from mp3_slicer.settings import Settings

#: Memory of a machine that Slicer does not get: for the system and Nginx.
SYSTEM_MEMORY = GIB // 2

_MEMORY_STEP = 256 * MIB
_MOST_MEMORY_STEPS = 4096
# A rounding error of floats must not add a machine.
_HAIR = 1e-9

Full = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The machines, without spare ones."""

    slicers: int
    edges: int  #: 0 where the one slicer is the edge too
    sizes: Sizes  #: of each slicer
    edge_cpus: int  #: of each edge; 0 where there is none
    full: Full  #: the share of each resource that is in use; 1 is all of it, and more is too much
    index_memory: int  #: bytes of indexes for which each clips process has room
    page_cache: float  #: bytes of a slicer's memory that are left for pages of media; negative where nothing is

    @property
    def bound(self) -> str:
        """The resource that is the first to be full."""
        return max(self.full, key=lambda name: self.full[name])


def fleet_for(work: Workload, *, open_files: int) -> Fleet:
    """Return the machines for a workload, whose processes keep `open_files` files open. Raises FleetError."""
    demand = work.demand
    if demand.spare == 0 and demand.machines in (None, 1):
        together = _slicer_cpus(work, work.clips_load + work.renders_load + work.edges_load, 1)
        if together <= (demand.machine_cpus if demand.machines is None else MOST_CPUS):
            fleet = _fleet(work, 1, 0, together, open_files)
            if demand.machines == 1 or all(share <= demand.utilisation for share in fleet.full.values()):
                return fleet
    edges = max(
        _up(work.edges_load / demand.utilisation / demand.machine_cpus),
        _up(work.sent_bits / demand.network_gigabits / 1e9 / demand.utilisation),
        _up(_edge_disk(work, _edge_pages(work)) / demand.disk_megabytes / demand.utilisation),
    )
    if edges > MOST_MACHINES:
        raise FleetError(f"it would take more than {MOST_MACHINES} edges")
    load = work.clips_load + work.renders_load
    if demand.machines is not None:
        slicers = demand.machines - demand.spare
        return _fleet(work, slicers, edges, min(_slicer_cpus(work, load, slicers), MOST_CPUS), open_files)
    least = max(1, _up(load / demand.utilisation / demand.machine_cpus))

    def suffice(slicers: int) -> bool:
        return all(share <= demand.utilisation + _HAIR for share in tried(slicers).full.values())

    def tried(slicers: int) -> Fleet:
        return _fleet(work, slicers, edges, min(_slicer_cpus(work, load, slicers), demand.machine_cpus), open_files)

    return tried(_first(suffice, least))


def _first(suffice: Callable[[int], bool], least: int) -> int:
    """The smallest number from `least` on that suffices: with more machines each has less to do, so halving finds it."""
    if least > MOST_MACHINES or not suffice(MOST_MACHINES):
        raise FleetError(f"it would take more than {MOST_MACHINES} slicers")
    low, high = least, MOST_MACHINES
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffice(middle) else (middle + 1, high)
    return low


def _fleet(work: Workload, slicers: int, edges: int, cpus: int, open_files: int) -> Fleet:
    demand = work.demand
    index_memory = min(
        max(Settings().index_memory_bytes, math.ceil(min(open_files, work.files) * work.index_bytes)),
        MOST_CLIPS_MEMORY - RESERVED_CLIPS_MEMORY,
    )
    sizes = _sizes(work, cpus, index_memory, work.threads / slicers / cpus / demand.utilisation)
    page_cache = demand.machine_memory - sizes.memory_bytes - SYSTEM_MEMORY
    network = demand.network_gigabits * 1e9
    load, bits = work.clips_load + work.renders_load, work.fetched_bits
    if not edges:
        load, bits = load + work.edges_load, work.sent_bits
    disk = work.reads * (1 - in_memory(work, slicers, page_cache)) / slicers * work.read_bytes / MB
    if work.is_remote:
        # A network carries as much in each direction.
        disk, bits = 0.0, max(bits, work.store_bits)
    if not edges:
        # The cache is on the same disk, and media have the memory first.
        disk += _edge_disk(work, page_cache - work.library_bytes - work.keys_bytes)
    full = {
        "CPUs of slicers": load / slicers / cpus,
        "network of slicers": bits / slicers / network,
        "disks of slicers": disk / demand.disk_megabytes,
    }
    if work.is_remote:
        full["threads of slicers"] = work.threads / slicers / (sizes.clips_processes * sizes.clips_threads)
    edge_cpus = min(_cpus(work, work.edges_load / edges), demand.machine_cpus) if edges else 0
    if edges:
        full["CPUs of edges"] = work.edges_load / edges / edge_cpus
        full["network of edges"] = work.sent_bits / edges / network
        full["disks of edges"] = _edge_disk(work, _edge_pages(work)) / edges / demand.disk_megabytes
    return Fleet(
        slicers=slicers,
        edges=edges,
        sizes=sizes,
        edge_cpus=edge_cpus,
        full=full,
        index_memory=index_memory,
        page_cache=page_cache,
    )


def _edge_pages(work: Workload) -> float:
    """Bytes of an edge's memory for pages of its cache."""
    return work.demand.machine_memory - SYSTEM_MEMORY - work.keys_bytes


def _edge_disk(work: Workload, pages: float) -> float:
    """MB a second of all edges' caches: each fetched response is written, and read later unless it is still in memory."""
    share = min(1.0, max(0.0, pages) / work.cache_bytes) if work.cache_bytes else 0.0
    return (work.misses * work.clip_bytes + work.hits * (1 - share) * work.read_bytes) / MB


def in_memory(work: Workload, slicers: int, page_cache: float) -> float:
    """The share of the library, 0 to 1, that all slicers' page caches hold together: edges give each clip to one of them."""
    return 0.0 if work.is_remote else min(1.0, slicers * max(0.0, page_cache) / work.library_bytes)


def memory_at_work(work: Workload, sizes: Sizes, index_memory: int) -> float:
    """Bytes that a slicer's processes have when all of them are busy."""
    costs = work.costs
    rest = sizes.clips_processes * costs.clips_memory + sizes.renders_processes * costs.renders_memory
    rest += sizes.max_request_workers * costs.apache_memory
    busy = sizes.clips_processes * index_memory + sizes.renders_processes * Settings().render_memory_bytes
    return rest * MIB + busy


def _sizes(work: Workload, cpus: int, index_memory: int, threads: float) -> Sizes:
    """The sizes of `slicer serve` with the least memory that holds the indexes and a render for each CPU.

    With media in a store, it also holds the `threads` that each clips process needs, as far as a process may have them.
    """
    threads = min(threads, _most_threads(work)) if work.is_remote else 0
    for step in range(LEAST_MEMORY // _MEMORY_STEP, _MOST_MEMORY_STEPS):
        sizes = _computed(work, cpus, step * _MEMORY_STEP)
        fits = index_memory <= sizes.clips_memory_bytes - sizes.clips_reserved_bytes and sizes.clips_threads >= threads
        renders = sizes.renders_processes == cpus or not work.demand.renders_per_second
        if fits and renders and memory_at_work(work, sizes, index_memory) <= sizes.memory_bytes:
            return sizes
    raise FleetError(f"{cpus} CPUs would need more than {_MOST_MEMORY_STEPS * _MEMORY_STEP // GIB} GiB of memory")


def _computed(work: Workload, cpus: int, memory: int) -> Sizes:
    return compute(cpus, memory, is_remote=work.is_remote, store_milliseconds=work.demand.store_milliseconds)


def _most_threads(work: Workload) -> int:
    """The threads of a clips process that has as much memory as it may have."""
    return _computed(work, 1, 2 * MOST_CLIPS_MEMORY).clips_threads


def _slicer_cpus(work: Workload, load: float, slicers: int) -> int:
    """CPUs of each slicer, with headroom: for the load of all, and for processes with enough threads that wait for a store."""
    threads = work.threads / slicers / work.demand.utilisation if work.is_remote else 0
    return max(_cpus(work, load / slicers), _up(threads / _most_threads(work)))


def _cpus(work: Workload, load: float) -> int:
    """CPUs for a load, with headroom."""
    return max(1, _up(load / work.demand.utilisation))


def _up(value: float) -> int:
    return math.ceil(value - _HAIR)
