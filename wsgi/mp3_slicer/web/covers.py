"""`/covers/<path>.mp3`: the picture of a source."""

from mp3_slicer.media.shelf import Opened
from mp3_slicer.mp3 import SECOND
from mp3_slicer.web.beside import Beside
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import respond_whole
from mp3_slicer.web.response import Caching, Response
from mp3_slicer.web.sources import Sources

#: Seconds for which a cover may be reused.
MAX_AGE = 3600


class Covers:
    """One object for all threads; it holds nothing that changes."""

    def __init__(self, sources: Sources, beside: Beside) -> None:
        self._sources = sources
        self._beside = beside

    def get(self, request: Request) -> Response:
        """The picture of the source at a path. Raises Problem."""
        path = request.path
        return self._sources.aside(
            path, lambda: self._sources.at(path, request, lambda opened: self._cover(request, opened))
        )

    def _cover(self, request: Request, opened: Opened) -> Response:
        found = self._beside.cover(opened, request)
        if found is None:
            raise Problem(404, "cover-missing", "this source has no picture, in its tag or beside it")
        return respond_whole(
            request,
            found.cover.data,
            found.cover.content_type,
            what="cover",
            caching=Caching(MAX_AGE),
            modified=found.mtime_ns // SECOND,
        )
