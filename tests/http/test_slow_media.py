"""Media on a file system that takes its time, or stands still: what clients get meanwhile, and what is left when it is quick again."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from slicer.server.machine import cpus, memory_bytes
from slicer.server.sizes import compute, stuck_seconds
from support.cutting import cut_bytes, index_of, span_of
from support.server import children_of, folder, status, until

PROGRAM = str(pathlib.Path(__file__).parents[1] / "support" / "slowfuse.py")
QUICK, SPAN = "/clips/quick.mp3?t=1,3", "?t=1,3"
NAMES = ("quick", *(f"slow{number}" for number in range(6)))
REQUEST_TIMEOUT = 1
#: With that, Apache gives up on a process that does not answer after 19 s.
BOUND_SECONDS = 24


class Disk:
    """A mounted folder whose files "slow…" take their time."""

    def __init__(self, place, source):
        self.media = os.path.join(place, "media")
        own = os.path.join(place, "own")
        self._control = os.path.join(place, "seconds")
        for path in (self.media, own):
            os.mkdir(path)
        for name in NAMES:
            shutil.copy(source, os.path.join(own, f"{name}.mp3"))
        self.take(0)
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM, own, self.media, self._control], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            until(lambda: os.path.ismount(self.media) or self._process.poll() is not None, 30, "it is mounted")
            if self._process.poll() is not None:
                said = self._process.stderr.read().decode(errors="replace")
                assert "not permitted" in said or "ermission denied" in said, said
                pytest.skip(f"nothing may be mounted here: {said.strip().splitlines()[0]}")
        except BaseException:
            self.close()
            raise

    def take(self, seconds):
        """From now on a read of a slow file takes so long, one under way as well."""
        pathlib.Path(self._control + ".new").write_text(str(seconds))
        os.rename(self._control + ".new", self._control)

    @contextlib.contextmanager
    def taking(self, seconds):
        self.take(seconds)
        try:
            yield
        finally:
            self.take(0)

    def open_files(self):
        """How many files its users have open."""
        links = pathlib.Path(f"/proc/{self._process.pid}/fd")
        return sum(os.fsdecode(os.readlink(link)).endswith(".mp3") for link in links.iterdir() if link.is_symlink())

    def close(self):
        self.take(0)
        if os.path.ismount(self.media):
            subprocess.run(["fusermount3", "-u", "-z", self.media], check=True, timeout=20)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stderr.close()


@pytest.fixture
def disk(cbr):
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse here (most containers have none), so no file system can be made to wait")
    place = folder()
    try:
        with contextlib.closing(Disk(place, cbr)) as mounted:
            yield mounted
    finally:
        shutil.rmtree(place)


@pytest.fixture
def clip(cbr):
    return cut_bytes(cbr, span_of(index_of(cbr), 1, 3))[1]


def timed(server, target):
    """The answer, and the seconds that it took."""
    began = time.monotonic()
    return server.get(target), time.monotonic() - began


def assert_overstayed(answer, kind):
    status, headers, body = answer
    assert (status, headers["cache-control"], headers["content-type"]) == (504, "no-store", "application/problem+json")
    assert int(headers["content-length"]) == len(body)
    assert int(headers["retry-after"]) > 0
    assert json.loads(body)["type"] == kind


def leftovers(server):
    """How many processes there are, the threads of each daemon, and files that are there for a time only."""
    pids = [pid for group in ("clips", "renders") for pid in server.daemons(group)]
    threads = sorted(int(status(pid)["Threads"]) for pid in pids)
    temporary = [
        name for path in server.folders.values() for _, _, names in os.walk(path) for name in names if ".tmp" in name
    ]
    return len(server.everything()), threads, temporary


def test_slow_media_overstay_alone(disk, start, clip):
    """Fewer slow requests than threads: each ends by itself, and nobody else notices."""
    server = start("--cpus", str(min(2, cpus())), "--request-timeout", str(REQUEST_TIMEOUT), folder=disk.media)
    for name in NAMES[:2]:
        assert server.get(f"/clips/{name}.mp3{SPAN}")[2] == clip
    before = server.daemons("clips"), server.daemons("renders"), leftovers(server)
    # Longer than a request may take, shorter than mod_wsgi waits for it to end.
    read = stuck_seconds(REQUEST_TIMEOUT, 3) + 1
    with disk.taking(read), ThreadPoolExecutor(3) as clients:
        # One that is known, one whose index is missing, and a render.
        targets = (f"/clips/slow0.mp3{SPAN}", f"/clips/slow1.mp3{SPAN}", f"/renders/slow2.wav{SPAN}")
        slow = [clients.submit(timed, server, target) for target in targets]
        quick = []
        while not all(answer.done() for answer in slow):
            (status, _, body), took = timed(server, QUICK)
            quick.append(took)
            assert (status, body) == (200, clip)
            assert server.get("/readyz")[0] == 200
            time.sleep(0.05)
        for answer in slow:
            found, took = answer.result()
            assert_overstayed(found, "urn:slicer:problem:overstayed")
            assert REQUEST_TIMEOUT < took < 2 * read + 20
    assert len(quick) > 20
    # Behind the slow ones it would wait as long as they may take.
    assert max(quick) < REQUEST_TIMEOUT
    for name in NAMES:
        assert server.get(f"/clips/{name}.mp3{SPAN}")[2] == clip
    assert server.get(f"/renders/slow2.wav{SPAN}")[0] == 200
    assert (server.daemons("clips"), server.daemons("renders"), leftovers(server)) == before
    # Sources are kept open, once in each process.
    assert disk.open_files() <= len(NAMES) * len(before[0] + before[1])


def test_media_that_stand_still_are_504_until_they_are_back(disk, start, clip):
    """Reads that nothing but their end lets go of, not even SIGKILL: the kernel's own word for it is D."""
    sizes = compute(1, memory_bytes(), request_timeout=REQUEST_TIMEOUT)
    server = start("--cpus", "1", "--request-timeout", str(REQUEST_TIMEOUT), folder=disk.media)
    # Their indexes are made, so that nobody waits for a lock.
    for name in NAMES:
        assert server.get(f"/clips/{name}.mp3{SPAN}")[2] == clip
    rest = leftovers(server)
    (daemon,) = server.daemons("clips")
    with ThreadPoolExecutor(8) as clients:
        with disk.taking(100):
            slow = [
                clients.submit(timed, server, f"/clips/slow{number}.mp3{SPAN}")
                for number in range(sizes.clips_threads - 1)
            ]
            for _ in range(10):
                time.sleep(0.1)
                (code, _, body), took = timed(server, QUICK)
                assert (code, body) == (200, clip)
                assert took < 20
            # The last thread.
            slow.append(clients.submit(timed, server, f"/clips/slow5.mp3{SPAN}"))
            time.sleep(0.5)
            others = [clients.submit(timed, server, target) for target in (QUICK, "/readyz")]
            for answer in (*slow, *others):
                found, took = answer.result()
                assert_overstayed(found, "about:blank")
                assert took < BOUND_SECONDS
            # mod_wsgi has given the process up, which the kernel keeps: its first thread is gone, and no other has its place.
            until(lambda: not status(daemon), 30, "the process was ended")
            assert daemon in children_of(server.apache)
            assert server.daemons("clips") == []
        # Its last read has ended, so the process has, and a new one has its place.
        until(lambda: server.get(QUICK)[0] == 200, 30, "clips are answered again")
    assert daemon not in children_of(server.apache)
    assert len(server.daemons("clips")) == 1
    for name in NAMES:
        (code, _, body), took = timed(server, f"/clips/{name}.mp3{SPAN}")
        assert (code, body) == (200, clip)
        assert took < 30
    assert server.get("/readyz")[0] == 200
    until(lambda: leftovers(server) == rest, 30, "as at the start")
    # What the process had open that is no more is closed; the new one keeps each of them once.
    until(lambda: disk.open_files() <= len(NAMES), 30, "files are closed")
