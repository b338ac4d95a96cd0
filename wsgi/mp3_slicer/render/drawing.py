"""Waveforms as files: drawn at once or part by part, in slices of time, and put together from their parts."""

from dataclasses import replace
from fractions import Fraction
from functools import partial

from mp3_slicer.render.audio.progress import Progress
from mp3_slicer.render.errors import PeaksTimeoutError
from mp3_slicer.render.limits import Deadline, Limits
from mp3_slicer.render.original import Original
from mp3_slicer.render.peaks import Peaks, join, layout, peaks
from mp3_slicer.render.request import PeaksRequest
from mp3_slicer.render.resultfile import Facts
from mp3_slicer.render.results import ResultStore
from mp3_slicer.render.version import etag_of

#: Seconds of work on a waveform between two reports, at first; and reports between two partial results that are stored.
_SLICE_SECONDS, _STORE_EVERY = 2, 10
#: Seconds of audio from which on a waveform is drawn by its parts, and pixels that it then has at least: each part decodes up to 6 s more.
PARTS_FROM, _PARTS_PIXELS = 600, 1000


class Drawer:
    """Draws waveforms. One object for all threads; only files on disk change."""

    def __init__(self, results: ResultStore) -> None:
        """`results` are those of this machine: parts that others have drawn are drawn again."""
        self._results = results

    def draw(
        self, request: PeaksRequest, original: Original, limits: Limits, progress: Progress | None = None
    ) -> bytes:
        """The file of a waveform, or of a part. The parts of a long one are stored as they are drawn, and those stored are not drawn again.

        Raises what `peaks` raises; at the timeout, what is done is stored.
        """
        if not has_parts(request, original, limits):
            return self._one(request, original, limits, progress)
        deadline = Deadline(limits.work_seconds)
        parts = request.parts
        drawn: list[bytes] = []
        for number, part in enumerate(parts):
            low = number / len(parts)
            data = self._read(part.key(original.version))
            if not data:
                left = replace(limits, work_seconds=Fraction(deadline.left))
                try:
                    data = self._one(part, original, left, progress and _scaled(progress, low, len(parts)))
                except PeaksTimeoutError as pause:
                    pause.progress = low + pause.progress / len(parts)
                    raise
                original.check()
                facts = {"content_type": part.content_type, "etag": etag_of([data])}
                self._store(part.key(original.version), facts, data)
            drawn.append(data)
            if progress:
                progress(len(drawn) / len(parts))
        return join(request.form, drawn)

    def joined(self, whole: PeaksRequest, original: Original) -> bytes | None:
        """The file of a waveform whose parts are all stored; None where one is missing."""
        drawn: list[bytes] = []
        # The last one is the one that is missing most likely.
        for part in reversed(whole.parts):
            data = self._read(part.key(original.version))
            if not data:
                return None
            drawn.append(data)
        return join(whole.form, drawn[::-1])

    def forget(self, request: PeaksRequest, original: Original) -> None:
        """Remove what is not needed once a waveform is there: its partial result, and its parts."""
        version = original.version
        self._results.drop(request.partial_key(version))
        if request.part is None:
            for part in request.parts:
                self._results.drop(part.key(version))
                self._results.drop(part.partial_key(version))

    def _one(self, request: PeaksRequest, original: Original, limits: Limits, progress: Progress | None) -> bytes:
        draw = self._at_once if progress is None else partial(self._in_slices, progress)
        drawn = draw(request, original, limits, self._read(request.partial_key(original.version)))
        return drawn.encode(request.form, request.bits)

    def _at_once(self, request: PeaksRequest, original: Original, limits: Limits, begun: bytes) -> Peaks:
        try:
            return peaks(request, original.source, original.index, limits, partial=begun)
        except PeaksTimeoutError as pause:
            original.check()
            pause.is_stored = self._store(request.partial_key(original.version), {}, pause.partial)
            raise

    def _in_slices(
        self, progress: Progress, request: PeaksRequest, original: Original, limits: Limits, begun: bytes
    ) -> Peaks:
        deadline = Deadline(limits.work_seconds)
        seconds, rounds = Fraction(_SLICE_SECONDS), 0
        while True:
            allowed = replace(limits, work_seconds=seconds)
            try:
                return peaks(request, original.source, original.index, allowed, partial=begun)
            except PeaksTimeoutError as pause:
                deadline.check()
                if len(pause.partial) == len(begun):
                    seconds *= 2  # a pixel that takes longer than that
                begun = pause.partial
                progress(pause.progress)
            rounds += 1
            if rounds % _STORE_EVERY == 0:
                # Should this process be killed, the next one goes on from here: not from pixels of a file half overwritten.
                original.check()
                self._store(request.partial_key(original.version), {}, begun)

    def _read(self, key: str) -> bytes:
        stored = self._results.get(key)
        if stored is None:
            return b""
        with stored:
            return stored.read()

    def _store(self, key: str, facts: Facts, data: bytes) -> bool:
        stored = self._results.put(key, facts, [data])
        if stored is None:
            return False
        stored.close()
        return True


def has_parts(request: PeaksRequest, original: Original, limits: Limits) -> bool:
    """Return whether a waveform is drawn part by part. Raises what `layout` raises."""
    if request.part is not None or request.coarse:
        return False
    span, _, pixels = layout(request, original.index, limits)
    return pixels >= _PARTS_PIXELS and span.last - span.first >= PARTS_FROM * span.segment.header.sample_rate


def _scaled(progress: Progress, low: float, parts: int) -> Progress:
    return lambda done: progress(low + done / parts)
