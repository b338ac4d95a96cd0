"""`slicer plan`: the machines for a demand, by measured costs and by the sizes of `slicer serve`. It examines no machine."""

import math
from dataclasses import dataclass, replace

from mp3_slicer.capacity import erlang
from mp3_slicer.capacity.costs import Costs
from mp3_slicer.capacity.demand import Demand
from mp3_slicer.capacity.fleet import Fleet, fleet_for, in_memory, memory_at_work
from mp3_slicer.capacity.workload import MB, Workload, blocks
from mp3_slicer.server.sizes import DEFAULT_BACKLOG, MIB, MOST_BACKLOG, Sizes
from mp3_slicer.settings import PREFIX, Settings

#: Share of renders that may find the queue full.
REFUSED_SHARE = 0.01
#: Share of requests that wait at most as long as the plan says.
WAIT_SHARE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The machines for a demand."""

    work: Workload
    fleet: Fleet
    sizes: Sizes  #: of each slicer, with a queue as long as it has to be
    wait: float  #: seconds that 95 of 100 clips wait at most for a CPU; infinite where there are too few
    refused: float  #: share of renders that find no place in the queue
    results: float  #: renders that are kept

    @property
    def demand(self) -> Demand:
        """The demand."""
        return self.work.demand

    @property
    def slicers(self) -> int:
        """Slicers, including spare ones."""
        return self.fleet.slicers + self.demand.spare

    @property
    def edges(self) -> int:
        """Edges, including spare ones; 0 if the one slicer is the edge too."""
        return self.fleet.edges + self.demand.spare if self.fleet.edges else 0

    @property
    def most(self) -> float:
        """Clips a second at which the first resource is full, if renders grow alike."""
        return self.demand.clips_per_second / self.fleet.full[self.fleet.bound]

    @property
    def memory(self) -> float:
        """Bytes that a slicer's processes have when all are busy."""
        return memory_at_work(self.work, self.sizes, self.fleet.index_memory)

    @property
    def in_memory(self) -> float:
        """The share of the library that is in slicers' memory."""
        return in_memory(self.work, self.fleet.slicers, self.fleet.page_cache)

    @property
    def reads(self) -> float:
        """Spans a second that each slicer reads from its disk, if requests spread over the library."""
        return self.work.reads * (1 - self.in_memory) / self.fleet.slicers

    @property
    def index_seconds(self) -> float:
        """The time in which a slicer indexes the library, bound by its CPUs or its disk."""
        read = self.work.library_bytes / (self.work.media_megabytes * MB)
        return max(read, self.work.index_cpu(self.work.files) / self.sizes.cpus)

    @property
    def results_bytes(self) -> float:
        """Of each slicer's renders, on its disk."""
        return self.results * blocks(self.work.render_bytes)

    @property
    def settings(self) -> dict[str, str]:
        """Variables whose defaults do not fit."""
        now = Settings()
        wanted = {
            "index_memory_bytes": self.fleet.index_memory,
            "results_bytes": math.ceil(self.results_bytes),
            "max_clip_seconds": math.ceil(self.demand.clip_seconds),
            "max_source_bytes": math.ceil(self.work.file_bytes),
            "max_render_seconds": math.ceil(self.demand.render_seconds) if self.demand.renders_per_second else 0,
        }
        return {PREFIX + name.upper(): str(value) for name, value in wanted.items() if value > getattr(now, name)}

    @property
    def warnings(self) -> list[str]:
        """Problems of the plan."""
        now, demand = Settings(), self.demand
        found = [
            f"{name}: {share:.0%} in use, more than --utilisation {demand.utilisation:g}"
            for name, share in self.fleet.full.items()
            if share > demand.utilisation + 1e-9
        ]
        if self.refused > REFUSED_SHARE:
            found.append(f"renders: {self.refused:.0%} are refused, however many may wait")
        if demand.renders_per_second and self.work.render_seconds > float(
            min(now.render_seconds, self.sizes.work_seconds)
        ):
            found.append(
                f"a render takes {self.work.render_seconds:.0f} s of CPU, too long for a request: make it a job"
            )
        if self.work.first_seconds > float(now.index_seconds):
            found.append(
                f"the first index of a file takes {self.work.first_seconds:.0f} s, longer than a request waits for it: "
                "run slicer index before"
            )
        if self.fleet.page_cache <= 0:
            found.append(
                f"--machine-memory: Slicer takes {self.sizes.memory_bytes // MIB} MiB of "
                f"{demand.machine_memory // MIB}, which leaves nothing for pages of media"
            )
        return found


def plan(demand: Demand, costs: Costs, *, open_files: int, most_results: int) -> Plan:
    """Return the plan. `open_files` is the number of files that a process keeps open, `most_results` that of stored renders.

    Raises FleetError if no number of machines suffices.
    """
    work = Workload(demand, costs)
    fleet = fleet_for(work, open_files=open_files)
    # Renders run at a lower priority, so clips do not wait for them; Nginx on the same machine has the priority of clips.
    load = work.clips_load / fleet.slicers + (0 if fleet.edges else work.edges_load)
    requests = work.misses / fleet.slicers if fleet.edges else demand.clips_per_second
    cpus = fleet.sizes.cpus
    wait = erlang.wait(load, cpus, load / requests, WAIT_SHARE) if load < cpus else math.inf
    sizes, refused = _with_queue(work, fleet, load)
    return Plan(
        work=work,
        fleet=fleet,
        sizes=sizes,
        wait=wait,
        refused=refused,
        results=min(work.kept(demand.renders_per_second), most_results),
    )


def _with_queue(work: Workload, fleet: Fleet, ahead: float) -> tuple[Sizes, float]:
    """Return the sizes with the shortest queue that refuses few renders and makes none wait too long, and the share of refusals.

    Renders get the CPU time that clips leave.
    """
    sizes = fleet.sizes
    if not work.demand.renders_per_second:
        return sizes, 0.0
    left = 1 - ahead / sizes.cpus
    if left <= 0:
        return sizes, 1.0
    seconds = work.render_seconds / left
    load = work.demand.renders_per_second / fleet.slicers * seconds
    servers = sizes.renders_processes
    longest = int(min(MOST_BACKLOG, sizes.queue_timeout * servers / seconds))
    for places in range(DEFAULT_BACKLOG, max(DEFAULT_BACKLOG, longest) + 1):
        refused = erlang.refused(load, servers, places)
        if refused <= REFUSED_SHARE:
            break
    return replace(sizes, backlog=places, renders_backlog=places), refused
