"""The studio: a page to find a file, see it, hear a span of it and take its URL. Its files are read once, at start.

Every file but the page itself has the sum of all of them in its URL, so caches may keep it for good; the page
is revalidated each time, and names the current sum.
"""

import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from mp3_slicer.web.problems import not_found
from mp3_slicer.web.request import Request
from mp3_slicer.web.respond import Data, respond
from mp3_slicer.web.response import REVALIDATE, Caching, Response

#: The one style element of the page that is no file: wavesurfer.js writes it into the shadow root of its waveform. Another version of
#: it, or another initial height of the waveform, needs another sum; the browser names it in its complaint.
WAVEFORM_STYLE = "sha256-SXto/595YqRugVRmHTIfQ17r0KoHkTF5gmxD/q09Shs="
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' '{WAVEFORM_STYLE}'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
#: Caching of the page, and of its files.
PAGE_CACHING = REVALIDATE
FILE_CACHING = Caching(31_536_000, immutable=True)
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_INDEX = "index.html"
#: The placeholder of the sum in the page.
_SUM = b"@sum@"
#: That of the number of processes that draw waveforms.
_RENDERS = b"@renders@"


class File(NamedTuple):
    """One file as it is sent."""

    data: bytes
    content_type: str
    etag: str


class StudioFiles:
    """Responses for the page and its files. One object for all threads; nothing in it changes."""

    def __init__(self, renders: int = 1) -> None:
        """`renders` is how many processes draw waveforms."""
        files = dict(_read(resources.files("mp3_slicer").joinpath("studio")))
        digest = hashlib.blake2b(digest_size=8)
        for name, data in sorted(files.items()):
            digest.update(b"%d %s\n%b" % (len(data), name.encode(), data))
        #: The part of the files' URLs that tells this state of them from all others.
        self.sum = digest.hexdigest()
        self._index = _file(
            _INDEX, files.pop(_INDEX).replace(_SUM, self.sum.encode()).replace(_RENDERS, b"%d" % renders)
        )
        self._files = {f"{self.sum}/{name}": _file(name, data) for name, data in files.items()}

    def page(self, request: Request) -> Response:
        """The page. Raises Problem."""
        return _response(request, self._index, PAGE_CACHING, ("Content-Security-Policy", POLICY))

    def file(self, request: Request) -> Response:
        """One of the page's files: only what was read at start can be named. Raises Problem."""
        found = self._files.get(request.path.decode("latin-1"))
        if found is None:
            raise not_found()
        return _response(request, found, FILE_CACHING)


def _read(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The path and content of each file below a folder that has a type."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield prefix + entry.name, entry.read_bytes()


def _file(name: str, data: bytes) -> File:
    etag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    return File(data, _TYPES[name.rpartition(".")[2]], etag)


def _response(request: Request, file: File, caching: Caching, *more: tuple[str, str]) -> Response:
    # The files are small, and have no date.
    headers = [("Content-Type", file.content_type), *more]
    data = Data(file.data)
    return respond(request, data, headers, etag=file.etag, modified=None, what="file", caching=caching, ranges=False)
