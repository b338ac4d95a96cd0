"""Indexes below a prefix of a bucket, for all slicers of the same media: each object is walked once.

Their keys are PREFIX/MEDIA/NAME: a hash of the URL of the media with the format of indexes, so that several media and releases can have
one prefix, and the name of the index on disk. What is read there is checked as a file on disk is.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from itertools import chain, islice, repeat

from mp3_slicer.media.indexfile import FORMAT_VERSION
from mp3_slicer.media.source import SourceArchivedError, SourceMissingError
from mp3_slicer.media.store import IndexPendingError
from mp3_slicer.objects import listing
from mp3_slicer.objects.address import Address
from mp3_slicer.objects.claims import LEAST_BYTES, Claim, is_alive, walked_of
from mp3_slicer.objects.client import Client, Told
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.signer import s3_signer
from mp3_slicer.settings import Settings

#: Bytes of an index, at most: that of a thousand hours in large frames. Larger ones stay on local disk.
_MOST_BYTES = 16 << 20
#: Seconds to wait for the next bytes, at most: the index can be built instead, and the client waits for it.
_WAIT_SECONDS = 2.0
_DOCTOR = "doctor"
#: Seconds between two looks for an index that another slicer builds; the last is that between all further ones.
_PAUSES = (0.1, 0.2, 0.4, 0.5)
#: How often in a row a claim may be refused while nothing is there.
_MOST_CONFLICTS = 3
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
        self._claims = True
        self.trouble = ""

    def get(self, name: str) -> bytes | None:
        """The bytes of an index, or None."""
        return self._look(name)[0]

    def take(
        self, name: str, size: int, *, goes_on: bool, deadline: float, told: Callable[[int], None]
    ) -> bytes | Claim:
        """The bytes of an index, or the claim with which this slicer builds it; as SharedIndexes has it."""
        claim = Claim(self._client, self._key(name))
        pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
        conflicts = 0
        while True:
            data, age, is_well = self._look(name)
            walked = None if data is None else walked_of(data)
            if data is not None and walked is None:
                return data
            if not (is_well and self._takes and self._claims and size >= LEAST_BYTES):
                return claim
            if (goes_on or walked is None or not is_alive(age)) and claim.put(first=walked is None and not goes_on):
                self._claims = not claim.is_refused
                return claim
            # A store that shows nothing and refuses all the same is not waited for.
            conflicts = conflicts + 1 if walked is None else 0
            if conflicts > _MOST_CONFLICTS:
                return claim
            told(walked or 0)
            pause = next(pauses)
            if time.monotonic() + pause > deadline:
                raise IndexPendingError(min(1.0, (walked or 0) / size))
            time.sleep(pause)

    def _look(self, name: str) -> tuple[bytes | None, float | None, bool]:
        """What is under the key of an index, its age in seconds, and whether the store says so."""
        try:
            data, age = self._client.aged(self._key(name), _MOST_BYTES)
        except (SourceMissingError, SourceArchivedError):
            return None, None, True
        except StoreError as error:
            self._note("read", error)
            return None, None, False
        self._warned.discard("read")
        return data, age, True

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
        if self.put(_DOCTOR, b""):
            self.remove([_DOCTOR])
        return self.trouble

    def has_claims(self) -> bool:
        """Return whether the store keeps a second slicer from claiming what the first has claimed. For those that may write."""
        try:
            self._client.put(self._key(_DOCTOR), b"")
            return not self._client.create(self._key(_DOCTOR), b"")
        except StoreError:
            return False
        finally:
            self.remove([_DOCTOR])

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
