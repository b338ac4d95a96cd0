"""A circuit breaker: when a store is down, requests are refused at once, and no thread waits for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mp3_slicer.objects.errors import StoreError

#: Failures in a row after which requests are refused, and the seconds until one may try again.
FAILURES, PAUSE_SECONDS = 4, 2.0
#: Seconds after which a request counts as slow.
SLOW_SECONDS = 1.0


class Breaker:
    """One for a store and process. Safe for any number of threads."""

    def __init__(self, most_slow: int) -> None:
        """`most_slow` is how many requests may wait long at a time; all further ones are refused while they do."""
        self._most = most_slow
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_from = 0.0
        self._probe = -1
        self._began: dict[int, float] = {}
        self._next = 0

    @property
    def is_open(self) -> bool:
        """Return whether requests are refused."""
        return self._failures >= FAILURES

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Let one request through. Raises StoreError, at once, where the store is down or too many wait for it."""
        now = time.monotonic()
        with self._lock:
            if self._failures >= FAILURES:
                if now < self._closed_from or self._probe in self._began:
                    raise StoreError("the store does not answer", is_repeat=True)
                # This one tries; the others go on being refused meanwhile.
                self._probe = self._next + 1
            elif sum(now - began > SLOW_SECONDS for began in self._began.values()) >= self._most:
                raise StoreError("too many requests wait for the store", is_repeat=True)
            self._next += 1
            number = self._next
            self._began[number] = now
        try:
            yield
        finally:
            with self._lock:
                del self._began[number]

    def succeeded(self) -> None:
        """Note that the store answered."""
        if self._failures:
            with self._lock:
                self._failures = 0

    def failed(self) -> None:
        """Note that it did not, or with an error of its own."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES:
                self._closed_from = time.monotonic() + PAUSE_SECONDS
