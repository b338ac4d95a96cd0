"""The work that a job is: a source is opened, what was ordered is made of it, and the result is put where servers find it."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from urllib.parse import parse_qsl

from slicer.jobs.order import Order
from slicer.media.library import Library
from slicer.media.source import Source, SourceTooLargeError
from slicer.media.store import IndexStore
from slicer.mp3 import Index, SourceChangedError
from slicer.render import Limits, PeaksRequest, PeaksTimeoutError, RenderRequest, Results, Version, peaks, render
from slicer.render.audio.progress import Progress
from slicer.render.audio.scratch import prepare
from slicer.render.limits import Deadline
from slicer.render.results import Facts
from slicer.render.version import etag_of
from slicer.settings import Settings

#: Seconds of work on a waveform between two reports, to begin with; and reports between two times that what is done is kept.
_SLICE_SECONDS, _KEEP_EVERY = 2, 10


class NoRoomError(OSError):
    """The result was made and could not be kept."""


class Workshop:
    """Everything that work needs. It holds nothing open between two jobs."""

    def __init__(self, settings: Settings) -> None:
        self._library = Library(settings.media)
        self._indexes = IndexStore(settings.index_dir, seconds=min(settings.job_seconds, Fraction(3600)))
        self._results = Results(settings.results_dir, max_bytes=settings.results_bytes)
        self._scratch = settings.scratch_dir
        self._largest = settings.max_source_bytes
        self._limits = job_limits(settings)

    def prepare(self) -> None:
        """Make the folders. Raises OSError."""
        self._indexes.prepare()
        self._results.prepare()
        prepare(self._scratch)

    def make(self, order: Order, progress: Progress) -> None:
        """Make what is ordered, unless it is there already.

        Raises SourceMissingError, SourceTooLargeError, SourceChangedError where the source is not the one that was ordered of,
        IndexPendingError, what a render or a waveform raises, and NoRoomError.
        """
        found = self._results.get(order.key)
        if found is not None:
            found.close()
            return
        with self._library.open(order.path) as source:
            if source.identity.size > self._largest:
                raise SourceTooLargeError(f"the file is larger than {self._largest} bytes")
            index = self._indexes.get(source)
            if order.kind == "render":
                self._render(order, source, index, progress)
            else:
                self._peaks(order, source, index, progress)

    def _render(self, order: Order, source: Source, index: Index, progress: Progress) -> None:
        request = RenderRequest.parse(order.form, parse_qsl(order.query))
        _check(order, request.key(Version.of(order.path, source.identity, index)))
        with render(request, source.fd, index, self._limits, scratch=self._scratch, progress=progress) as made:
            source.check()
            self._keep(order.key, {**made.facts, "etag": etag_of(made.pieces())}, made.pieces())

    def _peaks(self, order: Order, source: Source, index: Index, progress: Progress) -> None:
        request = PeaksRequest.parse(order.form, parse_qsl(order.query))
        version = Version.of(order.path, source.identity, index)
        _check(order, request.key(version))
        key = request.partial_key(version)
        found = self._results.get(key)
        partial = b""
        if found is not None:
            with found:
                partial = found.read()
        deadline = Deadline(self._limits.work_seconds)
        seconds, rounds = Fraction(_SLICE_SECONDS), 0
        while True:
            try:
                made = peaks(request, source.fd, index, replace(self._limits, work_seconds=seconds), partial=partial)
                break
            except PeaksTimeoutError as pause:
                deadline.check()
                if len(pause.partial) == len(partial):
                    seconds *= 2  # a pixel that takes longer than that
                partial = pause.partial
                progress(pause.progress)
            rounds += 1
            if rounds % _KEEP_EVERY == 0:
                # Whoever takes over, should this process be killed, goes on from here: not from pixels of a file half overwritten.
                source.check()
                kept = self._results.put(key, {}, [partial])
                if kept is not None:
                    kept.close()
        source.check()
        data = made.encode(request.form, request.bits)
        self._keep(order.key, {"content_type": request.content_type, "etag": etag_of([data])}, [data])
        self._results.drop(key)

    def _keep(self, key: str, facts: Facts, pieces: Iterable[bytes]) -> None:
        kept = self._results.put(key, facts, pieces)
        if kept is None:
            raise NoRoomError("the result could not be kept")
        kept.close()


def job_limits(settings: Settings) -> Limits:
    """What one job may take."""
    return Limits(
        span_seconds=settings.job_span_seconds,
        output_bytes=min(settings.job_bytes, settings.results_bytes),
        work_seconds=settings.job_seconds,
        memory_bytes=settings.render_memory_bytes,
    )


def _check(order: Order, key: str) -> None:
    """Raise SourceChangedError unless the result has the name under which it was ordered: else it is of another version of the source."""
    if key != order.key:
        raise SourceChangedError("the source is another one by now")
