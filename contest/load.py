"""The load: requests that begin when their time has come, whether or not earlier ones were answered, and whose every byte is checked.

Latency counts from the moment at which a request was due, so a server that stands still is charged for all who would have come
meanwhile (no coordinated omission).
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Connections that are open at a time at most; who comes beyond is counted as failed at once.
MOST = 3000
#: Seconds between two looks at a server's processes at most, unless one look takes very long.
LOOK = 2.0


def digest(body: bytes) -> bytes:
    """What stands for the bytes of an answer."""
    return hashlib.blake2b(body, digest_size=16).digest()


class Want(NamedTuple):
    """A request, and the digest that its answer's body must have."""

    target: str
    digest: bytes


class Sample(NamedTuple):
    """What became of a request. Times in seconds from the beginning of the load."""

    due: float
    ended: float
    status: int  #: 0 where there was no whole answer before the client went away
    right: bool  #: 200, and every byte as it must be
    wrong: bool  #: 200, and other bytes

    @property
    def latency(self) -> float:
        """Seconds from when it was due."""
        return self.ended - self.due


class Load:
    """A kind of request at a steady rate, from clients who go away after `patience` seconds, for `longer` seconds than the others."""

    def __init__(
        self, port: int, wants: Sequence[Want], rate: float, patience: float, *, longer: float = 0, seed: int = 1
    ) -> None:
        self.samples: list[Sample] = []
        self._port = port
        self._wants = wants
        self._rate = rate
        self._patience = patience
        self._longer = longer
        self._random = random.Random(seed)
        self._open = 0

    async def run(self, seconds: float, began: float) -> None:
        """Ask for so long, and wait for what was asked."""
        tasks = []
        for number in range(int((seconds + self._longer) * self._rate)):
            due = number / self._rate
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(began, due)))
        if tasks:
            await asyncio.wait(tasks)

    async def _one(self, began: float, due: float) -> None:
        want = self._random.choice(self._wants)
        code, right, wrong = 0, False, False
        if self._open < MOST:
            self._open += 1
            try:
                async with asyncio.timeout(self._patience):
                    code, body = await fetch(self._port, want.target)
                right = code == 200 and digest(body) == want.digest
                wrong = code == 200 and not right
            except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                pass
            finally:
                self._open -= 1
        self.samples.append(Sample(due, time.perf_counter() - began, code, right, wrong))


async def fetch(port: int, target: str) -> tuple[int, bytes]:
    """Status and whole body of one answer. Raises OSError, ValueError or IncompleteReadError where it is not whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 18)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        code = int(head.split(" ", 2)[1])
        if "\r\ncontent-length:" in head:
            length = int(head.partition("\r\ncontent-length:")[2].partition("\r\n")[0])
            return code, await reader.readexactly(length)
        if "\r\ntransfer-encoding: chunked" in head:
            body = bytearray()
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            return code, bytes(body)
        return code, await reader.read()
    finally:
        writer.close()


def together(
    loads: Sequence[Load], seconds: float, watch: Callable[[], None] | None = None, every: float = 0.25
) -> float:
    """Run loads side by side; `watch` is called now and then in a thread meanwhile. How long all answers took, in seconds."""

    async def everything() -> float:
        began = time.perf_counter()
        watcher = asyncio.create_task(_watch(watch, every)) if watch else None
        await asyncio.gather(*(load.run(seconds, began) for load in loads))
        if watcher:
            watcher.cancel()
        return time.perf_counter() - began

    return asyncio.run(everything())


async def _watch(watch: Callable[[], None], every: float) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.to_thread(watch)
        took = time.perf_counter() - began
        # Looking takes CPU time that the server lacks, and more where there are many processes: a fortieth of one CPU at most.
        await asyncio.sleep(max(every, 40 * took, min(LOOK, 200 * took)))


async def _closed(port: int, wants: Sequence[Want], clients: int, seconds: float, patience: float) -> list[Sample]:
    began = time.perf_counter()
    draw = random.Random(clients)
    samples: list[Sample] = []

    async def client() -> None:
        while (now := time.perf_counter() - began) < seconds:
            want = draw.choice(wants)
            code, right = 0, False
            try:
                async with asyncio.timeout(patience):
                    code, body = await fetch(port, want.target)
                right = code == 200 and digest(body) == want.digest
            except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)
            samples.append(Sample(now, time.perf_counter() - began, code, right, code == 200 and not right))

    await asyncio.gather(*(client() for _ in range(clients)))
    return samples


def closed(port: int, wants: Sequence[Want], clients: int, seconds: float, patience: float) -> list[Sample]:
    """So many clients, each of which asks again as soon as it has its answer."""
    return asyncio.run(_closed(port, wants, clients, seconds, patience))
