"""How threads corrupt clips, shown with Tornado: two mistakes that look harmless, at the same load as Slicer's own engine.

- `position`: one open file for all threads. `seek` and `read` are two calls; another thread's `seek` comes between them.
- `name`: each request writes its clip to the same temporary file, and sends what is there then.
- `engine`: Slicer's: `os.pread` has no position to share, and a clip is never a file.

Each is asked for over HTTP from a Tornado whose handlers do their work in a pool of threads; and, as often as its bytes shall be looked
at, in such a pool without HTTP around it. Every clip is compared with what it must be. As a program: PORT PATH WORK.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from contest.load import Want, closed, digest
from mp3_slicer.mp3 import SECOND, Clip, FileReader, Index, build_whole_index, cut
from support.server import free_port

THREADS = 8
#: Different clips, of so many seconds each.
CLIPS, SECONDS = 200, 1
#: Clients of the Tornado, and the seconds that each may wait.
CLIENTS, PATIENCE = 16, 20
WAYS = ("position", "name", "engine")


class Ways:
    """A file, and the three ways to read clips of it."""

    def __init__(self, path: str, work: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - open for as long as this lives
        self._fd = self._file.fileno()
        self._index: Index = build_whole_index(FileReader(self._fd))
        self._name = os.path.join(work, "clip.mp3")
        draw = random.Random(1)
        self._starts = [draw.randrange(1, int(self._index.seconds) - SECONDS - 1) for _ in range(CLIPS)]
        self._clips = [self._cut(start) for start in self._starts]
        self.expected = [digest(clip.read(FileReader(self._fd))) for clip in self._clips]

    def _cut(self, start: int) -> Clip:
        return cut(FileReader(self._fd), self._index.locate(start * SECOND, (start + SECONDS) * SECOND))

    def engine(self, number: int) -> bytes:
        """As Slicer does it: planned anew and read."""
        return self._cut(self._starts[number]).read(FileReader(self._fd))

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
            file.write(self._clips[number].read(FileReader(self._fd)))
        with open(self._name, "rb") as file:
            return file.read()

    def wrong(self, way: str, clips: int) -> int:
        """How many of so many clips, made by a pool of threads side by side, are not what they must be."""
        make = getattr(self, way)

        def work(thread: int) -> int:
            draw = random.Random(thread)
            numbers = (draw.randrange(CLIPS) for _ in range(clips // THREADS))
            return sum(digest(make(number)) != self.expected[number] for number in numbers)

        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(work, range(THREADS)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _over_http(path: str, work: str, ways: Ways, seconds: float) -> list[dict[str, object]]:
    """Each way in Tornado for so many seconds."""
    port, found = free_port(), []
    program = subprocess.Popen(
        [sys.executable, "-m", "contest.corruption", str(port), path, work], stdout=subprocess.PIPE
    )
    try:
        assert program.stdout
        assert program.stdout.readline() == b"listens\n", "Tornado does not listen"
        for way in WAYS:
            wants = [Want(f"/{way}/{number}", expected) for number, expected in enumerate(ways.expected)]
            samples = closed(port, wants, CLIENTS, seconds, PATIENCE)
            answered = [each for each in samples if each.status == 200]
            found.append(
                {
                    "way": way,
                    "where": "tornado",
                    "requests": len(answered),
                    "wrong": sum(each.wrong for each in answered),
                }
            )
    finally:
        program.terminate()
        program.wait(10)
    return found


def show(path: str, work: str, seconds: float, clips: int, many: int) -> Sequence[dict[str, object]]:
    """Each way with its number of clips and of wrong ones: some seconds of Tornado, then `clips` of each mistake, `many` of the engine."""
    ways = Ways(path, work)
    try:
        found = _over_http(path, work, ways, seconds)
        for way in WAYS:
            count = many if way == "engine" else clips
            found.append({"way": way, "where": "pool", "requests": count, "wrong": ways.wrong(way, count)})
        return found
    finally:
        ways.close()


def main(port: int, path: str, work: str) -> None:
    """A Tornado that makes clips in a pool of threads: /WAY/NUMBER."""
    import tornado.web

    ways, pool = Ways(path, work), ThreadPoolExecutor(THREADS)

    class Handler(tornado.web.RequestHandler):
        async def get(self, way: str, number: str) -> None:
            self.finish(await asyncio.get_running_loop().run_in_executor(pool, getattr(ways, way), int(number)))

    async def serve() -> None:
        tornado.web.Application([(rf"/({'|'.join(WAYS)})/(\d+)", Handler)]).listen(port, "127.0.0.1")
        print("listens", flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
