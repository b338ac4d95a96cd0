"""The measured costs that `slicer plan` calculates with.

Each comes from a benchmark, whose row in `build/bench` gives its value on another machine.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mp3_slicer.capacity.errors import CostsError

#: Bytes of a file of measures that are read.
_MOST_BYTES = 1 << 20


def _cost(
    value: float, unit: str, doc: str, row: str = "", *, source: str = "make bench-growth", divisor: float = 1
) -> Any:
    """A cost with its unit, its sentence, and its source: a benchmark, one of whose rows is divided by `divisor`, or plain words."""
    return field(default=value, metadata={"unit": unit, "doc": doc, "command": source, "row": row, "divisor": divisor})


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Milliseconds are of one CPU; a MB is a million bytes."""

    clip_cpu: float = _cost(
        0.5,
        "ms",
        "Apache and the application, for a clip beside its bytes",
        "a clip beside its bytes: CPU of the server",
    )
    clip_mb_cpu: float = _cost(1.3, "ms", "the same, for each MB of clips", "each MB of clips: CPU of the server")
    clip_extra: float = _cost(
        2130, "bytes", "a clip beside its audio, header included", "a clip of 10 s beside its audio, with its header"
    )
    store_cpu: float = _cost(
        0.84,
        "ms",
        "a request to a store, for a clip of media there",
        "a clip of a store beside one of a folder: CPU",
        source="make bench-objects",
    )
    store_read: float = _cost(
        1.04,
        "×",
        "bytes read from a store for each byte of a clip",
        "bytes read ÷ bytes sent",
        source="make bench-objects",
    )
    hit_cpu: float = _cost(
        0.021, "ms", "Nginx, for a cached clip beside its bytes", "a cached clip beside its bytes: CPU of Nginx"
    )
    hit_mb_cpu: float = _cost(0.21, "ms", "the same, for each MB", "each MB of cached clips: CPU of Nginx")
    fetch_cpu: float = _cost(
        0.29, "ms", "Nginx, for a fetched clip beside its bytes", "a fetched clip beside its bytes: CPU of Nginx"
    )
    fetch_mb_cpu: float = _cost(1, "ms", "the same, for each MB", "each MB of fetched clips: CPU of Nginx")
    render_cpu: float = _cost(
        12.5,
        "ms",
        "a render as mp3, for each second of audio",
        "10 s of 1 h, faded, mp3 of 128 kbit/s: CPU",
        source="make bench-render",
        divisor=10,
    )
    index_speed: float = _cost(
        5.1, "GB/s", "walking files in memory, by one CPU", "index of 1 h, 128 kbit/s", source="make bench-engine"
    )
    index_file_cpu: float = _cost(
        0.87, "ms", "a file that is indexed, beside its audio", "a short file that is indexed: CPU"
    )
    index_size: float = _cost(69.5, "KB", "the index of an hour", "the index of an hour")
    clips_memory: float = _cost(
        32, "MiB", "a clips process, without its indexes", "memory of a clips process after that"
    )
    renders_memory: float = _cost(23, "MiB", "a renders process at rest", "memory of a renders process at rest")
    apache_memory: float = _cost(0.46, "MiB", "each of Apache's processes", "memory of an Apache process")
    read_ahead: float = _cost(
        128, "KiB", "read by Linux beyond what a request needs", source="/sys/block/*/queue/read_ahead_kb"
    )
    wire: float = _cost(
        1.06,
        "×",
        "bytes on the wire for each byte of an answer",
        source="1538 bytes of an Ethernet frame for 1448 of data",
    )
    cache_keys: float = _cost(
        8000,
        "/MiB",
        "keys of Nginx's cache in each MiB of its memory",
        source="Nginx's documentation of proxy_cache_path",
    )

    def __post_init__(self) -> None:
        """Raise CostsError, naming the cost, unless each is from 0.000001 to 1,000,000."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not 1e-6 <= value <= 1e6:
                raise CostsError(f"{option(item.name)}={value:g} is not from 0.000001 to 1000000")

    def with_measured(self, text: str) -> "Costs":
        """These, with the values of a benchmark's JSON file. Raises CostsError where it is none, or has none of them."""
        found = {}
        rows = _rows(text)
        for item in fields(self):
            value = rows.get((item.metadata["row"], item.metadata["unit"]))
            if value is not None:
                found[item.name] = max(value / item.metadata["divisor"], 1e-6)
        if not found:
            raise CostsError("it has none of the costs that slicer plan uses")
        return replace(self, **found)

    def rows(self) -> list[tuple[str, float, str, str, str]]:
        """(name, value, unit, meaning, source) of each."""
        return [
            (
                option(item.name),
                getattr(self, item.name),
                item.metadata["unit"],
                item.metadata["doc"],
                item.metadata["command"],
            )
            for item in fields(self)
        ]


def option(name: str) -> str:
    """The name of a cost on the command line."""
    return name.replace("_", "-")


def with_assumed(costs: Costs, assumed: Iterable[tuple[str, float]]) -> Costs:
    """The costs with some values replaced, by the names of `option`. Raises CostsError for an unknown name."""
    known = {option(item.name): item.name for item in fields(Costs)}
    given = dict(assumed)
    for name in given:
        if name not in known:
            raise CostsError(f"--assume {name[:40]!r}: there are {', '.join(known)}")
    return replace(costs, **{known[name]: value for name, value in given.items()})


def _rows(text: str) -> Mapping[tuple[str, str], float]:
    if len(text) > _MOST_BYTES:
        raise CostsError(f"it holds more than {_MOST_BYTES} characters")
    try:
        rows = json.loads(text)["rows"]
        return {(str(row["what"]), str(row["unit"])): float(row["median"]) for row in rows}
    except (TypeError, KeyError, ValueError, RecursionError):
        raise CostsError("it is not a benchmark's file from build/bench") from None
