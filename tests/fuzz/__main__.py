"""`python -m fuzz`: a long round. `make fuzz` runs it."""

import argparse
import os
import pathlib
import signal
import sys
import time
from typing import NoReturn

from fuzz import cuts, files, mutate, parsers, structure

#: What ends a round early: it says what it found until then.
STOPPING = signal.SIGTERM, signal.SIGINT


class StoppedError(BaseException):
    """SIGTERM or SIGINT came: no defect of what is fuzzed, so that nothing takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def _stop(number: int, _: object) -> NoReturn:
    """Leave whatever is being done, once."""
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise StoppedError(number)


def _files(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    report = files.Report()
    try:
        files.run(
            options.first,
            options.count or 1 << 40,
            processes=options.processes,
            seconds=_seconds(options),
            report=report,
        )
    finally:
        for number, text in sorted(report.findings.items()):
            print(f"--- file {number}\n{text}", file=sys.stderr)
        print(
            f"files: {report.count} from {options.first} on in {time.monotonic() - began:.0f} s, {len(report.findings)} findings; "
            f"{', '.join(f'{name} {count}' for name, count in report.outcomes.most_common())}; "
            f"slowest {report.slowest[0]:.2f} s of CPU (file {report.slowest[1]}), memory {report.memory >> 20} MiB",
            flush=True,
        )
    return not report.findings


def _cuts(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    report = cuts.Report()
    try:
        cuts.spread(
            options.first,
            options.count or 1 << 40,
            processes=options.processes,
            seconds=_seconds(options),
            report=report,
        )
    finally:
        for number, text in sorted(report.findings.items()):
            print(f"--- stream {number}\n{text}", file=sys.stderr)
        print(f"{cuts.line_of(report)}; from {options.first} on in {time.monotonic() - began:.0f} s", flush=True)
    return not report.findings


def _parsers(options: argparse.Namespace) -> bool:
    clean = True
    names = parsers.names()
    for name in names:
        if parsers.GUIDED:
            bound = (
                {"runs": options.count}
                if options.count
                else {"seconds": max(1, round(options.minutes * 60 / len(names)))}
            )
            count, found = parsers.guided(name, seed=options.first % 2**31, **bound)
        else:
            count, found = options.count or 100_000, ""
            parsers.by_chance(name, count, options.first)
        print(f"parser {name}: {count} inputs, {'a finding' if found else 'nothing found'}", flush=True)
        if found:
            print(found, file=sys.stderr)
            clean = False
    return clean


def _api(options: argparse.Namespace) -> bool:
    from fuzz import api

    clean, end, number, report = True, time.monotonic() + options.minutes * 60, options.first % 2**31, api.Report()
    with api.stack() as stack:
        try:
            while time.monotonic() < end:
                for url in stack:
                    report.findings.clear()
                    api.run(url, 25, number, seconds=end - time.monotonic(), report=report)
                    if report.findings:
                        clean = False
                        print(f"--- seed {number}\n{api.text_of(report)}", file=sys.stderr)
                number += 1
        finally:
            print(f"API: {report.answers.total()} requests, {'nothing found' if clean else 'findings'}", flush=True)
    return clean


def _seconds(options: argparse.Namespace) -> float:
    return float("inf") if options.count else options.minutes * 60


KINDS = {"files": _files, "cuts": _cuts, "parsers": _parsers, "api": _api}
#: What is tried for a time alone.
_TIMED = {"api"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument(
        "kind", nargs="*", help=f"{', '.join(KINDS)}; where none is named all of them, and files alone with --count"
    )
    parser.add_argument("--minutes", type=float, default=10, help="for each kind (default: 10)")
    parser.add_argument(
        "--count",
        type=int,
        help="files, streams to cut at 20 places each, or inputs of each parser, however long they take",
    )
    parser.add_argument(
        "--first",
        type=int,
        default=int(time.time()) << 20,
        help="the first file, and the seed of the others",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="for files and cuts")
    parser.add_argument(
        "--write",
        type=int,
        metavar="NUMBER",
        help="write the file (with cuts: the stream) of this number to fuzz.mp3 and end",
    )
    options = parser.parse_args()
    kinds = options.kind or (["files"] if options.count else list(KINDS))
    if not set(kinds) <= set(KINDS):
        parser.error(f"there is only {', '.join(KINDS)}")
    if options.count and _TIMED & set(kinds):
        parser.error(f"{', '.join(_TIMED)}: --minutes, not --count")
    if options.write is not None:
        made = structure.stream if kinds == ["cuts"] else mutate.mutant
        pathlib.Path("fuzz.mp3").write_bytes(made(options.write))
        print(f"number {options.write} is fuzz.mp3")
        return 0
    for each in STOPPING:
        signal.signal(each, _stop)
    try:
        # All of them, whatever the first one finds.
        clean = [KINDS[kind](options) for kind in kinds]
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        # As a shell tells of a process that a signal ended.
        return 128 + stopped.number
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
