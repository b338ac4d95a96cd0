"""`make bench-objects`: clips of a bucket (SeaweedFS on loopback, 20 ms away) beside those of a folder. Ratios of one run."""

import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from report import Report

from mp3_slicer.server.sizes import CLIP_MILLISECONDS
from support.exposition import parse, value
from support.material import long_file
from support.server import Server, descendants, folder, free_port, publish, serving
from support.store import Store, stored

#: Seconds that the proxy holds each piece back in one direction, connections, seconds of a measurement, clips that are compared.
DELAY, CONNECTIONS, SECONDS, CLIPS = 0.02, 200, 10, 1000
HOUR, LENGTH = 3600, 10
_TICKS = os.sysconf("SC_CLK_TCK")


class Distance:
    """A proxy that makes a store seem `DELAY` further away."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._target = port
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._run, args=(ready,), daemon=True).start()
        ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20))
        ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target, limit=1 << 20)
        await asyncio.gather(self._pass(reader, back, DELAY), self._pass(there, writer, 0), return_exceptions=True)

    @staticmethod
    async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
        try:
            while data := await source.read(1 << 18):
                if delay:
                    await asyncio.sleep(delay)
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()


def cpu_of(server: Server) -> float:
    """Seconds of CPU of all its processes that live."""
    total = 0
    for pid in descendants(server.pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                total += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        except OSError:
            continue
    return total / _TICKS


def load(server: Server, script: str) -> tuple[float, float]:
    """Clips a second of many connections, and seconds of CPU for each."""
    before = cpu_of(server)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "30s", "-s", script, server.url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    assert found, said
    served = int(found[1]) - (int(refused[1]) if refused else 0)
    return served / SECONDS, (cpu_of(server) - before) / served


def store_numbers(server: Server) -> tuple[float, float]:
    samples = parse(server.get("/metrics")[2].decode())
    return value(samples, "slicer_store_requests_total", outcome="2xx"), value(samples, "slicer_store_bytes_total")


def compare(report: Report, near: Server, far: Server) -> None:
    """The same clips of both: bytes, and what it took to read them."""
    starts = random.Random(1).sample(range(HOUR - LENGTH), CLIPS)
    targets = [f"/clips/show.mp3?t={start},{start + LENGTH}" for start in starts]
    for target in targets[:20]:  # all processes know the source
        far.get(target)
    before = store_numbers(far)
    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(lambda target: far.get(target)[2], targets))
        wanted = list(pool.map(lambda target: near.get(target)[2], targets))
    after = store_numbers(far)
    same = sum(one == other for one, other in zip(bodies, wanted, strict=True))
    report.row("clips byte-identical to those of a folder", [same], "", f"{CLIPS}")
    report.row("GETs for a clip of 10 s, index warm", [(after[0] - before[0]) / CLIPS], "", "1")
    report.row("bytes read ÷ bytes sent", [(after[1] - before[1]) / sum(map(len, bodies))], "×", "≤ 1.25")


def cold(report: Report, store: Store, path: str, environ: dict[str, str]) -> None:
    """The first clip of an object that nobody asked for, beside a download of it."""
    data = open(path, "rb").read()  # noqa: SIM115
    ratios = []
    with serving(store.media, environ=environ) as server:
        for number in range(3):
            store.put(f"cold{number}.mp3", data)
            began = time.perf_counter()
            assert server.get(f"/clips/cold{number}.mp3?t=3000,3010")[0] == 200
            took = time.perf_counter() - began
            ratios.append(took / download(store, f"cold{number}.mp3", environ))
    report.row("cold first clip of 1 h ÷ time to download it", ratios, "×", "≤ 1.2")


def download(store: Store, path: str, environ: dict[str, str]) -> float:
    """Seconds to read a whole object with curl, from as far away."""
    url = f"{environ['SLICER_OBJECTS_ENDPOINT']}/audio/shows/{path}"
    sign = [
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--user",
        f"{environ['AWS_ACCESS_KEY_ID']}:{environ['AWS_SECRET_ACCESS_KEY']}",
    ]
    began = time.perf_counter()
    subprocess.run(["curl", "-sf", *sign, "-o", os.devnull, url], check=True)
    return time.perf_counter() - began


def main() -> None:
    report = Report("objects")
    with tempfile.TemporaryDirectory(prefix="slicer-bench-") as place, stored() as store:
        hour = long_file(place, 60)
        media = folder()
        with open(hour, "rb") as file:
            data = file.read()
        publish(data, f"{media}/show.mp3")
        store.put("show.mp3", data)
        script = os.path.join(place, "clips.lua")
        with open(script, "w", encoding="ascii") as file:
            file.write(
                f"function request() local s = math.random(0, {HOUR - LENGTH - 1}) "
                f'return wrk.format("GET", "/clips/show.mp3?t=" .. s .. "," .. s + {LENGTH}) end\n'
            )
        environ = {**store.environ, "SLICER_OBJECTS_ENDPOINT": f"http://127.0.0.1:{Distance(store.port).port}"}
        with serving(media) as near, serving(store.media, environ=environ) as far:
            compare(report, near, far)
            rates, costs, beside = [], [], []
            for _ in range(3):
                (local, local_cpu), (remote, remote_cpu) = load(near, script), load(far, script)
                rates.append(remote / local)
                costs.append(remote_cpu / local_cpu)
                beside.append(max(0.0, remote_cpu - local_cpu) * 1000)
            report.row(f"clips a second, {CONNECTIONS} connections, 20 ms ÷ folder", rates, "×", "≥ 0.5")
            report.row("CPU for each clip ÷ folder", costs, "×", "≤ 2")
            report.row("a clip of a store beside one of a folder: CPU", beside, "ms")
            standstill(report, near, store)
        threads(report, store, script, environ)
        cold(report, store, hour, environ)
    report.write()


def threads(report: Report, store: Store, script: str, environ: dict[str, str]) -> None:
    """Clips a second with the threads that sizes have for this latency, beside those with the threads for one that is unknown."""
    option = ("--store-milliseconds", f"{1000 * DELAY:.0f}")
    with serving(store.media, environ=environ) as few, serving(store.media, *option, environ=environ) as many:
        for server in (few, many):
            for _ in range(20):  # all processes know the source
                server.get("/clips/show.mp3?t=1,11")
        pairs = [(load(few, script)[0], load(many, script)) for _ in range(3)]
    rates = [rate for rate, _ in pairs]
    report.row("clips a second, 20 ms, threads of an unknown latency", rates, "/s")
    report.row("clips a second, 20 ms, --store-milliseconds 20", [rate for _, (rate, _) in pairs], "/s")
    report.row("the second ÷ the first", [rate / one for one, (rate, _) in pairs], "×", "≥ 1")
    # Sizes have a thread for each clip that can wait while a CPU is busy: with fewer milliseconds here, more of them.
    report.row("a clip of a store: CPU", [1000 * cpu for _, (_, cpu) in pairs], "ms", f"≥ {CLIP_MILLISECONDS}")


def standstill(report: Report, near: Server, store: Store) -> None:
    """95th percentile of clips of a folder while another server's store stands still, beside that of an idle machine."""
    with serving(store.media, environ={**store.environ, "SLICER_OBJECTS_SECONDS": "1"}) as far:
        far.get("/clips/show.mp3?t=1,11")
        idle = percentile(near)
        store.pause()
        try:
            done = threading.Event()

            def ask() -> None:
                # At once refused: without a pause these would measure how fast that is.
                while not done.wait(0.1):
                    far.get("/clips/show.mp3?t=1,11")

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(8)  # until the breaker is open
            busy = percentile(near)
            done.set()
            for thread in threads:
                thread.join()
        finally:
            store.go_on()
    report.row("95th percentile of local clips, store standing still ÷ idle", [busy / idle], "×", "≤ 1.2")


def percentile(server: Server) -> float:
    taken = []
    for number in range(400):
        began = time.perf_counter()
        urllib.request.urlopen(f"{server.url}/clips/show.mp3?t={number},{number + LENGTH}").read()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[380]


if __name__ == "__main__":
    sys.exit(main())
