"""Files of results below a prefix of a bucket, by their names."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mp3_slicer.media.source import SourceArchivedError, SourceMissingError
from mp3_slicer.objects import listing
from mp3_slicer.objects.address import Address
from mp3_slicer.objects.client import Client, Told
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.signer import s3_signer
from mp3_slicer.settings import Settings

#: Bytes of a file, at most: what S3 takes in one request.
_MOST_BYTES = 5 << 30
#: Seconds for which nothing is sent after a refusal, which comes behind a whole file.
_REFUSED_SECONDS = 60.0


class BucketResults:
    """Safe for any number of threads."""

    def __init__(self, client: Client, *, seconds: float, most: int) -> None:
        """`seconds` are for the whole of a file that is fetched, which has `most` bytes at most."""
        self._client = client
        self._seconds = seconds
        self._most = min(most, _MOST_BYTES)
        self._refusal = ""
        self._refused_until = 0.0

    @contextmanager
    def fetched(self, key: str) -> Iterator[Iterator[bytes] | None]:
        """The pieces of a file, None where there is none. Raises StoreError."""
        try:
            body = self._client.stream(key.encode("ascii"), self._most, self._seconds)
        except (SourceMissingError, SourceArchivedError):
            yield None
            return
        try:
            yield iter(body.read, b"")
        finally:
            body.close()

    def holds(self, key: str) -> bool:
        """Return whether there is a file. Raises StoreError."""
        try:
            self._client.open(key.encode("ascii"))
        except (SourceMissingError, SourceArchivedError):
            return False
        return True

    def store(self, key: str, file: BinaryIO) -> None:
        """Store a file, whole or not at all. Raises StoreError."""
        if file.seek(0, 2) > self._most:
            raise StoreError(f"it is larger than {self._most} bytes")
        if time.monotonic() < self._refused_until:
            raise StoreError(self._refusal, is_repeat=True)
        try:
            self._client.put(key.encode("ascii"), file)
        except StoreError as error:
            if not error.is_fault and not error.is_repeat:
                self._refusal = error.strerror or ""
                self._refused_until = time.monotonic() + _REFUSED_SECONDS
            raise

    def remove(self, key: str) -> None:
        """Remove a file, if there is one. Raises StoreError."""
        self._client.delete(key.encode("ascii"))

    def check(self) -> str:
        """Return why results cannot be written, empty where they can. Raises StoreError where they cannot even be listed."""
        listing.page(self._client, b"", b"", 1)
        try:
            self._client.put(b"doctor", b"")
            self._client.delete(b"doctor")
        except StoreError as error:
            return error.strerror or ""
        return ""


def bucket_results(settings: Settings, *, seconds: float, threads: int, told: Told) -> BucketResults:
    """The place of shared results, in the store that the settings name."""
    signer, region = s3_signer(settings.objects_region)
    address = Address.of(settings, region, settings.shared_results)
    client = Client(
        address,
        signer,
        seconds=float(settings.objects_seconds),
        threads=threads,
        ca=settings.objects_ca,
        told=told,
    )
    return BucketResults(client, seconds=seconds, most=settings.results_bytes)
