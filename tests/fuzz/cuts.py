"""Clips against their sources, in two decoders: where ffmpeg and mpg123 agree about a source, a clip decodes to the same samples.

Where they do not, a clip may be silent there, and must not be louder than what either makes of the source.
"""

import operator
import random
import signal
import tempfile
import time
import traceback
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from operator import sub
from pathlib import Path
from threading import Event
from typing import Self

from fuzz.structure import side_length, stream
from mp3_slicer.mp3 import FileReader, Index, Mp3Error, Segment, Span, cut
from support import decoders, streams
from support.cutting import index_of, opened

#: Cuts of each stream, and streams that are decoded together.
CUTS, TOGETHER = 20, 24
#: What one decoder's floats may differ by from the other's in one stream, and mpg123's in a clip from those in the source; of full
#: scale, or of the loudest sample where noise goes beyond that.
AGREE, ROUNDING = 1e-5, 4e-6
#: By how much a clip may be louder where decoders disagree: each resolves broken data in its own way.
LOUDER = 1.5
_GRANULE = 576


@dataclass
class Report:
    """What became of the cuts, by outcome; what went wrong, by the number of the stream."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[int, str] = field(default_factory=dict)

    @property
    def cuts(self) -> int:
        """How many were compared."""
        return self.outcomes["exact"] + self.outcomes["exact where decoders agree"] + self.outcomes["wrong"]


@dataclass
class Source:
    """A file, what it should sound like, and clips of it, all of them files in its folder."""

    number: int
    path: str
    index: Index
    segment: Segment
    reference: str  #: the path of the frames of its segment, without anything else
    ahead: int  #: frames that say nothing, in front of those in what ffmpeg is given
    whole: list["array[float]"] = field(default_factory=list)  #: as it is, in ffmpeg and mpg123
    plain: list["array[float]"] = field(default_factory=list)  #: the reference, nothing trimmed
    clips: list[tuple[Span, str]] = field(default_factory=list)

    @classmethod
    def of(
        cls, path: Path, number: int = 0, choose: Callable[[tuple[Segment, ...]], Segment] = operator.itemgetter(0)
    ) -> Self:
        """Index a file and write the reference of the segment that is chosen."""
        data = path.read_bytes()
        index = index_of(str(path))
        segment = choose(index.segments)
        frames = b"".join(data[run.anchors[0] : run.end] for run in segment.runs)
        reference = path.with_suffix(".frames.mp3")
        reference.write_bytes(frames)
        source = cls(number, str(path), index, segment, str(reference), int(_differ(frames)))
        if source.ahead:
            Path(source.ffmpeg_reference).write_bytes(_spent(frames) + frames)
        return source

    @property
    def ffmpeg_reference(self) -> str:
        """The reference as ffmpeg takes it.

        It takes the first frame for junk where the next one differs in the bits that it compares. Then it has not heard that frame,
        and mutes what reaches back to it. A frame in front that agrees with the first and says nothing lets it hear all of them.
        """
        return str(Path(self.reference).with_suffix(".ahead.mp3")) if self.ahead else self.reference

    def cut(self, spans: Iterable[Span]) -> None:
        """Write a clip of each span, beside those that there are."""
        with opened(self.path) as fd:
            for count, span in enumerate(spans, len(self.clips)):
                clip = Path(self.path).with_suffix(f".{count}.mp3")
                clip.write_bytes(cut(FileReader(fd), span).read(FileReader(fd)))
                self.clips.append((span, str(clip)))


def run(first: int, count: int, *, cuts: int = CUTS) -> Report:
    """Cut the streams `first` to `first + count - 1`."""
    report = Report()
    players = decoders.Mpg123(), decoders.Mpg123(gapless=False)
    try:
        for begin in range(first, first + count, TOGETHER):
            with tempfile.TemporaryDirectory(dir=decoders.memory()) as folder:
                numbers = range(begin, min(begin + TOGETHER, first + count))
                _together(numbers, Path(folder), cuts, players, report)
    finally:
        for player in players:
            player.close()
    return report


def spread(
    first: int, count: int, *, processes: int, seconds: float = float("inf"), report: Report | None = None
) -> Report:
    """Cut the streams `first` to `first + count - 1` in several processes, or as many of them as `seconds` suffice for.

    `report` gets what is found as soon as it is. What interrupts this ends the processes, which leave nothing behind.
    """
    report = Report() if report is None else report
    end = time.monotonic() + seconds
    starts = iter(range(first, first + count, TOGETHER))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin) as pool:

        def begin() -> set[Future[Report]]:
            start = next(starts, None) if time.monotonic() < end else None
            if start is None:
                return set()
            return {pool.submit(_task, start, min(TOGETHER, first + count - start))}

        running: set[Future[Report]] = set()
        try:
            for _ in range(2 * processes):
                running |= begin()
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    report.outcomes += each.result().outcomes
                    report.findings |= each.result().findings
                    running |= begin()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise
    return report


#: Set in a process that is to end: what it is given until it does is not begun.
_ENDING = Event()


def _begin() -> None:
    """Begin a process of `spread`: on SIGTERM it ends whatever it does, and removes its files."""
    signal.signal(signal.SIGTERM, _end)
    # A terminal tells all processes; the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(number: int, _: object) -> None:
    if not _ENDING.is_set():
        _ENDING.set()
        raise SystemExit(128 + number)


def _task(first: int, count: int) -> Report:
    return Report() if _ENDING.is_set() else run(first, count)


def _together(
    numbers: Sequence[int],
    folder: Path,
    cuts: int,
    players: tuple[decoders.Mpg123, decoders.Mpg123],
    report: Report,
) -> None:
    sources = []
    for number in numbers:
        try:
            sources.append(_cut(number, folder, cuts))
        except Mp3Error as error:
            report.outcomes[type(error).__name__] += 1
        except Exception:
            report.findings[number] = traceback.format_exc()
    for source, samples in zip(sources, decoders.ffmpeg([each.path for each in sources]), strict=True):
        source.whole = [samples, players[0](source.path)]
    plain = decoders.ffmpeg([each.ffmpeg_reference for each in sources], gapless=False)
    for source, samples in zip(sources, plain, strict=True):
        source.plain = [samples, players[1](source.reference)]
    heard = iter(decoders.ffmpeg([path for each in sources for _, path in each.clips]))
    for source in sources:
        try:
            wanted = Wanted(source)
        except AssertionError as error:
            report.findings[source.number] = str(error)
            wanted = None
        for span, path in source.clips:
            clip = next(heard), players[0](path)
            if wanted:
                outcome, text = wanted.compare(span, clip)
                report.outcomes[outcome] += 1
                if text:
                    report.findings.setdefault(source.number, text)


def _cut(number: int, folder: Path, cuts: int) -> Source:
    """Write a stream, its reference and clips of it to files."""
    rng = random.Random(~number)
    path = folder / f"{number}.mp3"
    path.write_bytes(stream(number))
    source = Source.of(path, number, rng.choice)
    segment = source.segment
    shortest = -(-segment.header.sample_rate // 10)
    spans = []
    for _ in range(cuts if segment.samples >= shortest else 0):
        length = min(segment.samples, shortest + rng.choice((0, rng.randrange(3000), rng.randrange(9000))))
        last = segment.samples - length
        first = min(last, rng.choice((0, rng.randrange(600), rng.randrange(6000), last, rng.randint(0, last))))
        spans.append(Span(segment, first, first + length))
    source.cut(spans)
    return source


def check(path: Path, spans: Iterable[tuple[int, int]]) -> list[str]:
    """What is wrong with clips of a file's first segment, from some samples to some others; writes beside the file."""
    source = Source.of(path)
    source.cut(Span(source.segment, first, last) for first, last in spans)
    players = decoders.Mpg123(), decoders.Mpg123(gapless=False)
    try:
        source.whole = [*decoders.ffmpeg([source.path]), players[0](source.path)]
        source.plain = [*decoders.ffmpeg([source.ffmpeg_reference], gapless=False), players[1](source.reference)]
        wanted = Wanted(source)
        heard = decoders.ffmpeg([clip for _, clip in source.clips])
        found = [
            wanted.compare(span, (samples, players[0](clip)))
            for (span, clip), samples in zip(source.clips, heard, strict=True)
        ]
    finally:
        for player in players:
            player.close()
    return [text or outcome for outcome, text in found if not outcome.startswith("exact")]


class Wanted:
    """What decoders make of a source, on Slicer's time axis."""

    def __init__(self, source: Source) -> None:
        segment, info = source.segment, source.index.info
        self.channels = segment.header.channels
        self.skip = segment.skip * self.channels
        frame = segment.header.samples * self.channels
        total = segment.frames * frame
        ffmpeg, mpg123 = source.plain
        ffmpeg = ffmpeg[source.ahead * frame :]
        self.whole = ffmpeg, mpg123
        if not len(ffmpeg) == len(mpg123) == total:
            self.whole = ()
        # Behind junk in front, and where the first frames differ, decoders begin at other places than Slicer by its rule (docs/engine.md).
        in_front = source.index.damage.leading_bytes or source.ahead
        plain = len(source.index.segments) == 1 and not source.index.gaps and not in_front
        if plain and not (info and info.frames is not None and info.frames < segment.frames):
            lengths = {len(each) for each in source.whole}
            wanted = segment.samples * self.channels
            if len(lengths) == 1 and _agree(*source.whole):
                assert lengths == {wanted}, f"both decoders play {lengths} values, and {wanted} are there"
        self.apart = _apart(*self.whole, self.channels) if self.whole else set()

    def compare(self, span: Span, clip: tuple["array[float]", "array[float]"]) -> tuple[str, str]:
        """The outcome, and what is wrong."""
        begin, end = self.skip + span.first * self.channels, self.skip + span.last * self.channels
        where = f"{span.first}-{span.last}"
        wrong = [len(each) != end - begin for each in clip]
        if all(wrong) or (any(wrong) and self.whole):
            return "wrong", f"{where}: {[len(each) for each in clip]} values for {end - begin}"
        if not self.whole:
            # One of them gives up on frames of the source, and so it may in the clip.
            return "not to be compared", ""
        step = _GRANULE * self.channels
        groups = range(begin // step, -(-end // step))
        apart = [group for group in groups if group in self.apart]
        source = [each[begin:end] for each in self.whole]
        if not apart and clip[0].tobytes() == source[0].tobytes() and _near(clip[1], source[1]):
            return "exact", ""
        for group in groups:
            low, high = max(begin, group * step), min(end, group * step + step)
            parts = [each[low - begin : high - begin] for each in clip]
            truth = [each[low:high] for each in self.whole]
            if group not in self.apart:
                if parts[0].tobytes() != truth[0].tobytes():
                    return "wrong", f"{where}: ffmpeg, granule {group}"
                if not _near(parts[1], truth[1]):
                    return "wrong", f"{where}: mpg123, granule {group}"
            else:
                around = [value for each in self.whole for value in each[max(0, low - 2 * step) : high + 2 * step]]
                loudest = max(map(abs, around), default=0.0)
                if max(max(map(abs, part), default=0.0) for part in parts) > LOUDER * loudest + 1e-3:
                    return "wrong", f"{where}: noise in granule {group}"
        return "exact where decoders agree", ""


def _differ(data: bytes) -> bool:
    """Whether the first two frames differ in bits that ffmpeg compares."""
    head = streams.header(data)
    return head is not None and len(data) > head.size + 3 and bool((data[3] ^ data[head.size + 3]) & 0xCF)


def _spent(data: bytes) -> bytes:
    """A frame like the first of `data` that decodes to silence and leaves nothing in the reservoir: all its main data is used.

    Its one granule with data has the length of all of it, and no values. Bits of 1 are zeros in the code that ends a granule
    (table A of ISO 11172-3, annex B), of which there are more than enough.
    """
    raw = bytes((0xFF, data[1] | 1, 0x10 | data[2] & 0x0C, data[3] & 0xCF))
    head = streams.header(raw)
    assert head is not None
    side = side_length(head)
    body = head.size - 4 - side
    first = (18 if head.channels == 1 else 20) if head.version == "1" else (9 if head.channels == 1 else 10)
    return raw + (8 * body << side * 8 - first - 12).to_bytes(side, "big") + b"\xff" * body


def _agree(one: "array[float]", other: "array[float]") -> bool:
    return len(one) == len(other) and max(map(abs, map(sub, one, other)), default=0.0) <= AGREE * _scale(one)


def _near(one: "array[float]", other: "array[float]") -> bool:
    return max(map(abs, map(sub, one, other)), default=0.0) <= ROUNDING * _scale(other)


def _scale(samples: "array[float]") -> float:
    return max(1.0, max(samples, default=0.0), -min(samples, default=0.0))


def _apart(one: "array[float]", other: "array[float]", channels: int) -> set[int]:
    """The granules in which two decoders disagree, and their neighbours: what differs goes on in the overlap and the filterbank."""
    step = _GRANULE * channels
    found: set[int] = set()
    scale = AGREE * max(_scale(other), 1.0)
    for number in range(-(-len(one) // step)):
        part, its = one[number * step : (number + 1) * step], other[number * step : (number + 1) * step]
        # A NaN is not within any bound.
        if part.tobytes() != its.tobytes() and not max(map(abs, map(sub, part, its))) <= scale:
            found.update((number - 1, number, number + 1))
    return found


def line_of(report: Report) -> str:
    """One line of what was found."""
    outcomes = ", ".join(f"{name} {count}" for name, count in report.outcomes.most_common())
    return f"cuts: {report.cuts} compared, {len(report.findings)} findings; {outcomes}"
