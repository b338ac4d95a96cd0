"""A client that sends requests all the time, to see the effects of other actions on a server."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Self


class Asking:
    """Asks in some threads while the block runs, and counts what `ask` returns, or what connections fail with."""

    def __init__(self, ask: Callable[[], Hashable], threads: int = 4, pause: float = 0.0) -> None:
        self.answers: Counter[Hashable] = Counter()
        self.slowest = 0.0
        self._ask = ask
        self._pause = pause
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(threads)]

    def _go_on(self) -> None:
        while not self._end.wait(self._pause):
            started = time.monotonic()
            try:
                got = self._ask()
            except OSError as error:
                got = repr(error)
            with self._lock:
                self.answers[got] += 1
                self.slowest = max(self.slowest, time.monotonic() - started)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
