"""The studio: a page to find a file, see it, hear a span of it and take its URL. Its files are read once, at start.

Every file but the page itself has the sum of all of them in its URL, so it never changes there and a cache may keep it for good; the
page is asked for anew each time, and names the sum that is right.
"""

import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, NamedTuple

from slicer.web.outcome import outcome_of
from slicer.web.problems import not_found
from slicer.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

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
#: How long caches may keep the page, and its files.
PAGE_CACHING = "no-cache"
FILE_CACHING = "public, max-age=31536000, immutable"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_IGNORED = frozenset({"HTTP_RANGE", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"})
_INDEX = "index.html"
#: What stands in the page where the sum belongs.
_SUM = b"@sum@"


class File(NamedTuple):
    """One file as it is sent."""

    data: bytes
    content_type: str
    etag: str


class Page:
    """Answers for the page and its files. One object for all threads; nothing in it changes."""

    def __init__(self) -> None:
        files = dict(_read(resources.files("slicer").joinpath("studio")))
        digest = hashlib.blake2b(digest_size=8)
        for name, data in sorted(files.items()):
            digest.update(b"%d %s\n%b" % (len(data), name.encode(), data))
        #: The part of the files' URLs that tells this state of them from all others.
        self.sum = digest.hexdigest()
        self._index = _file(_INDEX, files.pop(_INDEX).replace(_SUM, self.sum.encode()))
        self._files = {f"{self.sum}/{name}": _file(name, data) for name, data in files.items()}

    def index(self, environ: "WSGIEnvironment") -> Response:
        """The page. Raises Problem."""
        return _answer(environ, self._index, PAGE_CACHING, [("Content-Security-Policy", POLICY)])

    def file(self, environ: "WSGIEnvironment", path: bytes) -> Response:
        """One of the page's files, by its path behind /studio/: only what was read at start can be named. Raises Problem."""
        found = self._files.get(path.decode("latin-1"))
        if found is None:
            raise not_found()
        return _answer(environ, found, FILE_CACHING, [])


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


def _answer(environ: "WSGIEnvironment", file: File, caching: str, headers: list[tuple[str, str]]) -> Response:
    headers = [
        ("Content-Type", file.content_type),
        ("Cache-Control", caching),
        ("ETag", file.etag),
        *headers,
    ]
    # The files are small: a Range on one is ignored, as RFC 9110 section 14.2 allows. They have no date, so none is compared.
    plain = {name: value for name, value in environ.items() if name not in _IGNORED}
    outcome = outcome_of(plain, etag=file.etag, modified=0, length=len(file.data), what="file")
    if outcome.status == 304:
        return Response(304, headers, ())
    return Response(200, [*headers, ("Content-Length", str(len(file.data)))], [file.data])
