"""Lists of a bucket's keys, in pages (ListObjectsV2)."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes
from xml.etree import ElementTree

from mp3_slicer.media.library import Entry
from mp3_slicer.objects.client import Client
from mp3_slicer.objects.errors import StoreError

#: Keys on a page, at most.
PAGE = 1000
_SECOND = 1_000_000_000


class Page(NamedTuple):
    """Some keys, in byte order."""

    entries: list[Entry]
    goes_on: bool


def page(client: Client, prefix: bytes, after: bytes, most: int) -> Page:
    """The keys below the client's address that start with `prefix` and come after `after`, without that address. Raises StoreError."""
    root = client.address.prefix
    # In the order of their names, as a signature wants them.
    options = {
        "encoding-type": b"url",
        "list-type": b"2",
        "max-keys": b"%d" % most,
        "prefix": root + prefix,
        "start-after": root + after if after else b"",
    }
    query = "&".join(f"{name}={quote(text, safe='-_.~')}" for name, text in options.items() if text)
    return _parsed(client.page(query), len(root))


def keys(client: Client, prefix: bytes) -> Iterator[bytes]:
    """All keys below the client's address that start with `prefix`, without that address. Raises StoreError."""
    after = b""
    while True:
        found = page(client, prefix, after, PAGE)
        for entry in found.entries:
            yield entry.path
        if not found.entries or not found.goes_on:
            return
        after = found.entries[-1].path


def _parsed(data: bytes, skip: int) -> Page:
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
    return Page(entries, document.findtext("{*}IsTruncated") == "true")


def _text(item: ElementTree.Element, name: str) -> str:
    return item.findtext("{*}" + name) or ""
