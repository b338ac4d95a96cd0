"""The media of a store: which keys name a source, and the list of what can be cut."""

from collections.abc import Callable, Collection, Iterator, Sequence
from urllib.parse import unquote_to_bytes

from mp3_slicer.media.library import Entry, Heard, Inventory, is_safe, is_source_name
from mp3_slicer.media.source import Source, SourceMissingError
from mp3_slicer.objects.client import Client
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.listing import PAGE, page
from mp3_slicer.objects.source import ObjectSource

#: Pages without any MP3 file after which a list is given up.
_MOST_PAGES = 100


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
        found = page(self.client, stem + b".", b"", PAGE)
        # Behind so many keys of one stem the list says nothing of the others.
        last = found.entries[-1].path if found.goes_on and found.entries else b"\xff"
        there = {entry.path for entry in found.entries}
        return [name for name in names if name in there or name > last]

    def inventory(self, endings: Sequence[bytes]) -> Inventory:
        """A new list, which notes the objects whose keys end so."""
        return KeyInventory(self, endings)

    def inner_path(self, source: Source) -> bytes:
        """The path of a source: there are no links."""
        return unquote_to_bytes(source.identity.path.removeprefix(self.client.url(b"")))

    def is_readable(self) -> bool:
        """Whether the store answers."""
        if not self.can_list:
            return not self.client.breaker.is_open
        try:
            page(self.client, b"", b"", 1)
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
            found = page(self.client, prefix, after, PAGE)
            barren += 1
            for entry in found.entries:
                path = entry.path
                if not is_source_name(path):
                    other(entry)
                elif is_safe(path) and not hidden(path):
                    barren = 0
                    yield entry
            if not found.entries or not found.goes_on:
                return
            after = found.entries[-1].path
        raise StoreError(f"of {PAGE * _MOST_PAGES} keys in a row none is an MP3 file")


class KeyInventory:
    """The objects of a list. In memory, each that is a source or lies beside one takes half a kilobyte."""

    def __init__(self, library: ObjectLibrary, endings: Sequence[bytes]) -> None:
        self._library = library
        self._endings = tuple(endings)
        self._versions: dict[bytes, str] = {}

    def sources(self) -> Iterator[Entry]:
        """List the sources, and note what lies between them."""
        return self._library.list(other=self._hear)

    def versions(self, paths: Sequence[bytes]) -> dict[bytes, str]:
        """Of those of some keys that were listed, what changes whenever the object does."""
        return {path: self._versions[path] for path in paths if path in self._versions}

    def _hear(self, entry: Entry) -> None:
        if entry.path.endswith(self._endings) and is_safe(entry.path):
            self._versions[entry.path] = f"{entry.size}.{entry.mtime_ns}.{entry.tag}"


def _is_utf8(path: bytes) -> bool:
    """Return whether a key can be these bytes."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
