"""A demand in CPUs, bits and bytes, by measured costs, on any machines."""

import math
from dataclasses import dataclass

from mp3_slicer.capacity.costs import Costs
from mp3_slicer.capacity.demand import Demand
from mp3_slicer.server.sizes import MIB

MB = 1_000_000
#: Bytes of cache for each key: the role nginx sizes the memory for keys by it.
KEY_BYTES = 32 << 10
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Workload:
    """The totals at the busiest time. A load is in CPUs: seconds of CPU a second."""

    demand: Demand
    costs: Costs

    @property
    def clip_bytes(self) -> float:
        """Bytes of one clip, header included."""
        return self.demand.clip_seconds * self.demand.kilobits * 125 + self.costs.clip_extra

    @property
    def render_bytes(self) -> float:
        """Bytes of one render, header included: an MP3 of the source's bitrate."""
        return self.demand.render_seconds * self.demand.kilobits * 125 + self.costs.clip_extra

    @property
    def hits(self) -> float:
        """Clips a second from the edges' caches."""
        return self.demand.clips_per_second * self.demand.cached_share

    @property
    def misses(self) -> float:
        """Clips a second that slicers cut."""
        return self.demand.clips_per_second - self.hits

    @property
    def is_remote(self) -> bool:
        """Whether the media are in a store."""
        return self.demand.store_milliseconds > 0

    @property
    def clip_cpu(self) -> float:
        """Milliseconds of CPU of Apache and the application, for one clip."""
        store = self.costs.store_cpu if self.is_remote else 0
        return self.costs.clip_cpu + store + self.costs.clip_mb_cpu * self.clip_bytes / MB

    @property
    def clips_load(self) -> float:
        """The load of Apache and the application, for clips."""
        return self.misses * self.clip_cpu / 1000

    @property
    def threads(self) -> float:
        """Threads that clips keep busy at a time, with their CPU time and while they wait for a store (Little's law)."""
        return self.misses * (self.clip_cpu + self.demand.store_milliseconds) / 1000

    @property
    def render_seconds(self) -> float:
        """Seconds of CPU for one render."""
        return self.demand.render_seconds * self.costs.render_cpu / 1000

    @property
    def renders_load(self) -> float:
        """The load of the processes for renders and their children."""
        return self.demand.renders_per_second * self.render_seconds

    @property
    def edges_load(self) -> float:
        """The load of Nginx."""
        fetched = self.misses * (self.costs.fetch_cpu + self.costs.fetch_mb_cpu * self.clip_bytes / MB)
        fetched += self.demand.renders_per_second * (
            self.costs.fetch_cpu + self.costs.fetch_mb_cpu * self.render_bytes / MB
        )
        return (fetched + self.hits * (self.costs.hit_cpu + self.costs.hit_mb_cpu * self.clip_bytes / MB)) / 1000

    @property
    def fetched_bits(self) -> float:
        """Bits a second on the wire from slicers to edges."""
        return 8 * self.costs.wire * (self.misses * self.clip_bytes + self._rendered)

    @property
    def store_bits(self) -> float:
        """Bits a second on the wire from a store to slicers, for clips and renders."""
        read = self.costs.store_read * (self.misses * self.clip_bytes + self._rendered)
        return 8 * self.costs.wire * read if self.is_remote else 0.0

    @property
    def sent_bits(self) -> float:
        """Bits a second on the wire from edges to clients."""
        return 8 * self.costs.wire * (self.demand.clips_per_second * self.clip_bytes + self._rendered)

    @property
    def _rendered(self) -> float:
        return self.demand.renders_per_second * self.render_bytes

    @property
    def in_flight(self) -> float:
        """Answers that are on their way to clients at a time."""
        return self.sent_bits / self.costs.wire / (self.demand.client_megabits * 1e6)

    @property
    def reads(self) -> float:
        """Spans a second that are read from media."""
        return self.misses + self.demand.renders_per_second

    @property
    def media_megabytes(self) -> float:
        """MB a second at which a slicer reads media: from its disk, or from a store over its network."""
        return self.demand.network_gigabits * 125 if self.is_remote else self.demand.disk_megabytes

    @property
    def read_bytes(self) -> float:
        """Bytes that one of them reads from a disk."""
        return self.clip_bytes + self.costs.read_ahead * 1024

    @property
    def cached(self) -> float:
        """Clips in the cache of an edge."""
        return self.kept(self.misses) if self.demand.cached_share else 0.0

    @property
    def cache_bytes(self) -> float:
        """Bytes of that cache on disk, as large as its keys require."""
        return self.cached * max(blocks(self.clip_bytes), KEY_BYTES)

    @property
    def keys_bytes(self) -> float:
        """Bytes of memory for the keys of that cache."""
        return self.cached / self.costs.cache_keys * MIB

    @property
    def files(self) -> int:
        """Files of the library."""
        return max(1, math.ceil(self.demand.hours_of_audio / self.demand.hours_per_file))

    @property
    def file_bytes(self) -> float:
        """Bytes of one file."""
        return self.demand.hours_per_file * 3600 * self.demand.kilobits * 125

    @property
    def library_bytes(self) -> float:
        """Bytes of all files."""
        return self.demand.hours_of_audio * 3600 * self.demand.kilobits * 125

    @property
    def index_bytes(self) -> float:
        """Bytes of one file's index in memory."""
        return self.demand.hours_per_file * self.costs.index_size * 1000

    @property
    def indexes_bytes(self) -> float:
        """Bytes of all indexes on disk."""
        return self.files * blocks(self.index_bytes)

    def index_cpu(self, files: float) -> float:
        """Seconds of CPU for indexing `files` files."""
        return files * (self.file_bytes / (self.costs.index_speed * 1e9) + self.costs.index_file_cpu / 1000)

    @property
    def first_seconds(self) -> float:
        """The time to the first clip of a new file: it is read once, and walked meanwhile. A store is asked three times."""
        return 3 * self.demand.store_milliseconds / 1000 + max(
            self.file_bytes / (self.media_megabytes * MB), self.index_cpu(1)
        )

    def kept(self, per_second: float) -> float:
        """The number of requests within the cache's lifetime, by those of the busiest second."""
        return per_second / self.demand.peak_to_mean * self.demand.cache_hours * 3600


def blocks(size: float) -> float:
    """Bytes on disk of a file of `size` bytes."""
    return math.ceil(size / _BLOCK) * _BLOCK
