"""Claims: a line under the key of a shared index says that a slicer builds it now, and others wait for that one.

A claim is put only where nothing is under the key, by If-None-Match, and the index replaces it. It counts while it is young: its slicer
puts it again as the build goes on, so one that was killed holds the others up for some seconds. Its age is the difference between two
times that the store gives, so no clock of a slicer matters. Where a store ignores If-None-Match, or gives no times, each slicer builds.
"""

import re
import time
from collections.abc import Callable

from mp3_slicer.objects.client import Client
from mp3_slicer.objects.errors import StoreError

#: Seconds for which a claim counts, and those after which it is put again: times of stores are whole seconds, so it has two tries.
ALIVE_SECONDS, _BEAT_SECONDS = 6.0, 2.0
#: Bytes from which on an object is worth a claim, which is one request more before the first byte is read.
LEAST_BYTES = 4 << 20
_LINE = b"slicer claim %d\n"
_FOUND = re.compile(rb"slicer claim ([0-9]{1,19})\n", re.ASCII)


def walked_of(data: bytes) -> int | None:
    """The bytes that the slicer with a claim has walked; None where these bytes are no claim."""
    found = _FOUND.fullmatch(data)
    return int(found[1]) if found else None


def is_alive(age: float | None) -> bool:
    """Return whether a claim of this age in seconds counts; one whose age nobody knows does not."""
    return age is not None and abs(age) <= ALIVE_SECONDS


class Claim:
    """The claim of one build, held or not. One thread uses it; nothing is raised."""

    def __init__(self, client: Client, key: bytes) -> None:
        self._client = client
        self._key = key
        self._is_held = False
        self._next = 0.0
        self.is_refused = False  #: whether the store refuses such requests

    def put(self, *, first: bool) -> bool:
        """Claim the index; False where, with `first`, something is under its key. A store that fails or refuses costs the claim alone."""
        try:
            if first:
                self._is_held = self._client.create(self._key, _LINE % 0)
                taken = not self._is_held
            else:
                self._client.put(self._key, _LINE % 0)
                self._is_held, taken = True, False
        except StoreError as error:
            self.is_refused = first and not (error.is_fault or error.is_repeat)
            return True
        self._next = time.monotonic() + _BEAT_SECONDS
        return not taken

    def beside(self, told: Callable[[int], None]) -> Callable[[int], None]:
        """Return what hears how far the walk is, tells `told`, and now and then puts the claim again."""

        def hear(walked: int) -> None:
            told(walked)
            if self._is_held and time.monotonic() >= self._next:
                try:
                    self._client.put(self._key, _LINE % walked)
                except StoreError:
                    self._is_held = False
                self._next = time.monotonic() + _BEAT_SECONDS

        return hear

    def release(self) -> None:
        """Let others build at once."""
        if self._is_held:
            self._is_held = False
            try:
                self._client.delete(self._key)
            except StoreError:
                return  # it ages
