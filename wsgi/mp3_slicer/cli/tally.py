"""What became of the files of `slicer index`, counted and told."""

import os
import sys

from tqdm import tqdm

from mp3_slicer.media.indexing import Indexed


class Tally:
    """Files that were indexed, that were already, and that are refused."""

    def __init__(self) -> None:
        self.refused: set[bytes] = set()
        self._count = self._made = self._shared = self._unshared = 0
        self._reason = ""  #: why the first index that is not shared is not

    def add(self, found: list[Indexed]) -> None:
        """Count some, and tell why any is refused."""
        for each in found:
            self._count += 1
            self._made += each.is_new
            if each.complaint:
                self.refused.add(each.path)
                tqdm.write(f"{os.fsdecode(each.path)}: {each.complaint}", file=sys.stderr)
            elif each.unshared:
                self._unshared += 1
                self._reason = self._reason or each.unshared
            elif each.unshared is not None:
                self._shared += 1

    def report(self, gone: int, place: str) -> None:
        """Print the counts; `gone` indexes were removed, and `place` is that of shared ones, if there are any."""
        known = self._count - self._made - len(self.refused)
        print(
            f"{self._made} indexed, {known} already indexed, {len(self.refused)} refused, {gone} obsolete indexes removed"
        )
        if place:
            reason = f" ({self._reason})" if self._reason else ""
            print(f"{place}: {self._shared} indexes shared, {self._unshared} not{reason}")
