"""`/peaks/<path>.json` and `.dat`: the waveform of `<path>.mp3`."""

from urllib.parse import quote

from mp3_slicer.media.shelf import Opened
from mp3_slicer.mp3 import SECOND
from mp3_slicer.render import PeaksRequest, PeaksTimeoutError
from mp3_slicer.render.produce import Around, LimitsOf, Result
from mp3_slicer.settings import Settings
from mp3_slicer.web.making import Making, original_of, parse_waveform
from mp3_slicer.web.problems import busy, overstayed, problems
from mp3_slicer.web.proxy import is_sent, redirect
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import Streamed, respond
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.sources import Sources, split_suffix

#: Seconds of a file at most, a sixteenth of which is drawn in 2 or 3 s of CPU.
_BRIEF_SECONDS = 4 * 3600


class Waveforms:
    """Responses for waveforms. One object for all threads."""

    def __init__(self, settings: Settings, sources: Sources, making: Making) -> None:
        self._sources = sources
        self._making = making
        self._max_age = settings.clip_max_age

    def get(self, request: Request) -> Response:
        """The waveform that a request asks for, of the source that its path names with a form's name. Raises Problem."""
        stem, suffix = split_suffix(request.path)
        wanted = parse_waveform(suffix, request.options)
        # Another name is not the canonical URL either.
        if is_sent(request, wanted.canonical if wanted.form == suffix else ""):
            path = request.prefix.encode() + stem + b"." + wanted.form.encode()
            return redirect(request, path, wanted.canonical, self._max_age)
        opened = self._sources.find(stem, request)
        with problems():
            result = self._making.result(
                "peaks",
                request,
                lambda limits, around: self._made(wanted, opened, limits, around),
                is_brief=wanted.part is not None and opened.index.seconds <= _BRIEF_SECONDS,
            )
        return respond(
            request,
            Streamed(result.content),
            [
                ("Content-Type", wanted.content_type),
                ("Content-Location", f"{request.prefix}{quote(stem)}.{wanted.form}?{wanted.canonical}"),
            ],
            etag=result.etag,
            modified=opened.source.identity.mtime_ns // SECOND,
            what="waveform",
            caching=Caching(self._max_age),
        )

    def _made(self, wanted: PeaksRequest, opened: Opened, limits: LimitsOf, around: Around) -> Result:
        """The result. Raises Problem 503 with how far it has got where the time is used up."""
        try:
            return self._making.producer.waveform(wanted, original_of(opened), limits, around=around)
        except PeaksTimeoutError as error:
            if not error.is_stored:
                # Unless it is stored, the next request would get no further.
                raise overstayed(str(error)) from None
            problem = busy("the waveform is not finished; try again, and it goes on from there", 1)
            problem.members["progress"] = round(error.progress, 4)
            raise problem from None
