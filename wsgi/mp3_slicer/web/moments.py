"""`/transcripts/<path>.<form>` and `/chapters/<path>.json`, and the spans of clips that are named by either."""

from math import ceil
from urllib.parse import quote

from mp3_slicer.media.shelf import Opened
from mp3_slicer.mp3 import SpanCrossesSegmentsError, SpanOutsideError
from mp3_slicer.tags import chapter_of, write_chapters
from mp3_slicer.tags.chapters import CONTENT_TYPE
from mp3_slicer.timespan import TimeSpan
from mp3_slicer.transcripts import FORMS, Cue, snapped, within, write
from mp3_slicer.web.beside import Beside
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import respond_whole
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.sources import Sources, parse_span, span_problem, split_suffix

#: Seconds for which a transcript and chapters may be reused.
MAX_AGE = 60
_MILLISECOND = 1_000_000
_SNAPS = ("cue",)


class Moments:
    """One object for all threads; it holds nothing that changes."""

    def __init__(self, sources: Sources, beside: Beside) -> None:
        self._sources = sources
        self._beside = beside

    def transcript(self, request: Request) -> Response:
        """The cues of a span, or of the whole source. Raises Problem."""
        stem, form = split_suffix(request.path)
        if form not in FORMS:
            raise _refused("format", f"there are no transcripts as {form[:20]!r}", ", ".join(FORMS))
        span = parse_span(request.option("t"))
        return self._sources.aside(
            request.path,
            lambda: self._sources.at_stem(stem, request, lambda opened: self._transcript(request, opened, form, span)),
        )

    def _transcript(self, request: Request, opened: Opened, form: str, span: TimeSpan) -> Response:
        text = request.option("t")
        if text is not None:
            _begins_within(opened, span.start, text)
        words = self._beside.words(opened, request)
        cues = _cues(words.choice.transcript.cues)
        if text is not None:
            # A clip ends where the audio does.
            start, stop = _milliseconds(span)
            whole = ceil(opened.index.seconds * 1000)
            cues = tuple(within(cues, start, whole if stop is None else min(stop, whole)))
        query = "" if text is None else f"?t={span.canonical}"
        return respond_whole(
            request,
            write(cues, form),
            FORMS[form].content_type,
            what="transcript",
            caching=Caching(MAX_AGE),
            modified=words.modified,
            headers=[("Content-Location", f"{request.prefix}{quote(request.path)}{query}")],
        )

    def chapters(self, request: Request) -> Response:
        """The chapters of a source. Raises Problem."""
        stem, form = split_suffix(request.path)
        if form != "json":
            raise _refused("format", f"there are no chapters as {form[:20]!r}", "json")
        return self._sources.aside(
            request.path,
            lambda: self._sources.at_stem(stem, request, lambda opened: self._chapters(request, opened)),
        )

    def _chapters(self, request: Request, opened: Opened) -> Response:
        found = self._beside.chapters(opened, request)
        if not found.chapters:
            raise Problem(404, "chapters-missing", "this source has no chapters, in its tag or beside it")
        return respond_whole(
            request,
            write_chapters(found.chapters),
            CONTENT_TYPE,
            what="chapters",
            caching=Caching(MAX_AGE),
            modified=found.modified,
        )

    def asked(self, request: Request, options: dict[str, str]) -> TimeSpan:
        """The span that a request for a clip asks for, by `t`, or by `id` of a chapter, moved by `snap`. Raises Problem."""
        text, name, snap = options.get("t"), options.get("id"), options.get("snap")
        if snap is not None and snap not in _SNAPS:
            raise _refused("snap", f"snap={snap[:20]!r} is not known", ", ".join(_SNAPS))
        if name is not None and text is not None:
            raise _refused("id", "id and t both name a span", "either id or t")
        span = parse_span(text)
        if name is None and snap is None:
            return span
        return self._sources.aside(
            request.path,
            lambda: self._sources.at(
                request.path,
                request,
                lambda opened: self._named(request, opened, span, name, is_snapped=snap is not None),
            ),
        )

    def _named(
        self, request: Request, opened: Opened, span: TimeSpan, name: str | None, *, is_snapped: bool
    ) -> TimeSpan:
        if name is not None:
            chapter = chapter_of(self._beside.chapters(opened, request).chapters, name)
            if chapter is None:
                raise Problem(404, "chapter-unknown", f"this source has no chapter {name[:100]!r}", {"id": name[:100]})
            end = None if chapter.end is None else chapter.end * _MILLISECOND
            span = TimeSpan(chapter.start * _MILLISECOND, end)
        if not is_snapped:
            return span
        # Cues may go on behind the audio, and would move a start from there into it.
        _begins_within(opened, span.start, span.canonical)
        cues = _cues(self._beside.words(opened, request).choice.transcript.cues)
        start, stop = snapped(cues, *_milliseconds(span))
        # A border between two milliseconds is left where no cue goes on beyond it.
        return TimeSpan(
            min(span.start, start * _MILLISECOND) if start * _MILLISECOND + _MILLISECOND <= span.start else span.start,
            span.end if span.end is None or stop is None else max(span.end, stop * _MILLISECOND),
        )


def _begins_within(opened: Opened, start: int, text: str) -> None:
    """Raise Problem where the audio ends before a start in nanoseconds; `text` is the span."""
    try:
        opened.index.locate(start, None)
    except SpanCrossesSegmentsError:
        return
    except SpanOutsideError as error:
        raise span_problem(400, "span-outside", str(error), text) from None


def _cues(cues: tuple[Cue, ...]) -> tuple[Cue, ...]:
    """The same, if there are any. Raises Problem 404."""
    if not cues:
        raise Problem(
            404,
            "transcript-missing",
            "no file beside this source has a transcript that can be read; /info names what is wrong with those that are there",
        )
    return cues


def _milliseconds(span: TimeSpan) -> tuple[int, int | None]:
    """A span in whole milliseconds, the start rounded down and the end up."""
    return span.start // _MILLISECOND, None if span.end is None else -(-span.end // _MILLISECOND)


def _refused(option: str, detail: str, allowed: str) -> Problem:
    return Problem(400, "option-refused", f"{detail}; allowed: {allowed}", {"option": option, "allowed": allowed})
