"""What things cost, as they were measured: the one table that `slicer plan` calculates with.

Each was measured by a benchmark, whose row in `build/bench` gives it anew on another machine.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from slicer.capacity.errors import CostsError

#: Bytes of a file of measures that are read.
_MOST_BYTES = 1 << 20


def _cost(
    value: float, unit: str, doc: str, command: str, row: str = "", row_unit: str = "", divisor: float = 1
) -> Any:
    """A cost with its unit, its sentence, and what gives it anew: a benchmark's row, divided by something, or plain words."""
    source = {"command": command, "row": row, "row_unit": row_unit or unit, "divisor": divisor}
    return field(default=value, metadata={"unit": unit, "doc": doc, **source})


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Milliseconds are of one CPU; a MB is a million bytes."""

    clip_cpu: float = _cost(
        0.7,
        "ms",
        "Apache and the application, for a clip beside its bytes",
        "make bench-growth",
        "a clip beside its bytes: CPU of the server",
    )
    clip_mb_cpu: float = _cost(
        2, "ms", "the same, for each MB of clips", "make bench-growth", "each MB of clips: CPU of the server"
    )
    clip_extra: float = _cost(
        2050,
        "bytes",
        "what a clip has beside its audio, with its header",
        "make bench-growth",
        "a clip of 10 s beside its audio, with its header",
    )
    hit_cpu: float = _cost(
        0.04,
        "ms",
        "Nginx, for an answer from its cache beside its bytes",
        "make bench-growth",
        "a cached clip beside its bytes: CPU of Nginx",
    )
    hit_mb_cpu: float = _cost(
        0.1, "ms", "the same, for each MB", "make bench-growth", "each MB of cached clips: CPU of Nginx"
    )
    fetch_cpu: float = _cost(
        0.3,
        "ms",
        "Nginx, for a clip that it fetches and keeps, beside its bytes",
        "make bench-growth",
        "a fetched clip beside its bytes: CPU of Nginx",
    )
    fetch_mb_cpu: float = _cost(
        1.5, "ms", "the same, for each MB", "make bench-growth", "each MB of fetched clips: CPU of Nginx"
    )
    render_cpu: float = _cost(
        22,
        "ms",
        "a render as mp3, for each second of audio",
        "make bench-render",
        "10 s of 1 h, faded, mp3 of 128 kbit/s: CPU",
        divisor=10,
    )
    index_speed: float = _cost(
        1.9,
        "GB/s",
        "how fast one CPU walks files that are in memory",
        "make bench-engine",
        "index of 1 h, 128 kbit/s",
    )
    index_file_cpu: float = _cost(
        2.3, "ms", "a file that is indexed, beside its audio", "make bench-growth", "a short file that is indexed: CPU"
    )
    index_size: float = _cost(69.5, "KB", "the index of an hour", "make bench-growth", "the index of an hour")
    clips_memory: float = _cost(
        26,
        "MiB",
        "a clips process, without its indexes",
        "make bench-growth",
        "memory of a clips process after that",
    )
    renders_memory: float = _cost(
        20, "MiB", "a renders process at rest", "make bench-growth", "memory of a renders process at rest"
    )
    apache_memory: float = _cost(
        0.42, "MiB", "each of Apache's processes", "make bench-growth", "memory of an Apache process"
    )
    read_ahead: float = _cost(
        128, "KiB", "what Linux reads from a disk beyond what it is asked for", "/sys/block/*/queue/read_ahead_kb"
    )
    wire: float = _cost(
        1.06, "×", "bytes on the wire for each byte of an answer", "1538 bytes of an Ethernet frame for 1448 of data"
    )
    cache_keys: float = _cost(
        8000, "/MiB", "keys of Nginx's cache in each MiB of its memory", "Nginx's documentation of proxy_cache_path"
    )

    def __post_init__(self) -> None:
        """Raise CostsError, naming the cost, unless each is from 0.000001 to 1,000,000."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not 1e-6 <= value <= 1e6:
                raise CostsError(f"{option(item.name)}={value:g} is not from 0.000001 to 1000000")

    def with_measured(self, text: str) -> "Costs":
        """These, with what a benchmark's JSON file has of them. Raises CostsError where it is none, or has nothing of them."""
        found = {}
        rows = _rows(text)
        for item in fields(self):
            value = rows.get((item.metadata["row"], item.metadata["row_unit"]))
            if value is not None:
                found[item.name] = max(value / item.metadata["divisor"], 1e-6)
        if not found:
            raise CostsError("it holds none of the measures that slicer plan knows")
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
    """What a cost is called on the command line."""
    return name.replace("_", "-")


def with_assumed(costs: Costs, assumed: Iterable[tuple[str, float]]) -> Costs:
    """The costs with some of them said otherwise, by the names of `option`. Raises CostsError on a name that none has."""
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
        raise CostsError("it is not what a benchmark keeps in build/bench") from None
