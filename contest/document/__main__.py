"""`python -m contest.document [--again]`: joins the newest results of all benchmarks and writes docs/benchmarks.md from them.

`--again` rewrites the document from docs/benchmarks.json alone.
"""

import argparse
import json
import os
import pathlib
import sys
from typing import Any

from .files import JSON, files
from .others import TITLES

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
RESULTS = ROOT / "build" / "bench"


def short(value: Any) -> Any:
    """Numbers with as many digits as they are good for."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: short(each) for name, each in value.items()}
    return [short(each) for each in value] if isinstance(value, list) else value


def join(folder: pathlib.Path) -> dict[str, Any]:
    """The newest results in a folder. Exits where the contest has none."""
    contest = folder / "contest.json"
    if not contest.exists():
        sys.exit(f"{contest} is missing: make bench-contest")
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    return short({"contest": found["contest"], "others": {name: found[name] for name in TITLES if name in found}})


def main() -> None:
    """Join, write, and say what was written."""
    parser = argparse.ArgumentParser(prog="document", description=__doc__)
    parser.add_argument("--again", action="store_true", help="from docs/benchmarks.json as it is")
    if parser.parse_args().again:
        results = json.loads((DOCS / JSON).read_text(encoding="utf-8"))
    else:
        results = join(RESULTS)
        (DOCS / JSON).write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, text in files(results).items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"wrote {os.path.join('docs', name)}")


if __name__ == "__main__":
    main()
