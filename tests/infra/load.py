"""Requests to an edge as listeners make them: single ones, many at once, and a steady stream whose every answer is checked."""

import contextlib
import hashlib
import http.client
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from mp3_slicer.mp3 import SECOND, FileReader, build_whole_index, cut
from support.server import until

#: Longer than any answer may take, the worst request of a default site (30 s, and its grace) included.
PATIENCE = 100.0


@dataclass(frozen=True)
class Edge:
    """Where to ask: the address of an edge, and the name of the site there."""

    address: str
    port: int
    name: str = "localhost"

    def ask(
        self,
        target: str,
        method: str = "GET",
        timeout: float = PATIENCE,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> "Answer":
        """One request on a connection of its own. Raises OSError or HTTPException where there is no whole answer."""
        began = time.monotonic()
        connection = http.client.HTTPConnection(self.address, self.port, timeout=timeout)
        try:
            # As many clients as there are requests, for whom the edge's limits for each client are meant.
            client = f"198.18.{random.randrange(256)}.{random.randrange(256)}"
            named = {"Host": self.name, "Connection": "close", "X-Forwarded-For": client, **(headers or {})}
            connection.request(method, target, body=body, headers=named)
            answer = connection.getresponse()
            received = answer.read()
        finally:
            connection.close()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, fields, received, began, time.monotonic())

    def ask_at_once(self, targets: Sequence[str], timeout: float = PATIENCE) -> list["Answer"]:
        """All of these together, each from a thread of its own; the answers in the same order."""
        answers: dict[int, Answer] = {}
        ready = threading.Barrier(len(targets))

        def one(place: int, target: str) -> None:
            ready.wait()
            answers[place] = self.ask(target, timeout=timeout)

        threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in enumerate(targets)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
        assert len(answers) == len(targets), f"{len(targets) - len(answers)} of {len(targets)} were not answered"
        return [answers[place] for place in range(len(targets))]


class Answer(NamedTuple):
    """What came back; header names are lower case, times are of time.monotonic()."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    began: float
    ended: float

    @property
    def cache(self) -> str:
        """X-Cache-Status; an answer of the edge without it is an error in itself."""
        return self.headers["x-cache-status"]

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Clip(NamedTuple):
    """A clip to ask for, and the bytes that it must consist of."""

    target: str
    length: int
    digest: bytes

    def is_in(self, body: bytes) -> bool:
        return len(body) == self.length and hashlib.sha256(body).digest() == self.digest


@dataclass
class Source:
    """An MP3 file that the slicers have too, below the path `/clips/<name>`; what is cut from it here is what they must send."""

    path: Path
    name: str
    _reader: FileReader = field(init=False)

    def __post_init__(self) -> None:
        self._reader = FileReader(os.open(self.path, os.O_RDONLY))
        self._index = build_whole_index(self._reader)
        self._random = random.Random(self.name)

    def clip(self, start: str, end: str) -> Clip:
        """The clip between two times in seconds, spelled as the canonical URL does."""
        span = self._index.locate(*(round(float(time_) * 1000) * (SECOND // 1000) for time_ in (start, end)))
        body = cut(self._reader, span).read(self._reader)
        return Clip(f"/clips/{self.name}?t={start},{end}", len(body), hashlib.sha256(body).digest())

    def some(self, seconds: float = 1.0) -> Clip:
        """A clip of at most so many seconds that nobody asked for before, unless by an accident of one in thousands.

        Its length varies too: a load would soon have asked for every place in a short file.
        """
        longest = int(seconds * 1000)
        start = self._random.randrange(0, int(self.seconds * 1000) - longest)
        end = start + longest - self._random.randrange(longest // 4)
        return self.clip(*(f"{time_ / 1000:.3f}".rstrip("0").rstrip(".") for time_ in (start, end)))

    @property
    def seconds(self) -> float:
        return float(self._index.seconds)


class Result(NamedTuple):
    """One request of a stream: what became of it, "200" where all of it was right."""

    began: float
    ended: float
    outcome: str
    target: str
    retry_after: bool = False


class Load:
    """A steady stream of requests while the block runs; each answer is compared with what it must be, byte for byte.

    `clips` gives the next one to ask for; `pause` is the time in seconds that each of the threads rests between two requests.
    """

    def __init__(self, edge: Edge, clips: Callable[[], Clip], threads: int = 4, pause: float = 0.02) -> None:
        self.results: list[Result] = []
        self._edge = edge
        self._clips = clips
        self._pause = pause
        self._end = threading.Event()
        self._next = threading.Lock()
        self._threads = [threading.Thread(target=self._go_on, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads), "a request was not answered"

    def _go_on(self) -> None:
        while not self._end.wait(self._pause):
            with self._next:
                clip = self._clips()
            self.results.append(self._one(clip))

    def _one(self, clip: Clip) -> Result:
        began = time.monotonic()
        try:
            answer = self._edge.ask(clip.target)
        except (OSError, http.client.HTTPException) as error:
            return Result(began, time.monotonic(), f"{type(error).__name__}: {error}", clip.target)
        outcome = str(answer.status)
        if answer.status == 200 and not clip.is_in(answer.body):
            outcome = f"200 with {len(answer.body)} bytes that are not the clip of {clip.length} bytes"
        return Result(began, answer.ended, outcome, clip.target, "retry-after" in answer.headers)

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results if result.outcome != "200"]

    def failed_but(self, times: Sequence[tuple[float, float]]) -> list[Result]:
        """The failed ones that were not under way at any moment of these times, each from a beginning to an end."""
        return [
            result
            for result in self.failed
            if not any(result.began <= end and result.ended >= begin for begin, end in times)
        ]

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Go on until so many more requests have been answered."""
        aim = len(self.results) + count
        until(lambda: len(self.results) >= aim, seconds, f"{count} more answers")

    def summary(self) -> str:
        """How many of each outcome."""
        counted: dict[str, int] = {}
        for result in self.results:
            counted[result.outcome] = counted.get(result.outcome, 0) + 1
        slowest = max((result.ended - result.began for result in self.results), default=0.0)
        return f"{len(self.results)} requests, slowest {slowest:.2f} s: {counted}"


@contextlib.contextmanager
def timed(note: Callable[[str], None], what: str) -> Iterator[None]:
    """Note how long a block took."""
    began = time.monotonic()
    yield
    note(f"{what}: {time.monotonic() - began:.1f} s")
