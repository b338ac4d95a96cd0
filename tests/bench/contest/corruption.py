"""How threads corrupt clips, shown: two mistakes that look harmless, at the same load as Slicer's own engine.

- `position`: one open file for all threads. `seek` and `read` are two calls; another thread's `seek` comes between them.
- `name`: each request writes its clip to the same temporary file, and sends what is there then.
- `engine`: Slicer's: `os.pread` has no position to share, and a clip is never a file.

Every answer is compared with what it must be.
"""

import hashlib
import os
import random
import threading
from collections.abc import Callable, Sequence

from slicer.mp3 import SECOND, Clip, Index, build_whole_index, cut

THREADS = 8
#: Different clips, of so many seconds each.
CLIPS, SECONDS = 200, 1


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


class Ways:
    """A file, and the three ways to read clips of it."""

    def __init__(self, path: str, work: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - open for as long as this lives
        self._fd = self._file.fileno()
        self._index: Index = build_whole_index(self._fd)
        self._name = os.path.join(work, "clip.mp3")
        draw = random.Random(1)
        self._starts = [draw.randrange(1, int(self._index.seconds) - SECONDS - 1) for _ in range(CLIPS)]
        self._clips = [self._cut(start) for start in self._starts]
        self._expected = [_digest(clip.read(self._fd)) for clip in self._clips]

    def _cut(self, start: int) -> Clip:
        return cut(self._fd, self._index.locate(start * SECOND, (start + SECONDS) * SECOND))

    def engine(self, number: int) -> bytes:
        """As Slicer does it: planned anew and read."""
        return self._cut(self._starts[number]).read(self._fd)

    def position(self, number: int) -> bytes:
        """The clip's frames by seek and read on the file that all threads share."""
        clip = self._clips[number]
        pieces = [clip.head]
        for start, stop in clip.ranges:
            self._file.seek(start)
            pieces.append(self._file.read(stop - start))
        return b"".join(pieces)

    def name(self, number: int) -> bytes:
        """Through a temporary file that has the same name for everybody."""
        with open(self._name, "wb") as file:
            file.write(self._clips[number].read(self._fd))
        with open(self._name, "rb") as file:
            return file.read()

    def wrong(self, way: Callable[[int], bytes], requests: int) -> int:
        """How many of so many answers, made by threads side by side, are not what they must be."""
        counts = [0] * THREADS

        def work(thread: int) -> None:
            draw = random.Random(thread)
            for _ in range(requests // THREADS):
                number = draw.randrange(CLIPS)
                counts[thread] += _digest(way(number)) != self._expected[number]

        threads = [threading.Thread(target=work, args=(each,)) for each in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def show(path: str, work: str, requests: int, many: int) -> Sequence[dict[str, object]]:
    """Each way with its number of requests and of wrong answers: `requests` for the mistakes, `many` for the engine."""
    ways = Ways(path, work)
    try:
        return [
            {"way": name, "requests": count, "wrong": ways.wrong(getattr(ways, name), count)}
            for name, count in (("position", requests), ("name", requests), ("engine", many))
        ]
    finally:
        ways.close()
