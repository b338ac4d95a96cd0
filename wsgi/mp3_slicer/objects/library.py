"""The media of a store: which keys name a source, and the list of what can be cut."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes
from xml.etree import ElementTree

from mp3_slicer.media.library import Entry, Heard, is_safe, is_source_name
from mp3_slicer.media.source import Source, SourceMissingError
from mp3_slicer.objects.client import Client
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.source import ObjectSource

#: Keys on a page of the store, and pages without any MP3 file after which a list is given up.
_PAGE, _MOST_PAGES = 1000, 100
_SECOND = 1_000_000_000


class ObjectLibrary:
    """The objects below one prefix. Paths are keys from there, byte for byte."""

    def __init__(self, client: Client) -> None:
        self.client = client
        #: Whether there is a list: plain HTTP has none.
        self.can_list = client.address.is_s3

    def open(self, path: bytes) -> ObjectSource:
        """Open the object at a path. Raises SourceMissingError, SourceArchivedError, and StoreError where nobody can tell."""
        if not is_safe(path) or not is_source_name(path) or not _is_utf8(path):
            raise SourceMissingError
        return ObjectSource(self.client, path, self.client.open(path))

    def open_beside(self, path: bytes, ending: bytes) -> ObjectSource:
        """Open an object beside a source, whose key ends in `ending`, by the same rules and with the same errors."""
        if not is_safe(path) or not path.endswith(ending) or not _is_utf8(path):
            raise SourceMissingError
        return ObjectSource(self.client, path, self.client.open(path))

    def beside(self, stem: bytes, names: Sequence[bytes]) -> Collection[bytes]:
        """Those of some paths that the store lists, by one request. An origin has no list, and so no sidecars. Raises StoreError."""
        if not self.can_list or not is_safe(stem) or not _is_utf8(stem):
            return ()
        page = self._page(stem + b".", b"", _PAGE)
        # Behind so many keys of one stem the list says nothing of the others.
        last = page.entries[-1].path if page.goes_on and page.entries else b"\xff"
        found = {entry.path for entry in page.entries}
        return [name for name in names if name in found or name > last]

    def inner_path(self, source: Source) -> bytes:
        """The path of a source: there are no links."""
        url = source.identity.path.decode("ascii")
        target = self.client.address.target(b"")
        return unquote_to_bytes(url.removeprefix(self.client.address.url(target)))

    def is_readable(self) -> bool:
        """Whether the store answers."""
        if not self.can_list:
            return not self.client.breaker.is_open
        try:
            self._page(b"", b"", 1)
        except StoreError:
            return False
        return True

    def list(
        self,
        prefix: bytes = b"",
        after: bytes = b"",
        *,
        hidden: Callable[[bytes], bool] = lambda _: False,
        other: Heard = lambda _: None,
    ) -> Iterator[Entry]:
        """Sources whose path starts with `prefix` and comes after `after`, in byte order of their paths; none that is `hidden`.

        `other` hears of the objects between them that are none.
        A page of keys is in memory at a time. Raises StoreError.
        """
        if not (_is_utf8(prefix) and _is_utf8(after)):
            return
        barren = 0
        while barren < _MOST_PAGES:
            page = self._page(prefix, after, _PAGE)
            barren += 1
            for entry in page.entries:
                path = entry.path
                if not is_source_name(path):
                    other(entry)
                elif is_safe(path) and not hidden(path):
                    barren = 0
                    yield entry
            if not page.entries or not page.goes_on:
                return
            after = page.entries[-1].path
        raise StoreError(f"of {_PAGE * _MOST_PAGES} keys in a row none is an MP3 file")

    def _page(self, prefix: bytes, after: bytes, most: int) -> "_Page":
        root = self.client.address.prefix
        # In the order of their names, as a signature wants them.
        options = {
            "encoding-type": b"url",
            "list-type": b"2",
            "max-keys": b"%d" % most,
            "prefix": root + prefix,
            "start-after": root + after if after else b"",
        }
        query = "&".join(f"{name}={quote(text, safe='-_.~')}" for name, text in options.items() if text)
        return _parsed(self.client.page(query), len(root))


class _Page(NamedTuple):
    entries: list[Entry]
    goes_on: bool


def _parsed(data: bytes, skip: int) -> _Page:
    """A page of ListObjectsV2, its paths without the first `skip` bytes of each key. Raises StoreError."""
    try:
        # The operator's own store; and expat bounds what entities may become.
        document = ElementTree.fromstring(data)  # noqa: S314
        entries = [
            Entry(
                unquote_to_bytes(_text(item, "Key").replace("+", " "))[skip:],
                int(_text(item, "Size")),
                int(datetime.fromisoformat(_text(item, "LastModified")).timestamp()) * _SECOND,
                _text(item, "ETag"),
            )
            for item in document.iterfind("{*}Contents")
        ]
    except (ElementTree.ParseError, ValueError):
        raise StoreError("the store answers with no list") from None
    return _Page(entries, document.findtext("{*}IsTruncated") == "true")


def _text(item: ElementTree.Element, name: str) -> str:
    return item.findtext("{*}" + name) or ""


def _is_utf8(path: bytes) -> bool:
    """Return whether a key can be these bytes."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
