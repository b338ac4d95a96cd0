"""Indexes below a prefix of a bucket, for all slicers of the same media: each object is walked once.

Their keys are PREFIX/MEDIA/NAME: a hash of the URL of the media with the format of indexes, so that several media and releases can have
one prefix, and the name of the index on disk. What is read there is checked as a file on disk is.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable
from itertools import islice

from mp3_slicer.media.indexfile import FORMAT_VERSION
from mp3_slicer.media.source import SourceArchivedError, SourceMissingError
from mp3_slicer.objects import listing
from mp3_slicer.objects.address import Address
from mp3_slicer.objects.client import Client, Told
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.signer import s3_signer
from mp3_slicer.settings import Settings

#: Bytes of an index, at most: that of a thousand hours in large frames. Larger ones stay on local disk.
_MOST_BYTES = 16 << 20
#: Seconds to wait for the next bytes, at most: the index can be built instead, and the client waits for it.
_WAIT_SECONDS = 2.0
#: Names that are in memory at a time when obsolete ones are looked for.
_MOST_NAMES = 5_000_000


class BucketIndexes:
    """The shared indexes of one media. Safe for any number of threads; nothing but `check` raises."""

    def __init__(self, client: Client, folder: bytes, warn: Callable[[str], object]) -> None:
        """`folder` is that of the media, below the client's prefix, with a slash. `warn` is told once of each trouble."""
        self._client = client
        self._folder = folder
        self._warn = warn
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._takes = True
        self.trouble = ""

    def get(self, name: str) -> bytes | None:
        """The bytes of an index, or None."""
        try:
            data = self._client.whole(self._key(name), _MOST_BYTES)
        except (SourceMissingError, SourceArchivedError):
            return None
        except StoreError as error:
            self._note("read", error)
            return None
        self._warned.discard("read")
        return data

    def put(self, name: str, data: bytes) -> bool:
        """Store an index, whole or not at all; returns whether it is stored. A refusal ends this for the life of the object."""
        if len(data) > _MOST_BYTES:
            self.trouble = f"it is larger than {_MOST_BYTES} bytes"
            return False
        if not self._takes:
            return False
        try:
            self._client.put(self._key(name), data)
        except StoreError as error:
            self.trouble = error.strerror or ""
            # Whatever is neither a fault nor a pause is a refusal: these credentials may read alone.
            self._takes = error.is_fault or error.is_repeat
            self._note("written", error)
            return False
        self.trouble = ""
        self._warned.discard("written")
        return True

    def names(self) -> set[str]:
        """The names of those that are there, up to a number; none where they cannot be listed."""
        try:
            found = islice(listing.keys(self._client, self._folder), _MOST_NAMES)
            return {key[len(self._folder) :].decode("ascii", "replace") for key in found}
        except StoreError as error:
            self._note("listed", error)
            return set()

    def remove(self, names: Iterable[str]) -> int:
        """Remove some; returns how many are removed. A failure ends it."""
        gone = 0
        try:
            for name in names:
                self._client.delete(self._key(name))
                gone += 1
        except StoreError as error:
            self._note("removed", error)
        return gone

    def check(self) -> str:
        """Return why indexes cannot be written, empty where they can. Raises StoreError where they cannot even be listed."""
        listing.page(self._client, self._folder, b"", 1)
        if self.put("doctor", b""):
            self.remove(["doctor"])
        return self.trouble

    def _key(self, name: str) -> bytes:
        return self._folder + name.encode("ascii")

    def _note(self, what: str, error: StoreError) -> None:
        """Warn, once until the same works again."""
        with self._lock:
            is_first = what not in self._warned
            self._warned.add(what)
        if is_first:
            self._warn(f"shared indexes cannot be {what}, going on without: {error.strerror}")


def shared_indexes(settings: Settings, *, threads: int, told: Told, warn: Callable[[str], object]) -> BucketIndexes:
    """The shared indexes of the settings' media, in the store that the settings name."""
    signer, region = s3_signer(settings.objects_region)
    media = Address.of(settings, region)
    seconds = min(float(settings.objects_seconds), _WAIT_SECONDS)
    address = Address.of(settings, region, settings.shared_indexes)
    client = Client(address, signer, seconds=seconds, threads=threads, ca=settings.objects_ca, told=told)
    url = media.url(media.target(b"")).encode("ascii", "replace")
    folder = hashlib.blake2b(b"%d\0%b" % (FORMAT_VERSION, url), digest_size=16).hexdigest()
    return BucketIndexes(client, folder.encode() + b"/", warn)
