"""The demand that `slicer plan` works out: the load, the audio, and the machines."""

from dataclasses import dataclass, field, fields
from typing import Any

from mp3_slicer.capacity.errors import DemandError
from mp3_slicer.server.sizes import GIB, LEAST_MEMORY, MOST_CPUS, MOST_STORE_MILLISECONDS


def _option(default: Any, doc: str, low: float, high: float) -> Any:
    """An option with its sentence and its range, both ends allowed."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


MOST_MACHINES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Each field is an option. Rates are those of the busiest time. None: `slicer plan` works it out."""

    clips_per_second: float = _option(None, "clips requested per second", 0.001, 10_000_000)
    clip_seconds: float = _option(10, "seconds of audio in a clip", 0.1, 360_000)
    kilobits: float = _option(128, "kbit/s of the audio", 8, 320)
    hours_of_audio: float = _option(1000, "hours of audio in the library", 0.001, 100_000_000)
    hours_per_file: float = _option(1, "hours of audio in a file", 0.001, 1000)
    cached_share: float = _option(0, "share of the clips that the edge serves from its cache", 0, 0.9999)
    renders_per_second: float = _option(0, "renders made per second; cached and stored ones do not count", 0, 1_000_000)
    render_seconds: float = _option(10, "seconds of audio in a render", 0.1, 36_000)
    machines: int | None = _option(None, "slicers, including spare ones", 1, MOST_MACHINES)
    machine_cpus: int = _option(8, "CPUs of a machine, unless --machines sets the number of slicers", 1, MOST_CPUS)
    machine_memory: int = _option(16 * GIB, "memory of a machine, like 16G", LEAST_MEMORY, 1 << 50)
    network_gigabits: float = _option(1, "Gbit/s of a machine's network, in each direction", 0.001, 10_000)
    disk_megabytes: float = _option(
        500, "MB/s that a machine reads from the disk of its media or its cache", 0.1, 1_000_000
    )
    store_milliseconds: int = _option(
        0, "milliseconds that a store takes to answer; 0: the media are in a folder", 0, MOST_STORE_MILLISECONDS
    )
    client_megabits: float = _option(10, "Mbit/s at which a client takes its clip", 0.001, 1_000_000)
    utilisation: float = _option(0.6, "share of a machine that may be in use; the rest is headroom", 0.05, 0.95)
    spare: int = _option(0, "machines of each kind that may fail while the others suffice", 0, 100)
    peak_to_mean: float = _option(3, "ratio of the busiest time to the daily mean", 1, 1000)
    cache_hours: float = _option(24, "hours for which requested clips and renders are kept", 0.01, 8760)

    def __post_init__(self) -> None:
        """Raise DemandError, naming the option and its value, where one is out of its range."""
        for item in fields(self):
            value, low, high = getattr(self, item.name), item.metadata["low"], item.metadata["high"]
            if value is None and item.name == "machines":
                continue
            if value is None or not low <= value <= high:
                raise DemandError(f"--{item.name.replace('_', '-')} {value} is not from {low:.15g} to {high:.15g}")
        if self.machines is not None and self.machines <= self.spare:
            raise DemandError(f"--machines {self.machines} with --spare {self.spare} leaves no machine to serve")
