"""What goes wrong while the stack is used: one fault after another, each over before the next."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

from soak.stack import GROWING, REPLACED, TRUNCATED, Stack
from support.server import until

#: Seconds after a fault is over in which requests that were under way may still come to their end.
GRACE = 1.0
#: Seconds until what was broken is whole again.
WHOLE_SECONDS = 60
#: Times that the growing file is appended to before it begins anew.
GROWTHS = 20


class Fault(NamedTuple):
    """One that was injected, and when; `breaks` says whether a connection may be lost by it."""

    name: str
    began: float
    ended: float
    breaks: bool


class Faults:
    """Injects one at a time while the block runs, in an order that is shuffled anew each round."""

    def __init__(self, stack: Stack, every: float, seed: int) -> None:
        self._stack = stack
        self._every = every
        self._random = random.Random(seed)
        self._end = threading.Event()
        self._growths = 0
        self.done: list[Fault] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        server = stack.server
        #: By name: whether connections may be lost by it, and what does it.
        self.kinds: dict[str, tuple[bool, Callable[[], object]]] = {
            "a daemon of clips killed": (True, lambda: self._kill_one(server.daemons("clips"))),
            "a daemon of renders killed": (True, lambda: self._kill_one(server.daemons("renders"))),
            "a child of Apache killed": (True, lambda: self._kill_one(server.children())),
            "a daemon of clips standing still": (False, self._stand_still),
            "a worker of Nginx killed": (True, lambda: self._kill_one(stack.edge.workers())),
            "Nginx told to read its configuration": (False, stack.edge.reload),
            "Redis killed and started": (False, self._redis),
            "all workers killed and started": (False, self._workers),
            "a process with a job killed": (False, self._job_process),
            "a source replaced": (False, self._replace),
            "a source appended to": (False, self._grow),
            "a source truncated, then whole": (False, self._truncate),
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(2 * WHOLE_SECONDS)
        if self.error is not None:
            raise self.error

    def covers(self, began: float, ended: float) -> bool:
        """Whether a request that was under way then may have been lost by a fault."""
        return any(fault.breaks and began <= fault.ended and ended >= fault.began for fault in self.done)

    def _go_on(self) -> None:
        names: list[str] = []
        try:
            while not self._end.wait(self._every):
                if not names:
                    names = list(self.kinds)
                    self._random.shuffle(names)
                name = names.pop()
                breaks, do = self.kinds[name]
                began = time.monotonic()
                do()
                self._until_whole()
                self.done.append(Fault(name, began, time.monotonic() + GRACE, breaks))
        except BaseException as error:  # it is told at the end of the block
            self.error = error

    def _until_whole(self) -> None:
        server = self._stack.server

        def whole() -> bool:
            with contextlib.suppress(OSError):
                return server.get("/healthz")[0] == 200 and bool(server.daemons("clips") and server.daemons("renders"))
            return False

        until(whole, WHOLE_SECONDS, "the server answers again")

    def _kill_one(self, pids: list[int]) -> None:
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self._random.choice(pids), signal.SIGKILL)

    def _stand_still(self) -> None:
        pid = self._random.choice(self._stack.server.daemons("clips"))
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _redis(self) -> None:
        self._stack.broker.kill()
        time.sleep(2)
        self._stack.broker.start()

    def _workers(self) -> None:
        self._stack.worker.kill()
        self._stack.worker = self._stack.place.worker("--short", "1", "--long", "1")

    def _job_process(self) -> None:
        worker = self._stack.worker
        self._kill_one(worker.processes("short") + worker.processes("long"))

    def _replace(self) -> None:
        media = self._stack.media
        media.publish(media.state(self._random.choice(media.steady[:2])), REPLACED)

    def _grow(self) -> None:
        media = self._stack.media
        data = media.state(media.steady[0])
        self._growths = (self._growths + 1) % GROWTHS
        if not self._growths:
            media.publish(data, GROWING)
        with open(media.served / GROWING, "ab") as file:
            file.write(data)

    def _truncate(self) -> None:
        media = self._stack.media
        whole = media.state(media.steady[0])
        os.truncate(media.served / TRUNCATED, len(whole) // 2)
        time.sleep(2)
        media.publish(whole, TRUNCATED)
