"""From a request to its result, for web and jobs: find it, or make it, check that its source is unchanged, and store it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction

from mp3_slicer.media.source import Source
from mp3_slicer.mp3 import Index
from mp3_slicer.render.audio.progress import Progress
from mp3_slicer.render.audio.render import render
from mp3_slicer.render.audio.scratch import prepare
from mp3_slicer.render.content import Content, InMemory
from mp3_slicer.render.errors import PeaksTimeoutError
from mp3_slicer.render.limits import Deadline, Limits
from mp3_slicer.render.peaks import Peaks, peaks
from mp3_slicer.render.request import PeaksRequest, RenderRequest
from mp3_slicer.render.resultfile import Facts
from mp3_slicer.render.results import ResultStore
from mp3_slicer.render.version import Version, etag_of

#: Seconds of work on a waveform between two reports, at first; and reports between two partial results that are stored.
_SLICE_SECONDS, _STORE_EVERY = 2, 10


@dataclass(frozen=True, slots=True)
class Original:
    """An open source of a result."""

    path: bytes  #: from the media folder
    source: Source
    index: Index
    check: Callable[[], None]  #: raises SourceChangedError if it was written to since it was opened

    @property
    def version(self) -> Version:
        """Its version."""
        return Version.of(self.path, self.source.identity, self.index)


@dataclass(frozen=True, slots=True)
class Result:
    """A finished result."""

    content: Content
    etag: str  #: strong, in quotes
    is_stored: bool  #: whether it is in the store of results; else it was made, and there was no room for it
    was_made: bool  #: whether it was made for this


#: Limits, known once a result is not found, and a context in which it is made.
LimitsOf = Callable[[], Limits]
Around = Callable[[], AbstractContextManager[None]]


class Producer:
    """Makes results. One object for all threads; only files on disk change."""

    def __init__(self, results: ResultStore, scratch: str) -> None:
        """`scratch` is the folder for files without a name."""
        self.results = results
        self._scratch = scratch

    def prepare_scratch(self) -> None:
        """Make the folder for files without a name, and empty it. Raises OSError."""
        prepare(self._scratch)

    def find(self, key: str) -> Result | None:
        """The stored result of a name."""
        stored = self.results.get(key)
        if stored is None:
            return None
        etag = stored.facts.get("etag")
        if isinstance(etag, str):
            return Result(stored, etag, is_stored=True, was_made=False)
        stored.close()
        return None

    def render(
        self,
        request: RenderRequest,
        original: Original,
        limits: LimitsOf,
        *,
        around: Around = nullcontext,
        progress: Progress | None = None,
    ) -> Result:
        """The result of a render. Raises what `render` raises, and SourceChangedError."""
        key = request.key(original.version)
        found = self.find(key)
        if found is not None:
            return found
        allowed = limits()
        with around():
            made = render(request, original.source, original.index, allowed, scratch=self._scratch, progress=progress)
        try:
            # A file that was written to meanwhile gives an unknown result. A file that was renamed over is still the old one.
            original.check()
            return self._stored(key, made.facts, made, made.pieces)
        except BaseException:
            made.close()
            raise

    def waveform(
        self,
        request: PeaksRequest,
        original: Original,
        limits: LimitsOf,
        *,
        around: Around = nullcontext,
        progress: Progress | None = None,
    ) -> Result:
        """Return the result of a waveform; with `progress`, in slices of time, reporting after each.

        At the timeout the partial result is stored, and the next call continues it. Raises what `peaks` raises, whose
        PeaksTimeoutError says whether the partial result is stored, and SourceChangedError.
        """
        version = original.version
        key, partial_key = request.key(version), request.partial_key(version)
        found = self.find(key)
        if found is not None:
            return found
        allowed = limits()
        partial = self._partial(partial_key)
        with around():
            if progress is None:
                drawn = self._at_once(request, original, allowed, partial_key, partial)
            else:
                drawn = self._in_slices(request, original, allowed, partial_key, partial, progress)
        original.check()
        data = drawn.encode(request.form, request.bits)
        result = self._stored(key, {"content_type": request.content_type}, InMemory(data), lambda: [data])
        self.results.partials.drop(partial_key)
        return result

    def _at_once(
        self, request: PeaksRequest, original: Original, limits: Limits, partial_key: str, partial: bytes
    ) -> Peaks:
        try:
            return peaks(request, original.source, original.index, limits, partial=partial)
        except PeaksTimeoutError as pause:
            original.check()
            pause.is_stored = self._store_partial(partial_key, pause.partial)
            raise

    def _in_slices(
        self,
        request: PeaksRequest,
        original: Original,
        limits: Limits,
        partial_key: str,
        partial: bytes,
        progress: Progress,
    ) -> Peaks:
        deadline = Deadline(limits.work_seconds)
        seconds, rounds = Fraction(_SLICE_SECONDS), 0
        while True:
            allowed = replace(limits, work_seconds=seconds)
            try:
                return peaks(request, original.source, original.index, allowed, partial=partial)
            except PeaksTimeoutError as pause:
                deadline.check()
                if len(pause.partial) == len(partial):
                    seconds *= 2  # a pixel that takes longer than that
                partial = pause.partial
                progress(pause.progress)
            rounds += 1
            if rounds % _STORE_EVERY == 0:
                # Should this process be killed, the next one goes on from here: not from pixels of a file half overwritten.
                original.check()
                self._store_partial(partial_key, partial)

    def _partial(self, key: str) -> bytes:
        stored = self.results.partials.get(key)
        if stored is None:
            return b""
        with stored:
            return stored.read()

    def _store_partial(self, key: str, partial: bytes) -> bool:
        stored = self.results.partials.put(key, {}, [partial])
        if stored is None:
            return False
        stored.close()
        return True

    def _stored(self, key: str, facts: Facts, made: Content, pieces: Callable[[], Iterable[bytes]]) -> Result:
        """Return the result from the store if there is room for it; else as it was made."""
        etag = etag_of(pieces())
        stored = self.results.put(key, {**facts, "etag": etag}, pieces())
        if stored is None:
            return Result(made, etag, is_stored=False, was_made=True)
        made.close()
        return Result(stored, etag, is_stored=True, was_made=True)
