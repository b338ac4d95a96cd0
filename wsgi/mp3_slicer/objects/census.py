"""Which indexes are of objects that are gone: found by one complete list of the media."""

from collections.abc import Iterable, Iterator
from typing import cast

from mp3_slicer.media.library import Catalog, Entry
from mp3_slicer.media.store import IndexStore
from mp3_slicer.objects.library import ObjectLibrary
from mp3_slicer.objects.shared import BucketIndexes


class Census:
    """Only indexes that were there before the list began are removed: no object that appears meanwhile loses its own."""

    def __init__(self, library: Catalog, store: IndexStore) -> None:
        """Note which indexes are there. `library` is that of a bucket."""
        self._client = cast("ObjectLibrary", library).client
        self._store = store
        self._shared = store.shared if isinstance(store.shared, BucketIndexes) else None
        self._is_complete = False
        self._local = store.names()
        self._remote = set() if self._shared is None else self._shared.names()

    def counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries of the complete list, once each is known to be there."""
        count = 0
        for entry in entries:
            name = self._store.name_of(self._client.url(entry.path))
            self._local.discard(name)
            self._remote.discard(name)
            count += 1
            yield entry
        # A bucket that is empty all at once may be one that was named wrongly.
        self._is_complete = count > 0

    def remove(self) -> int:
        """Remove the indexes of objects that are not in the list, if that was read to its end; returns how many."""
        if not self._is_complete:
            return 0
        gone = self._store.remove(self._local, self._client.url(b""))
        return gone + (self._shared.remove(self._remote) if self._shared is not None else 0)
