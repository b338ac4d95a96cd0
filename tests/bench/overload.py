"""Renders over HTTP, more than there is room for: what that does to clips, and to renders. Part of `make bench-render`."""

import asyncio
import contextlib
import os
import selectors
import shutil
import socket
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from report import Report

from mp3_slicer.server.machine import cpus, memory_bytes
from mp3_slicer.server.sizes import Sizes, compute
from support.material import long_file
from support.server import Server, folder, serving, status

MINUTES = 60
#: Of a render: ten seconds as MP3, all of it work for a CPU and none for a helper.
LENGTH = 10
SECONDS_CAPACITY, SECONDS_IDLE, SECONDS_FULL, SECONDS_OVERLOAD = 15, 15, 30, 60
#: How often clips are looked at beside renders, each time between two looks at clips alone.
ROUNDS = 4
TIMES = 10
#: Between two looks at the processes; and until an answer is given up, after the last was asked for.
LOOK_SECONDS, ANSWER_SECONDS = 5, 30
#: Between two clips of the one who looks how long they take.
PAUSE = 0.01


def apart() -> None:
    """Have this process share the CPUs with no other client, and with no part of the server: clients are on other machines.

    Linux shares CPUs among sessions first (sched(7), autogroup). Raising the priority of one takes root.
    """
    os.setsid()
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write("-20")


class Targets:
    """URLs of renders of which none is asked for twice, so that none is found among the results."""

    def __init__(self) -> None:
        self._number = 0

    def next(self) -> str:
        self._number += 1
        start = f"{self._number * 7 % (60 * MINUTES - LENGTH)}.{self._number:06d}"
        return f"/renders/show.mp3?t={start},{float(start) + LENGTH:.6f}&gain=-1"


def probe(port: int, seconds: float) -> list[float]:
    """The time that each of many clips takes, one after another, in a process of its own."""
    taken = []
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
        start = number * 11 % (60 * MINUTES - LENGTH)
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            request = (
                f"GET /clips/show.mp3?t={start},{start + LENGTH} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
            )
            connection.sendall(request.encode())
            head = connection.recv(65536)
            assert head.startswith(b"HTTP/1.1 200 "), head[:100]
            while connection.recv(1 << 20):
                pass
        taken.append(1000 * (time.perf_counter() - began))
        time.sleep(PAUSE)
    return taken


async def ask(port: int, target: str) -> tuple[int, float]:
    """The status of an answer, and the seconds to its end."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        while await reader.read(1 << 20):
            pass
    finally:
        writer.close()
    return int(head.split()[1]), time.monotonic() - began


async def closed(port: int, targets: Targets, clients: int, seconds: float) -> list[tuple[int, float]]:
    """So many clients, each of which asks again once it is answered, and a little later where it was refused."""
    answers: list[tuple[int, float]] = []
    end = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < end:
            answers.append(await ask(port, targets.next()))
            if answers[-1][0] != 200:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


def offered(
    port: int, targets: Targets, rate: float, seconds: float, look: Callable[[], None]
) -> list[tuple[int, float]]:
    """Requests at a rate that does not ask whether any was answered; `look` is called every five seconds.

    Status and seconds of each; 0 where there was none `ANSWER_SECONDS` after the last was asked. One thread with bare sockets: what the
    load itself takes of the CPUs, the renders lack.
    """
    began, number, looked = time.monotonic(), 0, 0
    answers: list[tuple[int, float]] = []
    with selectors.DefaultSelector() as waiting:
        while (now := time.monotonic() - began) < seconds or waiting.get_map():
            if now > seconds + ANSWER_SECONDS:
                break
            while number < min(now, seconds) * rate:
                number += 1
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                connection.sendall(
                    f"GET {targets.next()} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode()
                )
                waiting.register(connection, selectors.EVENT_READ, [time.monotonic(), b""])
            if now > looked * LOOK_SECONDS:
                looked += 1
                look()
            due = began + number / rate if now < seconds else began + now + 1
            for key, _ in waiting.select(max(0.0, due - time.monotonic())):
                block = key.fileobj.recv(1 << 18)  # type: ignore[union-attr]
                key.data[1] = key.data[1] or block[:16]
                if not block:
                    answers.append((int(key.data[1].split()[1]), time.monotonic() - key.data[0]))
                    _close(waiting, key)
        for key in list(waiting.get_map().values()):
            answers.append((0, time.monotonic() - key.data[0]))
            _close(waiting, key)
    return answers


def _close(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    waiting.unregister(key.fileobj)
    key.fileobj.close()  # type: ignore[union-attr]


def memory(server: Server) -> float:
    """Resident mebibytes of all processes, shared pages counted for each."""
    return sum(int(status(pid).get("VmRSS", "0").split()[0]) for pid in server.everything()) / 1024


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def measure(report: Report) -> None:
    """Add the rows."""
    sizes = compute(cpus(), memory_bytes())
    media = folder()
    try:
        os.replace(long_file(media, MINUTES), os.path.join(media, "show.mp3"))
        with (
            serving(media) as server,
            ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=apart) as pool,
        ):
            targets = Targets()
            _bulkhead(report, server, sizes, targets, pool)
            _overload(report, server, sizes, targets)
    finally:
        shutil.rmtree(media, ignore_errors=True)


def _bulkhead(report: Report, server: Server, sizes: Sizes, targets: Targets, pool: ProcessPoolExecutor) -> None:
    pool.submit(probe, server.port, 3).result()
    rates, during, ratios = [], [], []
    # By turns: a machine's speed can change within a minute.
    idle = [p95(pool.submit(probe, server.port, SECONDS_IDLE).result())]
    for _ in range(ROUNDS):
        full = pool.submit(probe, server.port, SECONDS_FULL)
        answers = asyncio.run(closed(server.port, targets, sizes.renders_workers + 2, SECONDS_FULL))
        during.append(p95(full.result()))
        idle.append(p95(pool.submit(probe, server.port, SECONDS_IDLE).result()))
        ratios.append(during[-1] / statistics.mean(idle[-2:]))
        rates.append(sum(code == 200 for code, _ in answers) / SECONDS_FULL)
    report.row("renders made meanwhile", rates, "/s")
    report.row("clips while no render is made: p95", idle, "ms")
    report.row("clips while renders are more than full: p95", during, "ms")
    report.row("that against no render", ratios, "×", "≤ 1.5")


def _overload(report: Report, server: Server, sizes: Sizes, targets: Targets) -> None:
    # Always one more than there are processes, so that none waits for the client.
    alone = asyncio.run(closed(server.port, targets, sizes.renders_processes + 1, SECONDS_CAPACITY))
    capacity = sum(code == 200 for code, _ in alone) / SECONDS_CAPACITY
    report.row("renders of 10 s that are made, none refused", [capacity], "/s")
    before = sorted(server.everything())
    sizes_seen: list[float] = []
    own = time.process_time()
    answers = offered(
        server.port, targets, TIMES * capacity, SECONDS_OVERLOAD, lambda: sizes_seen.append(memory(server))
    )
    own = time.process_time() - own
    made = [seconds for code, seconds in answers if code == 200]
    refused = [seconds for code, seconds in answers if code == 503]
    report.row(f"renders offered, {TIMES} times as many", [len(answers) / SECONDS_OVERLOAD], "/s")
    report.row("of them made, against what can be made", [len(made) / SECONDS_OVERLOAD / capacity], "×", "≥ 0.95")
    report.row("part of all CPUs that asking took", [own / SECONDS_OVERLOAD / cpus()], "")
    report.row("neither made nor refused with 503", [len(answers) - len(made) - len(refused)], "", "0")
    report.row("time of a refusal", [1000 * seconds for seconds in refused], "ms", "< 1000")
    report.row("processes that came or went", [len(set(before) ^ set(server.everything()))], "", "0")
    tenth = max(1, len(sizes_seen) // 10)
    report.row(
        "memory of all processes, first and last tenth of it",
        [statistics.mean(sizes_seen[:tenth]), statistics.mean(sizes_seen[-tenth:])],
        "MiB",
        "flat",
    )
