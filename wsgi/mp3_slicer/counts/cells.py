"""The numbers of one process: in memory that is a file, so that others can read them and they outlive the process.

The file begins with _HEAD: what it is, the process, and how many bytes are used. Records follow: the length of a key, how many numbers it
has, the key, and the numbers, each aligned so that the processor writes it at once.
"""

import mmap
import struct
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from mp3_slicer.counts.metrics import COUNTED, Metric

#: More than all combinations of labels take.
SIZE = 256 << 10
_HEAD = struct.Struct("=16sQQ")
_MAGIC = b"slicer-counts-1\n"
_RECORD = struct.Struct("=II")
_SEPARATOR = "\x1f"
_BY_NAME = {metric.name: metric for metric in COUNTED}

#: A metric's name and the values of its labels.
Key = tuple[str, ...]
#: The numbers of each key.
Values = dict[Key, list[float]]


class Cells:
    """Counts for all threads of a process. `lock` is held while numbers change; the methods expect that."""

    __slots__ = ("_map", "_offsets", "_used", "lock", "values")

    def __init__(self, memory: mmap.mmap, pid: int) -> None:
        """`memory` has SIZE bytes, all of them 0."""
        self.lock = threading.Lock()
        self._map = memory
        self.values = memoryview(memory).cast("d")
        self._offsets: dict[Key, int] = {}
        self._used = _HEAD.size
        _HEAD.pack_into(memory, 0, _MAGIC, pid, self._used)

    def add(self, metric: Metric, labels: tuple[str, ...], amount: float = 1.0) -> None:
        """Add to a counter or a gauge."""
        self.values[self.offset(metric, labels)] += amount

    def observe(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Count a value in a histogram."""
        offset = self.offset(metric, labels)
        self.values[offset + bisect_left(metric.buckets, value)] += 1
        self.values[offset + metric.size - 1] += value

    def data(self) -> bytes:
        """The file as it is now, for `read`."""
        return bytes(self._map)

    def offset(self, metric: Metric, labels: tuple[str, ...]) -> int:
        """Return the offset of a key's numbers in `values`, for callers that count too often to look it up each time.

        Without room for a new key, this is the offset of the rest of the file, which is never read.
        """
        return self._offsets.get((metric.name, *labels)) or self._new(metric, labels)

    def _new(self, metric: Metric, labels: tuple[str, ...]) -> int:
        text = _SEPARATOR.join((metric.name, *labels)).encode()
        begin = self._used + _RECORD.size
        offset = (begin + len(text) + 7) // 8
        end = 8 * (offset + metric.size)
        if end > SIZE - 8 * _LEFT:
            return SIZE // 8 - _LEFT
        _RECORD.pack_into(self._map, self._used, len(text), metric.size)
        self._map[begin : begin + len(text)] = text
        self._used = end
        # Last: until now no reader sees it.
        _HEAD.pack_into(self._map, 0, *_HEAD.unpack_from(self._map)[:2], end)
        self._offsets[(metric.name, *labels)] = offset
        return offset


#: As many numbers as any metric takes.
_LEFT = max(metric.size for metric in COUNTED)


def read(data: bytes) -> tuple[int, Values]:
    """Return the process of a file's bytes, and its numbers. Raises ValueError if they are no such file.

    Numbers that another version counts differently are left out.
    """
    if len(data) < _HEAD.size:
        raise ValueError("no file of counts")
    magic, pid, used = _HEAD.unpack_from(data)
    if magic != _MAGIC or used > len(data):
        raise ValueError("no file of counts")
    return pid, dict(_records(data, used))


def _records(data: bytes, used: int) -> Iterator[tuple[Key, list[float]]]:
    at = _HEAD.size
    while at + _RECORD.size <= used:
        length, size = _RECORD.unpack_from(data, at)
        begin = at + _RECORD.size
        offset = (begin + length + 7) // 8 * 8
        at = offset + 8 * size
        if at > used:
            return
        key = tuple(data[begin : begin + length].decode("utf-8", "replace").split(_SEPARATOR))
        if fits(key, size):
            yield key, list(struct.unpack_from(f"={size}d", data, offset))


def fits(key: Key, size: int) -> bool:
    """Return whether this version counts this number of values under the key."""
    metric = _BY_NAME.get(key[0]) if key else None
    return metric is not None and size == metric.size and len(key) == 1 + len(metric.labels)


def is_gauge(key: Key) -> bool:
    """Return whether a key's number ends with its process."""
    return _BY_NAME[key[0]].kind == "gauge"


def add_up(total: Values, more: Values) -> None:
    """Add numbers to others, key by key."""
    for key, numbers in more.items():
        found: Sequence[float] | None = total.get(key)
        total[key] = list(numbers) if found is None else [a + b for a, b in zip(found, numbers, strict=True)]
