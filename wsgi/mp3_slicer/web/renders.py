"""`/renders/<path>.<format>?t=a,b&…`: a span of `<path>.mp3`, decoded, changed and encoded."""

from urllib.parse import quote

from mp3_slicer.mp3 import SECOND
from mp3_slicer.render import RenderRequest
from mp3_slicer.settings import Settings
from mp3_slicer.web.disposition import attachment
from mp3_slicer.web.making import DOWNLOAD, Making, original_of, parse_render
from mp3_slicer.web.problems import problems
from mp3_slicer.web.proxy import is_sent, redirect
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import Streamed, respond
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.sources import Sources, split_suffix


class Renders:
    """Responses for renders. One object for all threads."""

    def __init__(self, settings: Settings, sources: Sources, making: Making) -> None:
        self._sources = sources
        self._making = making
        self._max_age = settings.clip_max_age

    def get(self, request: Request) -> Response:
        """The render that a request asks for, of the source that its path names with a format's name. Raises Problem."""
        stem, form = split_suffix(request.path)
        wanted = parse_render(form, request.options)
        disposition = _disposition(request.path, wanted, request.option(DOWNLOAD))
        if is_sent(request, wanted.canonical):
            path = request.prefix.encode() + request.path
            return redirect(request, path, wanted.canonical, self._max_age, disposition)
        opened = self._sources.find(stem, request)
        with problems():
            result = self._making.result(
                "render",
                request,
                lambda limits, around: self._making.producer.render(wanted, original_of(opened), limits, around=around),
            )
        return respond(
            request,
            Streamed(result.content),
            [
                ("Content-Type", wanted.format.content_type),
                ("Content-Location", f"{request.prefix}{quote(request.path)}?{wanted.canonical}"),
            ],
            etag=result.etag,
            modified=opened.source.identity.mtime_ns // SECOND,
            what="render",
            caching=Caching(self._max_age),
            full=None if disposition is None else [("Content-Disposition", disposition)],
        )


def _disposition(path: bytes, wanted: RenderRequest, name: str | None) -> str | None:
    """The Content-Disposition of a download called `name`, None where none is asked for."""
    if name is None:
        return None
    spans = "_".join(span.canonical for span in wanted.spans)
    return attachment(name, path, spans, f".{wanted.format.name}")
