"""`python -m fuzz.rounding [FOLDER…]`: by how much mpg123's samples of clips differ from those of their sources.

It cuts a stream of each kind that the tests make, and the files of folders, at random places that are the same each time. What is told
of each: clips, those that are the same bit for bit, the largest difference of floats, and values of 16 bits that differ, of how many.
"""

import random
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from operator import sub
from pathlib import Path

from fuzz import cuts
from mp3_slicer.mp3 import Mp3Error, Span
from support import decoders, streams

#: Clips of each file, and seconds of a stream that is made.
CLIPS, SECONDS = 24, 20
_GRANULE = 576


@dataclass
class Rounding:
    """How near clips are to their sources in mpg123. Granules where ffmpeg and mpg123 disagree about the source are left out."""

    clips: int = 0
    exact: int = 0  #: those whose floats are the same, bit for bit
    furthest: float = 0.0  #: of full scale
    values: int = 0
    off: int = 0  #: of these as 16 bits
    furthest_off: int = 0  #: steps of 16 bits

    def add(self, other: "Rounding") -> None:
        self.clips += other.clips
        self.exact += other.exact
        self.furthest = max(self.furthest, other.furthest)
        self.values += other.values
        self.off += other.off
        self.furthest_off = max(self.furthest_off, other.furthest_off)

    def __str__(self) -> str:
        return (
            f"{self.clips} clips, {self.exact} exact, floats differ by at most {self.furthest:.2g}; "
            f"of {self.values} values of 16 bits {self.off} differ, by at most {self.furthest_off}"
        )


def measure(path: Path, folder: Path) -> Rounding:
    """Cut a file, decode the clips into a folder, and compare. Nothing is found of a file that decoders do not decode alike."""
    found = Rounding()
    copy = folder / "source.mp3"
    copy.write_bytes(path.read_bytes())
    try:
        source = cuts.Source.of(copy)
    except Mp3Error:
        return found
    segment = source.segment
    shortest = -(-segment.header.sample_rate // 10)
    if segment.samples < shortest:
        return found
    rng = random.Random(path.name)
    for _ in range(CLIPS):
        length = min(segment.samples, shortest + rng.randrange(2 * segment.header.sample_rate))
        first = rng.randint(0, segment.samples - length)
        source.cut([Span(segment, first, first + length)])
    with ExitStack() as opened:
        players = [
            opened.enter_context(closing(decoders.Mpg123(gapless=gapless, floats=floats)))
            for gapless in (False, True)
            for floats in (True, False)
        ]
        whole, whole16 = players[0](source.reference), players[1](source.reference)
        source.whole = [*decoders.ffmpeg([source.path]), players[2](source.path)]
        source.plain = [*decoders.ffmpeg([source.ffmpeg_reference], gapless=False), whole]
        wanted = cuts.Wanted(source)
        if not wanted.whole or len(whole16) != len(whole):
            return found
        step = _GRANULE * wanted.channels
        for span, clip in source.clips:
            begin, end = (wanted.skip + each * wanted.channels for each in (span.first, span.last))
            floats, shorts = players[2](clip), players[3](clip)
            assert len(floats) == len(shorts) == end - begin, f"{path}: {span.first}-{span.last}"
            for group in range(begin // step, -(-end // step)):
                low, high = max(begin, group * step), min(end, group * step + step)
                if group not in wanted.apart:
                    pair = floats[low - begin : high - begin], whole[low:high]
                    found.furthest = max(found.furthest, max(map(abs, map(sub, *pair))))
                    steps = list(map(abs, map(sub, shorts[low - begin : high - begin], whole16[low:high])))
                    found.values += len(steps)
                    found.off += sum(map(bool, steps))
                    found.furthest_off = max(found.furthest_off, *steps)
            found.clips += 1
            found.exact += floats == whole[begin:end]
    return found


def main(folders: Iterable[str]) -> None:
    made, others = Rounding(), Rounding()
    count = 0
    with tempfile.TemporaryDirectory(dir=decoders.memory()) as work:
        paths = [Path(streams.make(kind, work, seconds=SECONDS)) for kind in streams.STREAMS]
        given = [path for folder in folders for path in sorted(Path(folder).rglob("*.mp3"))]
        for path in (*paths, *given):
            with tempfile.TemporaryDirectory(dir=work) as folder:
                found = measure(path, Path(folder))
            print(f"{path.name}: {found}", flush=True)
            (others if path in given else made).add(found)
            count += path in given and found.clips > 0
    print(f"{len(paths)} streams that are made: {made}")
    if count:
        print(f"{count} files that are given: {others}")


if __name__ == "__main__":
    main(sys.argv[1:])
