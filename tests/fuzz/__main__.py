"""`python -m fuzz`: a long round. `make fuzz` runs it."""

import argparse
import os
import pathlib
import sys
import time

from fuzz import files, mutate


def _files(arguments: argparse.Namespace) -> bool:
    if arguments.write is not None:
        pathlib.Path("fuzz.mp3").write_bytes(mutate.mutant(arguments.write))
        print(f"file {arguments.write} is fuzz.mp3")
        return True
    began = time.monotonic()
    seconds = arguments.minutes * 60 if arguments.minutes else float("inf")
    count = arguments.count or (1 << 62 if arguments.minutes else 100_000)
    report = files.run(arguments.first, count, processes=arguments.processes, seconds=seconds)
    for number, text in sorted(report.findings.items()):
        print(f"--- file {number}\n{text}", file=sys.stderr)
    print(
        f"files: {report.count} in {time.monotonic() - began:.0f} s, {len(report.findings)} findings; "
        f"{', '.join(f'{name} {count}' for name, count in report.outcomes.most_common())}; "
        f"slowest {report.slowest[0]:.2f} s (file {report.slowest[1]}), memory {report.memory >> 20} MiB"
    )
    return not report.findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, help="for each kind")
    parser.add_argument("--count", type=int, help="files")
    parser.add_argument("--first", type=int, default=int(time.time()) << 24, help="the number of the first file")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=int, metavar="NUMBER", help="write the file of this number and end")
    return 0 if _files(parser.parse_args()) else 1


if __name__ == "__main__":
    sys.exit(main())
