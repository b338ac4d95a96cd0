"""`python -m fuzz`: a long round. `make fuzz` runs it."""

import argparse
import os
import pathlib
import sys
import time

from fuzz import cuts, files, mutate, parsers, structure


def _files(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    seconds = float("inf") if options.count else options.minutes * 60
    report = files.run(options.first, options.count or 1 << 40, processes=options.processes, seconds=seconds)
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
    seconds = float("inf") if options.count else options.minutes * 60
    report = cuts.spread(options.first, options.count or 1 << 40, processes=options.processes, seconds=seconds)
    for number, text in sorted(report.findings.items()):
        print(f"--- stream {number}\n{text}", file=sys.stderr)
    print(f"{cuts.line_of(report)}; {time.monotonic() - began:.0f} s", flush=True)
    return not report.findings


def _parsers(options: argparse.Namespace) -> bool:
    clean = True
    names = parsers.names()
    for name in names:
        if parsers.GUIDED:
            count, found = parsers.guided(
                name, seconds=max(1, round(options.minutes * 60 / len(names))), seed=options.first % 2**31
            )
        else:
            count, found = 100_000, ""
            parsers.by_chance(name, count, options.first)
        print(f"parser {name}: {count} inputs, {'a finding' if found else 'nothing found'}", flush=True)
        if found:
            print(found, file=sys.stderr)
            clean = False
    return clean


def _api(options: argparse.Namespace) -> bool:
    from fuzz import api

    clean, end, number, count = True, time.monotonic() + options.minutes * 60, options.first % 2**31, 0
    with api.stack() as stack:
        while time.monotonic() < end:
            for url in stack:
                report = api.run(url, 25, number, seconds=end - time.monotonic())
                count += report.answers.total()
                if report.findings:
                    clean = False
                    print(f"--- seed {number}\n{api.text_of(report)}", file=sys.stderr)
            number += 1
    print(f"API: {count} requests, {'nothing found' if clean else 'findings'}", flush=True)
    return clean


KINDS = {"files": _files, "cuts": _cuts, "parsers": _parsers, "api": _api}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("kind", nargs="*", help=f"{', '.join(KINDS)}; all of them where none is named")
    parser.add_argument("--minutes", type=float, default=10, help="for each kind (default: 10)")
    parser.add_argument("--count", type=int, help="files, or streams to cut, however long they take")
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
    kinds = options.kind or list(KINDS)
    if not set(kinds) <= set(KINDS):
        parser.error(f"there is only {', '.join(KINDS)}")
    if options.write is not None:
        made = structure.stream if kinds == ["cuts"] else mutate.mutant
        pathlib.Path("fuzz.mp3").write_bytes(made(options.write))
        print(f"number {options.write} is fuzz.mp3")
        return 0
    # All of them, whatever the first one finds.
    clean = [KINDS[kind](options) for kind in kinds]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
