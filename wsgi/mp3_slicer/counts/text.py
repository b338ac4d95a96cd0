"""Numbers as text for Prometheus (text format 0.0.4)."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from mp3_slicer.counts.metrics import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def text_of(metrics: Iterable[Metric], values: Mapping[tuple[str, ...], Sequence[float]]) -> str:
    """These metrics, those without a value among them by their names alone. `values` are by name and labels."""
    lines: list[str] = []
    for metric in metrics:
        lines += (f"# HELP {metric.name} {metric.doc}", f"# TYPE {metric.name} {metric.kind}")
        for key in sorted(key for key in values if key[0] == metric.name):
            lines += _samples(metric, key[1:], values[key])
    return "\n".join(lines) + "\n"


def _samples(metric: Metric, labels: Sequence[str], numbers: Sequence[float]) -> Iterator[str]:
    pairs = list(zip(metric.labels, labels, strict=True))
    if metric.kind != "histogram":
        yield f"{metric.name}{_labels(pairs)} {_number(numbers[0])}"
        return
    *counts, total = numbers
    sums = list(accumulate(counts))
    for end, count in zip((*metric.buckets, math.inf), sums, strict=True):
        yield f"{metric.name}_bucket{_labels([*pairs, ('le', _number(end))])} {_number(count)}"
    yield f"{metric.name}_sum{_labels(pairs)} {_number(total)}"
    yield f"{metric.name}_count{_labels(pairs)} {_number(sums[-1])}"


def _labels(pairs: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs) + "}" if pairs else ""


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)
