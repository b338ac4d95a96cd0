"""The seam: what a cut reads is known beforehand, and the engine works on anything that reads."""

import os
from collections.abc import Callable
from itertools import product

import pytest

from mp3_slicer.mp3 import SECOND, FileReader, Index, Span, build_index, cut
from mp3_slicer.mp3.cut import extents
from support.cutting import index_of

KINDS = ("mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg25-8-mono-vbr5")
ENDS = (0, 0.3, 1, 2.95, 9.999, 12, 19)


class Noted(FileReader):
    """A file that notes which offsets were read."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.seen: list[tuple[int, int]] = []
        self.read = self._read  # type: ignore[method-assign]

    def _read(self, size: int, offset: int) -> bytes:
        self.seen.append((offset, offset + size))
        return os.pread(self.fd, size, offset)


class Proven(Noted):
    """A source whose store vouches for its version."""

    proof = 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_reads_within_what_is_said_beforehand(stream: Callable[[str], str], kind: str) -> None:
    path = stream(kind)
    index = index_of(path)
    with open(path, "rb") as file:
        for start, stop in product(ENDS, ENDS):
            if stop - start >= 0.1 and stop * SECOND < index.seconds * SECOND:
                _check(file.fileno(), index, index.locate(round(start * SECOND), round(stop * SECOND)))


def _check(fd: int, index: Index, span: Span) -> None:
    ((low, high),) = extents(span, index.size)
    noted = Noted(fd)
    clip = cut(noted, span)
    planned = len(noted.seen)
    clip.read(noted)
    assert all(low <= begin and end <= high for begin, end in noted.seen)
    # No more than that: at most sixteen frames and those that hold main data, at either end.
    assert high - low <= clip.length + 2 * 16 * 1441 + span.segment.reach * 1441
    ends = extents(span, 0)
    assert len(ends) == 2
    for begin, end in noted.seen[:planned]:
        assert any(low <= begin and end <= high for low, high in ends)
    for stop in (1, clip.length // 2, clip.length):
        noted.seen.clear()
        clip.read(noted, 0, stop)
        assert clip.offset(stop) == max((end for _, end in noted.seen), default=0)


def test_an_index_of_what_a_store_vouches_for_reads_each_byte_nearly_once(stream: Callable[[str], str]) -> None:
    path = stream(KINDS[0])
    with open(path, "rb") as file:
        proven = Proven(file.fileno())
        index = build_index(proven)
        assert index.proof == 7
        assert index.segments == index_of(path).segments
        assert len(proven.seen) < 30  # without the 256 samples of a proof
