"""The limits of a render, and its deadline."""

import time
from dataclasses import dataclass
from fractions import Fraction

from mp3_slicer.render.errors import WorkTimeoutError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one render, or one waveform. Each bound itself is allowed."""

    shortest_seconds: Fraction = Fraction(1, 10)  #: each span; below 0.1 some decoders trim wrongly
    span_seconds: Fraction = Fraction(600)  #: all spans of a request together
    output_bytes: int = 128 << 20  #: the result
    work_seconds: Fraction = Fraction(25)  #: from the first byte decoded to the last one encoded, by the clock
    memory_bytes: int = 96 << 20  #: of this process, above what it has at rest; children have as much again


class Deadline:
    """A moment by the monotonic clock."""

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: Fraction | float) -> None:
        self._seconds = float(seconds)
        self._end = time.monotonic() + self._seconds

    @property
    def left(self) -> float:
        """Seconds until then, 0 once it has passed."""
        return max(0.0, self._end - time.monotonic())

    def check(self) -> None:
        """Raise WorkTimeoutError once it has passed."""
        if time.monotonic() >= self._end:
            raise WorkTimeoutError(f"the work took longer than {self._seconds:g} s; ask for less at a time")
