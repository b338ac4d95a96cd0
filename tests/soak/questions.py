"""What clients ask, and which answers are right."""

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from mp3_slicer.mp3 import SECOND, FileReader, Mp3Error, cut
from mp3_slicer.render import Limits, PeaksRequest, RenderRequest
from mp3_slicer.render.audio.render import render
from mp3_slicer.render.peaks import peaks
from soak.stack import GROWING, HALF, REPLACED, SECONDS, TRUNCATED, Media
from support.cutting import index_of, opened

#: Of each body that may come: its length and its SHA-256.
Bodies = frozenset[tuple[int, bytes]]


def body(data: bytes) -> tuple[int, bytes]:
    return len(data), hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Question:
    """One request, the bodies that are right with 200 (or 206), and the other statuses that are right at any time."""

    kind: str
    target: str
    bodies: Bodies | None = None
    other: frozenset[int] = frozenset()
    headers: dict[str, str] = field(default_factory=dict)
    #: Its source may be gone under it, so that its connection ends early.
    may_break: bool = False
    #: The client takes so many bytes and goes away; or it takes its time. It is not asked whether these are whole.
    leaves: bool = False
    slow: bool = False


class Questions:
    """A mix of all that can be asked of a media folder. One thread's own, with a seed of its own."""

    def __init__(self, media: Media, seed: int) -> None:
        self._media = media
        self._random = random.Random(seed)
        self._indexes = {name: index_of(str(media.kept / name)) for name in os.listdir(media.kept)}
        self._popular = [self._clip() for _ in range(20)]
        self._kinds: list[tuple[int, Callable[[], Question]]] = [
            (40, self._clip),
            (20, lambda: self._random.choice(self._popular)),
            (8, self._part),
            (5, self._replaced),
            (5, self._growing),
            (5, self._truncated),
            (4, self._render),
            (3, self._peaks),
            (3, self._plain),
            (3, self._refused),
            (2, self._leaving),
            (2, self._slow),
        ]
        self._weights = [weight for weight, _ in self._kinds]

    def next(self) -> Question:
        """The next one."""
        return self._random.choices(self._kinds, self._weights)[0][1]()

    def job(self) -> Question:
        """A render for a job, of a length that takes a moment."""
        return self._render(longest=10_000, kind="job")

    # ---------------------------------------------------------------------------------------------------------------- clips

    def _span(self, longest: int, within: int = SECONDS * 1000) -> tuple[int, int]:
        """A beginning and an end in milliseconds."""
        length = self._random.randrange(300, longest)
        start = self._random.randrange(0, within - length)
        return start, start + length

    def _cut(self, name: str, start: int, end: int) -> bytes | None:
        """What a clip of a state consists of; nothing where it has no such time."""
        path = str(self._media.kept / name)
        try:
            span = self._indexes[name].locate(start * (SECOND // 1000), end * (SECOND // 1000))
        except Mp3Error:
            return None
        with opened(path) as fd:
            return cut(FileReader(fd), span).read(FileReader(fd))

    def _clip(self) -> Question:
        name = self._random.choice(self._media.steady)
        return self._of(name, [name], "clip")

    def _of(
        self, name: str, states: Iterable[str], kind: str, within: int = SECONDS * 1000, **more: object
    ) -> Question:
        start, end = self._span(4000, within)
        found = [self._cut(state, start, end) for state in states]
        return Question(
            kind,
            f"/clips/{name}?t={_seconds(start)},{_seconds(end)}",
            frozenset(body(data) for data in found if data is not None),
            **more,  # type: ignore[arg-type]
        )

    def _part(self) -> Question:
        name = self._random.choice(self._media.steady)
        start, end = self._span(4000)
        data = self._cut(name, start, end)
        assert data is not None
        first = self._random.randrange(len(data))
        last = self._random.randrange(first, len(data))
        return Question(
            "range",
            f"/clips/{name}?t={_seconds(start)},{_seconds(end)}",
            frozenset([body(data[first : last + 1])]),
            headers={"Range": f"bytes={first}-{last}"},
        )

    def _replaced(self) -> Question:
        return self._of(REPLACED, self._media.steady[:2], "replaced", may_break=True)

    def _growing(self) -> Question:
        """Of what was there from the beginning: it must never change."""
        return self._of(GROWING, self._media.steady[:1], "growing", within=SECONDS * 1000 - 1000)

    def _truncated(self) -> Question:
        states = (self._media.steady[0], HALF)
        return self._of(TRUNCATED, states, "truncated", other=frozenset([400, 404, 422]), may_break=True)

    # --------------------------------------------------------------------------------------------------------------- others

    def _render(self, longest: int = 2000, kind: str = "render") -> Question:
        name = self._random.choice(self._media.steady)
        start, end = self._span(longest)
        form = self._random.choice(["wav", "wav", "mp3"])
        pairs = [("t", f"{_seconds(start)},{_seconds(end)}"), ("gain", "-3")]
        with opened(str(self._media.kept / name)) as fd:
            request = RenderRequest.parse(form, pairs)
            with render(request, FileReader(fd), self._indexes[name], Limits(work_seconds=Fraction(120))) as made:
                data = made.read()
        return Question(
            kind, f"/renders/{name.removesuffix('.mp3')}.{form}?{request.canonical}", frozenset([body(data)])
        )

    def _peaks(self) -> Question:
        name = self._random.choice(self._media.steady)
        start, end = self._span(4000)
        request = PeaksRequest.parse("json", [("t", f"{_seconds(start)},{_seconds(end)}"), ("pixels", "100")])
        with opened(str(self._media.kept / name)) as fd:
            found = peaks(request, FileReader(fd), self._indexes[name], Limits(work_seconds=Fraction(120)))
        data = found.encode("json", request.bits)
        return Question(
            "peaks", f"/peaks/{name.removesuffix('.mp3')}.json?{request.canonical}", frozenset([body(data)])
        )

    def _plain(self) -> Question:
        """What is looked at and not kept: that it comes is enough."""
        name = self._random.choice(self._media.steady)
        return Question(
            "document", self._random.choice([f"/info/{name}", "/library", "/healthz", "/openapi.json", "/"])
        )

    def _refused(self) -> Question:
        name = self._random.choice(self._media.steady)
        target, status = self._random.choice(
            [
                (f"/clips/{name}?t=5,4", 400),
                (f"/clips/{name}?t=x", 400),
                (f"/clips/nobody-{self._random.randrange(10**6)}.mp3?t=1,2", 404),
                ("/clips/../../etc/passwd?t=1,2", 404),
                (f"/renders/{name.removesuffix('.mp3')}.wav?t=1,2&gain=99", 400),
                (f"/renders/{name.removesuffix('.mp3')}.xyz?t=1,2", 400),
            ]
        )
        return Question("refused", target, frozenset(), frozenset([status, 400, 404]))

    def _leaving(self) -> Question:
        asked = self._clip()
        return Question("leaves", asked.target, leaves=True)

    def _slow(self) -> Question:
        asked = self._clip()
        return Question("slow", asked.target, asked.bodies, slow=True)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")


def document(data: bytes) -> dict[str, object]:
    """A JSON object."""
    found: dict[str, object] = json.loads(data)
    return found
