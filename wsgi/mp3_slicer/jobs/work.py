"""The work of a job: open the source, make the result, and store it where servers find it."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from urllib.parse import parse_qsl

from mp3_slicer.jobs.order import Order
from mp3_slicer.media.source import SourceTooLargeError
from mp3_slicer.mp3 import SourceChangedError
from mp3_slicer.objects.choose import indexes_of, library_of, results_place_of
from mp3_slicer.render import Limits, PeaksRequest, RenderRequest
from mp3_slicer.render.audio.progress import Progress
from mp3_slicer.render.drawing import has_parts
from mp3_slicer.render.options import PARTS
from mp3_slicer.render.original import Original
from mp3_slicer.render.produce import Producer
from mp3_slicer.render.shared import store_of
from mp3_slicer.settings import Settings


class NoRoomError(OSError):
    """The result was made and could not be stored."""


class Maker:
    """Makes the results of orders. It holds nothing open between two jobs."""

    def __init__(self, settings: Settings) -> None:
        self._library = library_of(settings)
        self._indexes = indexes_of(settings, seconds=min(settings.job_seconds, Fraction(3600)))
        place = results_place_of(settings, seconds=settings.job_seconds)
        # A result that no server finds is not made.
        results = store_of(settings.results_dir, max_bytes=settings.results_bytes, place=place, strict=True)
        self._producer = Producer(results, settings.scratch_dir)
        self._largest = settings.max_source_bytes
        self._limits = job_limits(settings)

    def prepare(self) -> None:
        """Make the folders. Raises OSError."""
        self._indexes.prepare()
        self._producer.results.prepare()
        self._producer.prepare_scratch()

    def make(self, order: Order, progress: Progress) -> None:
        """Make the result of an order, unless it is stored already.

        Raises SourceMissingError, SourceTooLargeError, SourceChangedError where the source is not the one that was ordered of,
        IndexPendingError, what a render or a waveform raises, and NoRoomError.
        """
        found = self._producer.find(order.key)
        if found is not None:
            found.content.close()
            return
        with self._original(order.path) as original:
            self._make(order, original, progress)

    def draw(self, path: bytes, waveform: PeaksRequest) -> bool:
        """Make a waveform of a source without an order; returns False if it is stored already. Raises as `make` does."""
        with self._original(path) as original:
            result = self._producer.waveform(waveform, original, lambda: self._limits, progress=lambda part: None)
        result.content.close()
        if not result.is_stored:
            raise NoRoomError("the result could not be stored")
        return result.was_made

    def parts_to_draw(self, path: bytes, waveform: PeaksRequest) -> int:
        """The number of parts by which several processes make a waveform; 0 if it is short, or stored already. Raises as `make` does."""
        with self._original(path) as original:
            found = self._producer.find(waveform.key(original.version))
            if found is not None:
                found.content.close()
                return 0
            return PARTS if has_parts(waveform, original, self._limits) else 0

    @contextmanager
    def _original(self, path: bytes) -> Iterator[Original]:
        with self._library.open(path) as source:
            if source.identity.size > self._largest:
                raise SourceTooLargeError(f"the file is larger than {self._largest} bytes")
            yield Original(path, source, self._indexes.get(source), source.check)

    def _make(self, order: Order, original: Original, progress: Progress) -> None:
        pairs = parse_qsl(order.query)
        if order.kind == "render":
            render = RenderRequest.parse(order.form, pairs)
            _check(order, render.key(original.version))
            result = self._producer.render(render, original, lambda: self._limits, progress=progress)
        else:
            waveform = PeaksRequest.parse(order.form, pairs)
            _check(order, waveform.key(original.version))
            result = self._producer.waveform(waveform, original, lambda: self._limits, progress=progress)
        result.content.close()
        if not result.is_stored:
            raise NoRoomError("the result could not be stored")


def job_limits(settings: Settings) -> Limits:
    """The limits of one job."""
    return Limits(
        span_seconds=settings.job_span_seconds,
        output_bytes=min(settings.job_bytes, settings.results_bytes),
        work_seconds=settings.job_seconds,
        memory_bytes=settings.render_memory_bytes,
    )


def _check(order: Order, key: str) -> None:
    """Raise SourceChangedError unless the result has the order's key: else it is of another version of the source."""
    if key != order.key:
        raise SourceChangedError("the source has changed")
