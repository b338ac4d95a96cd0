"""`make bench-jobs`: what it takes to accept a job, and to hold those who wait for it."""

import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

from report import Report

from support.hold import Held, House, answers, house_of
from support.jobs import broker_of
from support.material import long_file
from support.server import folder, status, until

ROUNDS = 3
#: Jobs asked for each second, and for how many of them.
RATE, SECONDS = 200, 5
#: Clients to hold, as far as the limit of open files goes: each has a descriptor here and one at Nginx.
CLIENTS = 9000
FILES = 20_000
#: Clients that come together, and how many of these groups come a second: fewer than the server can be asked about.
GROUP, GROUPS = 10, 25
#: Seconds between two signs of life to all who are held; and, with room for the last answers, in which they come. One that lasts longer
#: would only be more of the same: who is held costs nothing until the next sign of life.
LIFE, FILL = 50, 45


def accepting(house: House, number: int) -> list[float]:
    """Milliseconds until each job was accepted, counted from when it was due to be asked for."""
    times: list[float] = []

    async def one(due: float, each: int) -> None:
        body = json.dumps({"request": f"/renders/show.opus?t={each % 3000},{3100 + number}.{each + 1:05d}1"}).encode()
        head = f"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", house.edge.port)
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 202"), answer[:400]
        times.append(1000 * (time.perf_counter() - due))

    async def everybody() -> None:
        began, tasks = time.perf_counter(), []
        for each in range(RATE * SECONDS):
            due = began + each / RATE
            await asyncio.sleep(max(0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(due, each)))
        await asyncio.gather(*tasks)

    asyncio.run(everybody())
    return times


def asked(house: House) -> int:
    """Questions that Nginx has for the server; the kernel picks them out, for a list of all who are held takes longer than asking."""
    words = ["ss", "-Htn", "state", "established", "dport", "=", f":{house.server.port}"]
    return len(subprocess.run(words, capture_output=True, check=True).stdout.splitlines())


def holding(report: Report, house: House) -> None:
    """The job takes minutes, so all wait until it is cancelled."""
    target = house.post("/renders/long.m4a?t=0,14000")
    worker = house.place.worker("--short", "0", "--long", "1", "--grace", "0")
    try:
        until(lambda: house.state(target) == "running", 60, "it is being worked on")
        threads = {pid: status(pid)["Threads"] for pid in house.server.daemons("clips")}

        def memory() -> int:
            return sum(int(status(pid)["VmRSS"].split()[0]) for pid in house.edge.workers())

        # Just after a sign of life, so that none comes meanwhile.
        assert Held(house, target + "/wait").all()[1]["state"] == "running"
        before, began, held = memory(), time.monotonic(), []
        while len(held) < CLIENTS and time.monotonic() - began < FILL:
            held += [Held(house, target + "/wait") for _ in range(GROUP)]
            time.sleep(max(0.0, began + len(held) / (GROUP * GROUPS) - time.monotonic()))
            if not len(held) % (GROUP * GROUPS):
                until(lambda: asked(house) < 2 * GROUP, 30, "Nginx has few questions")
        report.row("clients that come to be held", [len(held) / (time.monotonic() - began)], "/s")
        until(lambda: house.connections() == 0, 30, "nobody behind Nginx has to do with them")
        report.row("clients held at once", [len(held)], "", f"≥ {CLIENTS}")
        report.row("Nginx's memory for each", [(memory() - before) / len(held)], "KiB", "< 16")
        same = {pid: status(pid)["Threads"] for pid in house.server.daemons("clips")} == threads
        report.row("connections to Apache, and Python threads more", [house.connections() + (not same)], "", "0")
        assert house.state(target) == "running"
        house.cancel(target)
        report.row("all are answered after", [max(answers(held, 60))], "s", "< 2")
        wrong = sum(each.parsed()[1].get("state") != "cancelled" for each in held)
        report.row("answered otherwise", [wrong], "", "0")
    finally:
        worker.stop()


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    report = Report("jobs")
    media, work = folder(), tempfile.mkdtemp(prefix="slicer-bench-")
    try:
        os.link(long_file(work, 60), os.path.join(media, "show.mp3"))
        os.link(long_file(work, 600), os.path.join(media, "long.mp3"))
        # One client asks for all of them.
        most = {"SLICER_JOBS_WAITING": "100000", "SLICER_JOBS_CLIENT": "100000"}
        settings = {**most, "SLICER_JOBS_LIFE_SECONDS": str(LIFE)}
        nginx = {
            "nginx_max_clients": FILES,
            "nginx_hold_ping_seconds": 30,
            "nginx_hold_memory": "256M",
            "nginx_hold_seconds": 2 * LIFE,
        }
        with broker_of() as broker, house_of(media, broker, settings, **nginx) as house:
            accepting(house, 0)
            rounds = [accepting(house, number + 1) for number in range(ROUNDS)]
            report.row("accepting a job, median", [statistics.median(each) for each in rounds], "ms")
            p95 = [statistics.quantiles(each, n=20)[-1] for each in rounds]
            report.row(f"accepting a job at {RATE} a second, p95", p95, "ms", "< 20")
        with broker_of() as broker, house_of(media, broker, settings, **nginx) as house:
            holding(report, house)
    finally:
        shutil.rmtree(media, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
    report.write()


if __name__ == "__main__":
    main()
