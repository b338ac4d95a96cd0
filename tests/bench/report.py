"""How benchmarks print: a table of what was measured, its spread, and the ratio it is about; and the same as JSON."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime

FOLDER = os.path.join("build", "bench")


class Report:
    """Collects rows; `write` prints them and keeps them under build/bench."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: list[dict[str, object]] = []

    def row(self, what: str, values: Sequence[float], unit: str, wanted: str = "") -> float:
        """A row with the median of the values, their lowest and highest; returns the median."""
        median = statistics.median(values)
        row = {"what": what, "median": median, "low": min(values), "high": max(values), "unit": unit, "wanted": wanted}
        self._rows.append(row)
        print(
            f"{what:<62} {_short(median):>10} {unit:<6} {_short(min(values)):>10} … {_short(max(values)):<10} {wanted}",
            flush=True,
        )
        return median

    def write(self) -> None:
        """Keep the rows as JSON, with the machine and the date."""
        os.makedirs(FOLDER, exist_ok=True)
        path = os.path.join(FOLDER, f"{self._name}.json")
        machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(
                {"date": datetime.now(UTC).isoformat(timespec="seconds"), **machine, "rows": self._rows}, file, indent=1
            )
        print(f"kept in {path}")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
