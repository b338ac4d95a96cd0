"""A plan as text, and as JSON values."""

import math
from dataclasses import asdict

from mp3_slicer.capacity.costs import Costs
from mp3_slicer.capacity.plan import WAIT_SHARE, Plan
from mp3_slicer.capacity.workload import MB
from mp3_slicer.server.sizes import MIB

_Row = tuple[str, str, str]


def text(plan: Plan, *, brief: bool = False) -> str:
    """Return the plan as tables: machines, utilisation, settings, and, unless `brief`, the assumed costs."""
    parts = [_table([*_machines(plan), *_each(plan), *_disks(plan), *_queues(plan)])]
    parts.append(_section("How full, at the busiest time", _table(_full(plan))))
    parts.append(_section("What to set", "\n".join(_set(plan))))
    if plan.warnings:
        parts.append(_section("Not as it should be", "\n".join(plan.warnings)))
    if not brief:
        parts.append(_section("What was assumed", _table(_assumed(plan))))
    return "\n\n".join(parts)


def values(plan: Plan) -> dict[str, object]:
    """Return the plan as JSON values: bytes, seconds, bits a second, CPUs, and shares of 1."""
    work, fleet = plan.work, plan.fleet
    return {
        "asked": asdict(plan.demand),
        "slicers": plan.slicers,
        "edges": plan.edges,
        "slicer": {
            "cpus": plan.sizes.cpus,
            "memory": plan.demand.machine_memory,
            "memory_at_work": math.ceil(plan.memory),
            "page_cache": max(0, int(fleet.page_cache)),
            "index_disk": math.ceil(work.indexes_bytes),
            "results_disk": math.ceil(plan.results_bytes),
            "reads_per_second": plan.reads,
            "sizes": asdict(plan.sizes),
        },
        "edge": {
            "cpus": fleet.edge_cpus,
            "cache_disk": math.ceil(work.cache_bytes),
            "keys_memory": math.ceil(work.keys_bytes),
            "in_flight": work.in_flight,
        },
        "library": {"bytes": work.library_bytes, "files": work.files, "in_memory": plan.in_memory},
        "load": {"clips": work.clips_load, "renders": work.renders_load, "edges": work.edges_load},
        "network": {"to_clients": work.sent_bits, "to_edges": work.fetched_bits, "from_store": work.store_bits},
        "threads": work.threads,
        "full": fleet.full,
        "bound": fleet.bound,
        "most_clips_per_second": plan.most,
        # JSON knows no infinity: there are too few CPUs, and the wait has no end.
        "wait": plan.wait if math.isfinite(plan.wait) else None,
        "renders_refused": plan.refused,
        "first_index": {"library": plan.index_seconds, "file": work.first_seconds},
        "set": {
            "options": _options(plan),
            "settings": plan.settings,
            "site": _site(plan),
            "nginx_max_clients": _clients(plan),
        },
        "warnings": plan.warnings,
        "assumed": [
            {"name": name, "value": value, "unit": unit, "what": what, "source": source}
            for name, value, unit, what, source in plan.work.costs.rows()
        ],
    }


def _machines(plan: Plan) -> list[_Row]:
    work, fleet, demand = plan.work, plan.fleet, plan.demand
    spare = f", {demand.spare} of them spare" if demand.spare else ""
    if not fleet.edges:
        return [("machines", "1", f"slicer and edge on one, of {_cpus(plan.sizes.cpus)}")]
    return [
        ("slicers", str(plan.slicers), f"{_cpus(plan.sizes.cpus)} each{spare}"),
        ("edges", str(plan.edges), f"{_cpus(fleet.edge_cpus)} each{spare}; each has a cache of its own"),
        ("from slicers to edges", f"{_bits(work.fetched_bits)}", "all together"),
    ]


def _each(plan: Plan) -> list[_Row]:
    work, sizes, demand = plan.work, plan.sizes, plan.demand
    clips = f"{_number(demand.clips_per_second)} clips/s of {_size(work.clip_bytes)}"
    cut = f"{_number(work.misses)} clips/s are cut; {_number(work.hits)} are in the cache"
    made = f"{_number(demand.renders_per_second)} renders/s, {_number(work.render_seconds)} s each"
    rows = [
        ("to clients", _bits(work.sent_bits), clips),
        ("load of clips", f"{_number(work.clips_load)} CPUs", cut),
        ("load of renders", f"{_number(work.renders_load)} CPUs", made),
        ("load of edges", f"{_number(work.edges_load)} CPUs", "Nginx, all together"),
        ("clips", f"{sizes.clips_processes} × {sizes.clips_threads}", "processes × threads, of each slicer"),
        ("renders", f"{sizes.renders_processes} × {sizes.renders_threads}", "the same"),
        ("Apache workers", str(sizes.max_request_workers), "of each slicer"),
        ("memory", _size(sizes.memory_bytes, 1024), f"for Slicer on each; {_size(plan.memory, 1024)} with all at work"),
        ("page cache", _size(max(0, plan.fleet.page_cache), 1024), f"left of {_size(demand.machine_memory, 1024)}"),
    ]
    return [row for row in rows if demand.renders_per_second or row[0] != "load of renders"]


def _disks(plan: Plan) -> list[_Row]:
    work, demand = plan.work, plan.demand
    share = f"{plan.in_memory:.0%} of it in the slicers' memory"
    if work.is_remote:
        share = "all in the store"
    rows = [
        ("library", _size(work.library_bytes), f"{_number(work.files)} files; {share}"),
        ("reads", f"{_number(plan.reads)} /s", _reads(plan)),
        ("indexes", _size(work.indexes_bytes), "on the disk of each slicer"),
        ("first index", _time(plan.index_seconds), "of the whole library, on each slicer"),
        ("first clip of a file", _time(work.first_seconds), "its index made meanwhile"),
    ]
    if demand.cached_share:
        keys = f"{_size(work.keys_bytes, 1024)} of memory for their keys"
        rows.append(
            ("cache", _size(work.cache_bytes), f"on the disk of each edge: {_number(work.cached)} clips; {keys}")
        )
    if demand.renders_per_second:
        rows.append(
            ("results", _size(plan.results_bytes), f"on the disk of each slicer: {_number(plan.results)} renders")
        )
    return rows


def _reads(plan: Plan) -> str:
    if plan.work.is_remote:
        return f"requests of each slicer to the store; {_bits(plan.work.store_bits)} from it to all of them"
    return "of each slicer's disk, if requests spread over the library"


def _queues(plan: Plan) -> list[_Row]:
    wait = _time(plan.wait) if math.isfinite(plan.wait) else "no end"
    rows = [
        ("wait for a CPU", wait, f"{WAIT_SHARE:.0%} of the clips wait no longer"),
        ("in flight", _number(plan.work.in_flight), "answers on their way to clients"),
    ]
    if plan.work.is_remote:
        seconds, threads = plan.demand.store_milliseconds / 1000, plan.work.threads
        rows.insert(
            1, ("wait for the store", _time(seconds), f"of each clip; {_number(threads)} threads are busy or wait")
        )
    if plan.demand.renders_per_second:
        rows.append(("renders refused", f"{plan.refused:.1%}", f"with {plan.sizes.renders_backlog} that may wait"))
    return rows


def _full(plan: Plan) -> list[_Row]:
    bound = plan.fleet.bound
    rows = [
        (name, f"{share:.0%}", f"the first to be full, at {_number(plan.most)} clips/s" if name == bound else "")
        for name, share in plan.fleet.full.items()
    ]
    if plan.slicers > 1:
        away = plan.fleet.full["CPUs of slicers"] * plan.fleet.slicers / (plan.slicers - 1)
        rows.append(("the same, one slicer away", f"{away:.0%}", "of the CPUs of the others"))
    return rows


def _options(plan: Plan) -> dict[str, str]:
    sizes = plan.sizes
    found = {
        "--cpus": str(sizes.cpus),
        "--memory": f"{sizes.memory_bytes // MIB}M",
        "--backlog": str(sizes.renders_backlog),
    }
    if plan.work.is_remote:
        found["--store-milliseconds"] = f"{plan.demand.store_milliseconds}"
    return found


def _site(plan: Plan) -> dict[str, object]:
    """Keys of a site in slicer_instances."""
    site: dict[str, object] = {
        "cpus": plan.sizes.cpus,
        "memory_mib": plan.sizes.memory_bytes // MIB,
        "backlog": plan.sizes.renders_backlog,
    }
    if plan.work.is_remote:
        site["store_milliseconds"] = plan.demand.store_milliseconds
    return site | ({"cache_mib": math.ceil(plan.work.cache_bytes / MIB)} if plan.demand.cached_share else {})


def _clients(plan: Plan) -> int:
    """Connections that each edge needs: twice its responses in flight, rounded up to a multiple of 1024."""
    return 1024 * math.ceil((2 * plan.work.in_flight / max(1, plan.fleet.edges) + 1) / 1024)


def _set(plan: Plan) -> list[str]:
    words = " ".join(f"{name} {value}" for name, value in _options(plan).items())
    site = ", ".join(f"{name}: {value}" for name, value in _site(plan).items())
    return [
        f"slicer serve {'STORE' if plan.work.is_remote else 'FOLDER'} {words}",
        *(f"{name}={value}" for name, value in plan.settings.items()),
        f"Ansible: {plan.slicers} in group slicers, {plan.edges or 1} in group edge",
        f"slicer_instances: {site}",
        f"nginx_max_clients: {_clients(plan)} or more",
    ]


def _assumed(plan: Plan) -> list[_Row]:
    costs: Costs = plan.work.costs
    return [
        (name, f"{_number(value)} {unit}", f"{what} ({source})") for name, value, unit, what, source in costs.rows()
    ]


def _section(title: str, body: str) -> str:
    return f"{title}:\n{body}"


def _table(rows: list[_Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {why}".rstrip() for name, value, why in rows)


def _cpus(number: int) -> str:
    return "1 CPU" if number == 1 else f"{number} CPUs"


def _number(value: float) -> str:
    """A number with three significant digits, or all before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _size(value: float, base: int = 1000) -> str:
    units = ("KB", "MB", "GB", "TB", "PB") if base == 1000 else ("KiB", "MiB", "GiB", "TiB", "PiB")
    value /= base
    for unit in units[:-1]:
        if value < base:
            return f"{_number(value)} {unit}"
        value /= base
    return f"{_number(value)} {units[-1]}"


def _bits(value: float) -> str:
    return f"{_number(value / 1e9)} Gbit/s" if value >= 1e9 else f"{_number(value / MB)} Mbit/s"


def _time(seconds: float) -> str:
    for limit, unit, size in ((1, "ms", 0.001), (120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{_number(seconds / size)} {unit}"
    return f"{_number(seconds / 86_400)} days"
