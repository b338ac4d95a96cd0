"""From a request to its result, for web and jobs: find it, or make it, check that its source is unchanged, and store it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace

from mp3_slicer.render.audio.progress import Progress
from mp3_slicer.render.audio.render import render
from mp3_slicer.render.audio.scratch import prepare
from mp3_slicer.render.content import Content, InMemory
from mp3_slicer.render.drawing import Drawer
from mp3_slicer.render.limits import Limits
from mp3_slicer.render.options import PARTS
from mp3_slicer.render.original import Original
from mp3_slicer.render.peaks import cut, is_cut
from mp3_slicer.render.request import PeaksRequest, RenderRequest
from mp3_slicer.render.resultfile import Facts
from mp3_slicer.render.results import ResultStore
from mp3_slicer.render.version import etag_of


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
        self._drawer = Drawer(results.partials)

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
        """Return the result of a waveform, or of a part of it; with `progress`, in slices of time, reporting after each.

        At the timeout the partial result is stored, and the next call continues it. Once the last part is there, the whole is stored
        in place of the parts. Raises what `peaks` raises, whose PeaksTimeoutError says whether the partial result is stored, and
        SourceChangedError.
        """
        key = request.key(original.version)
        found = self.find(key)
        if found is not None and request.part == PARTS:
            # The process that stored the last one may have been killed before it put them together.
            self._complete(request.whole, original)
        found = found or self._part_of_whole(request, original, progress is not None)
        if found is not None:
            return found
        allowed = limits()
        with around():
            data = self._drawer.draw(request, original, allowed, progress)
        original.check()
        result = self._stored(key, {"content_type": request.content_type}, InMemory(data), lambda: [data])
        self._drawer.forget(request, original)
        if request.part is not None:
            self._complete(request.whole, original)
        return result

    def _part_of_whole(self, request: PeaksRequest, original: Original, is_job: bool) -> Result | None:
        """The part of a stored whole; a job's is stored, because it is found by its own name only."""
        found = self.find(request.whole.key(original.version)) if is_cut(request) else None
        if found is None:
            return None
        with closing(found.content):
            data = cut(b"".join(found.content.pieces()), request)
        content = InMemory(data)
        if is_job:
            stored = self._stored(
                request.key(original.version), {"content_type": request.content_type}, content, lambda: [data]
            )
            return replace(stored, was_made=False)
        return Result(content, etag_of([data]), is_stored=True, was_made=False)

    def _complete(self, whole: PeaksRequest, original: Original) -> None:
        """Store a waveform whose parts are all stored, in place of them."""
        data = self._drawer.joined(whole, original) if whole.form == "dat" else None
        if data is None:
            return
        result = self._stored(
            whole.key(original.version), {"content_type": whole.content_type}, InMemory(data), lambda: [data]
        )
        result.content.close()
        if result.is_stored:
            self._drawer.forget(whole, original)

    def _stored(self, key: str, facts: Facts, made: Content, pieces: Callable[[], Iterable[bytes]]) -> Result:
        """Return the result from the store if there is room for it; else as it was made."""
        etag = etag_of(pieces())
        stored = self.results.put(key, {**facts, "etag": etag}, pieces())
        if stored is None:
            return Result(made, etag, is_stored=False, was_made=True)
        made.close()
        return Result(stored, etag, is_stored=True, was_made=True)
