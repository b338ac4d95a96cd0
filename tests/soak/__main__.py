"""`make soak MINUTES=…`."""

import argparse
import sys

from soak.run import soak


def main() -> int:
    """Soak, print what came out, keep it under build/soak; 1 where something was wrong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"soaking for {options.minutes:g} minutes", flush=True)
    verdict = soak(options.minutes * 60, seed=options.seed)
    print(*verdict.lines(), sep="\n")
    print(f"kept in {verdict.keep()}")
    return 1 if verdict.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
