"""`/peaks/<path>.json` and `.dat`: the waveform of `<path>.mp3`."""

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from slicer.media.protected import Permit
from slicer.media.shelf import Opened
from slicer.mp3 import SECOND
from slicer.render import PeaksRequest, PeaksTimeoutError, Version, peaks
from slicer.render.version import etag_of
from slicer.web.problems import busy, cache_control, overstayed
from slicer.web.proxy import elsewhere, is_sent
from slicer.web.respond import Finished, InMemory, answer_of
from slicer.web.response import Response
from slicer.web.workshop import Workshop, problems_of_work, split_suffix

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Under the source's own name it is JSON.
OTHER_NAMES = {"mp3": "json"}


class Waveforms:
    """Answers for waveforms. One object for all threads."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def answer(self, environ: "WSGIEnvironment", path: bytes, pairs: list[tuple[str, str]], permit: Permit) -> Response:
        """The waveform that the options in `pairs` ask for, of the source that `path` names with a form's name. Raises Problem."""
        began = time.monotonic()
        stem, suffix = split_suffix(path)
        form = OTHER_NAMES.get(suffix, suffix)
        with problems_of_work():
            request = PeaksRequest.parse(form, pairs)
        url = f"/peaks/{quote(stem)}.{form}?{request.canonical}"
        # Under another name it is not the canonical one either.
        if is_sent(environ, request.canonical if form == suffix else ""):
            place = stem + b"." + form.encode()
            return elsewhere(environ, b"/peaks/" + place, request.canonical, self._workshop.max_age)
        opened = self._workshop.source(stem, permit)
        with problems_of_work():
            finished, etag = self._finished(environ, request, opened, began)
        headers = [
            ("Content-Type", request.content_type),
            ("Cache-Control", cache_control(self._workshop.max_age)),
            ("Content-Location", url),
        ]
        modified = opened.source.identity.mtime_ns // SECOND
        return answer_of(environ, finished, headers, etag=etag, modified=modified, what="waveform")

    def _finished(
        self, environ: "WSGIEnvironment", request: PeaksRequest, opened: Opened, began: float
    ) -> tuple[Finished, str]:
        """The waveform, as it is kept or as it is made now, and its ETag. Raises Problem 503 with how far it has got."""
        version = Version.of(opened.name, opened.source.identity, opened.index)
        key, partial_key = request.key(version), request.partial_key(version)
        kept = self._workshop.found("peaks", key)
        if kept is not None:
            return kept
        limits = self._workshop.limits(began)
        done = self._workshop.results.get(partial_key)
        partial = b""
        if done is not None:
            with done:
                partial = done.read()
        try:
            with self._workshop.making("peaks", environ):
                drawn = peaks(request, opened.source.fd, opened.index, limits, partial=partial)
        except PeaksTimeoutError as error:
            opened.check_unchanged()
            stored = self._workshop.results.put(partial_key, {}, [error.partial])
            if stored is None:
                # Without a place to keep it the next request would get no further.
                raise overstayed(str(error)) from None
            stored.close()
            problem = busy("the waveform is not finished; try again, and it goes on from there", 1)
            problem.members["progress"] = round(error.progress, 4)
            raise problem from None
        opened.check_unchanged()
        data = drawn.encode(request.form, request.bits)
        made = InMemory(data)
        etag = etag_of([data])
        stored = self._workshop.keep(key, {"content_type": request.content_type}, etag, [data])
        self._workshop.results.drop(partial_key)
        return stored or made, etag
