"""The heartbeat of a job: renews its lease while the work goes on, and ends the work once the job is cancelled or lost."""

import signal
import threading
from types import FrameType
from typing import Self

from mp3_slicer.jobs.errors import JobsDownError
from mp3_slicer.jobs.store import JobStore

#: Seconds between two beats: several fit into a lease.
BEAT_SECONDS = 1.0
_SIGNAL = signal.SIGUSR2


class UnwantedError(BaseException):
    """Raised within the work: the job was cancelled, or another worker has it."""


class Heartbeat:
    """While open, a thread beats for a job. Only for the main thread of a process, one at a time."""

    def __init__(self, store: JobStore, name: str, token: str) -> None:
        self._store = store
        self._name = name
        self._token = token
        self._progress = 0.0
        self._armed = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._main = threading.main_thread().ident or 0

    def __enter__(self) -> Self:
        self._previous = signal.signal(_SIGNAL, self._end)
        self._armed = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._armed = False
        self._over.set()
        self._thread.join()
        signal.signal(_SIGNAL, self._previous)

    def progress(self, part: float) -> None:
        """Note the progress, from 0 to 1; the next beat reports it."""
        self._progress = part

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            try:
                wanted = self._store.beat(self._name, self._token, self._progress)
            except JobsDownError:
                continue  # the result counts once Redis answers again
            if not wanted:
                signal.pthread_kill(self._main, _SIGNAL)
                return

    def _end(self, number: int, frame: FrameType | None) -> None:
        # Once: cleaning up must not be interrupted too.
        if self._armed:
            self._armed = False
            raise UnwantedError
