"""`/renders/<path>.<format>?t=a,b&…`: a span of `<path>.mp3`, decoded, changed and encoded."""

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from slicer.media.protected import Permit
from slicer.media.shelf import Opened
from slicer.mp3 import SECOND
from slicer.render import RenderRequest, Version, render
from slicer.render.version import etag_of
from slicer.web.disposition import attachment
from slicer.web.problems import cache_control
from slicer.web.proxy import elsewhere, is_sent
from slicer.web.respond import Finished, answer_of
from slicer.web.response import Response
from slicer.web.workshop import Workshop, problems_of_work, split_suffix

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_DOWNLOAD = "download"


class Renders:
    """Answers for renders. One object for all threads."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def answer(self, environ: "WSGIEnvironment", path: bytes, pairs: list[tuple[str, str]], permit: Permit) -> Response:
        """The render that the options in `pairs` ask for, of the source that `path` names with a format's name. Raises Problem."""
        began = time.monotonic()
        stem, form = split_suffix(path)
        with problems_of_work():
            request = RenderRequest.parse(form, [pair for pair in pairs if pair[0] != _DOWNLOAD])
        url = f"/renders/{quote(path)}?{request.canonical}"
        disposition = _disposition(path, request, dict(pairs).get(_DOWNLOAD))
        if is_sent(environ, request.canonical):
            return elsewhere(environ, b"/renders/" + path, request.canonical, self._workshop.max_age, disposition)
        opened = self._workshop.source(stem, permit)
        with problems_of_work():
            finished, etag = self._finished(environ, request, opened, began)
        headers = [
            ("Content-Type", request.format.content_type),
            ("Cache-Control", cache_control(self._workshop.max_age)),
            ("Content-Location", url),
        ]
        modified = opened.source.identity.mtime_ns // SECOND
        return answer_of(
            environ, finished, headers, etag=etag, modified=modified, what="render", disposition=disposition
        )

    def _finished(
        self, environ: "WSGIEnvironment", request: RenderRequest, opened: Opened, began: float
    ) -> tuple[Finished, str]:
        """The result, as it is kept or as it is made now, and its ETag."""
        key = request.key(Version.of(opened.name, opened.source.identity, opened.index))
        kept = self._workshop.found("render", key)
        if kept is not None:
            return kept
        limits = self._workshop.limits(began)
        with self._workshop.making("render", environ):
            made = render(request, opened.source.fd, opened.index, limits, scratch=self._workshop.scratch)
        try:
            # Written to while it was read: then nobody knows what this is of. A file that was renamed over is still the old one.
            opened.check_unchanged()
            etag = etag_of(made.pieces())
            stored = self._workshop.keep(key, made.facts, etag, made.pieces())
        except BaseException:
            made.close()
            raise
        if stored is None:
            return made, etag
        made.close()
        return stored, etag


def _disposition(path: bytes, request: RenderRequest, name: str | None) -> str | None:
    """The Content-Disposition of a download called `name`, None where none is asked for."""
    if name is None:
        return None
    spans = "_".join(span.canonical for span in request.spans)
    return attachment(name, path, spans, f".{request.format.name}")
