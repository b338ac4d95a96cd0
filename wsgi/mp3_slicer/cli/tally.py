"""What became of the files of `slicer index`, counted and told."""

import os
import sys

from tqdm import tqdm

from mp3_slicer.catalogue.build import Outcome
from mp3_slicer.catalogue.documents import Unread
from mp3_slicer.media.indexing import Indexed


class Tally:
    """Files that were indexed, that were already, and that are refused."""

    def __init__(self) -> None:
        self.refused: set[bytes] = set()
        self._count = self._made = self._shared = self._unshared = 0
        self._unread: list[Unread] = []
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

    def leave(self, unread: list[Unread]) -> None:
        """Note what the catalogue cannot read, and tell why."""
        self._unread += unread
        for each in unread:
            tqdm.write(f"{os.fsdecode(each.path)}: {each.detail}", file=sys.stderr)

    @property
    def is_clean(self) -> bool:
        """Whether every source is indexed and in the catalogue. What lies beside a source may be unreadable."""
        return not self.refused and not any(each.is_source for each in self._unread)

    def report(self, gone: int, place: str, catalogue: Outcome) -> None:
        """Print the counts; `gone` indexes were removed, and `place` is that of shared ones, if there are any."""
        known = self._count - self._made - len(self.refused)
        print(
            f"{self._made} indexed, {known} already indexed, {len(self.refused)} refused, {gone} obsolete indexes removed"
        )
        if place:
            reason = f" ({self._reason})" if self._reason else ""
            print(f"{place}: {self._shared} indexes shared, {self._unshared} not{reason}")
        more = f", {len(self._unread)} unreadable" if self._unread else ""
        print(f"catalogue: {catalogue.files} files, {catalogue.changed} of them read, {catalogue.gone} removed{more}")
