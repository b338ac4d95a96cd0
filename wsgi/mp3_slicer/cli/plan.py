"""`slicer plan`: the machines that a load takes."""

import argparse
import importlib
import json
from dataclasses import fields
from typing import Any

from mp3_slicer import distribution
from mp3_slicer.capacity import costs, plan, report
from mp3_slicer.capacity.demand import Demand
from mp3_slicer.capacity.errors import CapacityError
from mp3_slicer.cli import values
from mp3_slicer.cli.errors import UsageError
from mp3_slicer.media.shelf import MAX_OPEN

#: A file of measures has a few thousand.
_MAX_MEASURES = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command: one for each member of a demand, and how it is answered."""
    kinds = {
        "machine_memory": values.size,
        "machines": values.whole,
        "machine_cpus": values.whole,
        "spare": values.whole,
        "store_milliseconds": values.whole,
    }
    for item in fields(Demand):
        kind = kinds.get(item.name, values.number)
        default: Any = item.default
        shown = f"{default >> 30}G" if kind is values.size else default
        parser.add_argument(
            f"--{item.name.replace('_', '-')}",
            type=kind,
            default=default,
            required=item.name == "clips_per_second",
            metavar="BYTES" if kind is values.size else "N",
            help=item.metadata["doc"] + ("" if default is None else f" (default: {shown})"),
        )
    parser.add_argument(
        "--assume",
        type=values.assumption,
        action="append",
        default=[],
        metavar="NAME=N",
        help="replace a measured cost; the plan lists all names",
    )
    parser.add_argument(
        "--measured",
        action="append",
        default=[],
        metavar="FILE",
        help="costs measured on this machine: a benchmark's file, such as build/bench/growth.json",
    )
    parser.add_argument("--brief", action="store_true", help="omit the assumed costs")
    parser.add_argument("--json", action="store_true", help="print the whole plan as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the plan."""
    demand = Demand(**{item.name: getattr(options, item.name) for item in fields(Demand)})
    assumed = costs.Costs()
    for path in options.measured:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_MEASURES + 1)
        try:
            assumed = assumed.with_measured(text)
        except CapacityError as error:
            raise UsageError(f"--measured {path}: {error}") from None
    assumed = costs.with_assumed(assumed, options.assume)
    found = plan.plan(
        demand, assumed, open_files=MAX_OPEN, most_results=_most_results() if demand.renders_per_second else 0
    )
    if options.json:
        print(json.dumps(report.values(found), indent=2, allow_nan=False))
    else:
        print(report.text(found, brief=options.brief))
    return 0


def _most_results() -> int:
    """Return how many renders are kept. Only where renders are made are their packages there."""
    try:
        return int(importlib.import_module("mp3_slicer.render.results").MAX_RESULTS)
    except ImportError as error:
        raise UsageError(
            f"renders need packages that are missing ({error.name}): {distribution.pip_install('renders')}"
        ) from None
