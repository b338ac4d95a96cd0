"""Renders and waveforms for requests: parsed, made within the limits and the client's share, and recorded."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

from mp3_slicer.media.shelf import Opened
from mp3_slicer.render import Limits, PeaksRequest, RenderRequest
from mp3_slicer.render.original import Original
from mp3_slicer.render.produce import Around, LimitsOf, Producer, Result
from mp3_slicer.settings import Settings
from mp3_slicer.web.problems import busy, problems
from mp3_slicer.web.quota import Shares
from mp3_slicer.web.request import Pairs, Request

_LOG = logging.getLogger("slicer")
#: Seconds below which work is not begun.
_LEAST_SECONDS = 0.5
#: The option that does not change the result.
DOWNLOAD = "download"
#: Form of a waveform under the source's own name.
_OTHER_NAMES = {"mp3": "json"}


class Making:
    """One object for all threads; only files on disk change."""

    def __init__(self, settings: Settings, producer: Producer, processes: int = 1) -> None:
        """`processes` is how many make results."""
        self.producer = producer
        self._shares = Shares(settings.scratch_dir, processes)
        self._limits = Limits(
            shortest_seconds=settings.min_clip_seconds,
            span_seconds=settings.max_render_seconds,
            output_bytes=settings.max_render_bytes,
            work_seconds=settings.render_seconds,
            memory_bytes=settings.render_memory_bytes,
        )

    def prepare(self) -> None:
        """Make the folders, and remove files of killed processes. A folder that cannot be written is only logged."""
        for work in (self.producer.results.prepare, self.producer.prepare_scratch):
            try:
                work()
            except OSError as error:
                _LOG.error("a folder cannot be used: %s", error)

    def result(
        self, kind: str, request: Request, produce: Callable[[LimitsOf, Around], Result], *, is_brief: bool = False
    ) -> Result:
        """Return the result for a request, and note it in its record.

        Raises Problem: 429 if its client has used its share, 503 if the client has gone, or no time is left.
        """
        began = request.record.began
        result = produce(lambda: self._left(began), lambda: self._making(kind, request, is_brief))
        if not result.was_made:
            request.record.note(kind, "kept")
        return result

    def _left(self, began: float) -> Limits:
        """The limits of a request that began at `began` (time.monotonic): its time until now counts as work."""
        left = self._limits.work_seconds - Fraction(time.monotonic() - began)
        if left < min(Fraction(_LEAST_SECONDS), self._limits.work_seconds / 2):
            raise busy("the file had to be indexed first; try again", 1)
        return replace(self._limits, work_seconds=left)

    @contextmanager
    def _making(self, kind: str, request: Request, is_brief: bool) -> Iterator[None]:
        if request.has_gone:
            # Other clients wait. Work that has begun is finished and stored.
            raise busy("the client went away before the work was begun", 1)
        with self._shares.taken(request.client, is_brief=is_brief):
            began = time.monotonic()
            outcome = "failed"
            try:
                yield
                outcome = "made"
            finally:
                request.record.note(kind, outcome, time.monotonic() - began)


def original_of(opened: Opened) -> Original:
    """An open source as something to make results of."""
    return Original(opened.name, opened.source, opened.index, opened.check_unchanged)


def parse_render(form: str, options: Pairs) -> RenderRequest:
    """The render that the options of a query describe, in the format that a path names. Raises Problem."""
    with problems():
        return RenderRequest.parse(form, [pair for pair in options if pair[0] != DOWNLOAD])


def parse_waveform(suffix: str, options: Pairs) -> PeaksRequest:
    """The waveform that the options of a query describe, in the form that a path names. Raises Problem."""
    with problems():
        return PeaksRequest.parse(_OTHER_NAMES.get(suffix, suffix), options)
