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

from mp3_slicer.media.aside import MOST_IN_FOLDER
from mp3_slicer.server.machine import cpus
from mp3_slicer.server.sizes import stuck_seconds
from support.cutting import cut_bytes, index_of, span_of
from support.server import folder, status, until

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


def assert_refused(answer):
    """It overstayed, or another request of its process waited for slow media already."""
    status, headers, body = answer
    assert (headers["cache-control"], headers["content-type"]) == ("no-store", "application/problem+json")
    assert int(headers["content-length"]) == len(body)
    assert int(headers["retry-after"]) > 0
    assert (status, json.loads(body)["type"].rpartition(":")[2]) in {(504, "overstayed"), (503, "try-again")}


def leftovers(server):
    """How many processes there are, and files that are there for a time only."""
    temporary = [
        name for path in server.folders.values() for _, _, names in os.walk(path) for name in names if ".tmp" in name
    ]
    return len(server.everything()), temporary


def threads_of(server):
    """The threads of each daemon of clips."""
    return [int(status(pid)["Threads"]) for pid in server.daemons("clips")]


def test_slow_media_overstay_alone(disk, start, clip):
    """Fewer slow requests than threads: each ends by itself, and nobody else notices."""
    server = start("--cpus", str(min(2, cpus())), "--request-timeout", str(REQUEST_TIMEOUT), folder=disk.media)
    for name in NAMES[:2]:
        assert server.get(f"/clips/{name}.mp3{SPAN}")[2] == clip
    before = server.daemons("clips"), server.daemons("renders"), leftovers(server)
    threads = max(threads_of(server))
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
            assert_refused(found)
            assert took < 2 * read + 20
    assert len(quick) > 20
    # Behind the slow ones it would wait as long as they may take.
    assert max(quick) < REQUEST_TIMEOUT
    for name in NAMES:
        # What stood still ends a moment later.
        until(lambda name=name: server.get(f"/clips/{name}.mp3{SPAN}")[2] == clip, 30, "it is answered again")
    assert server.get(f"/renders/slow2.wav{SPAN}")[0] == 200
    assert (server.daemons("clips"), server.daemons("renders"), leftovers(server)) == before
    # Some helpers stay for the next request.
    until(lambda: max(threads_of(server)) <= threads + 8, 30, "helpers end")
    # Sources are kept open, once in each process.
    assert disk.open_files() <= len(NAMES) * len(before[0] + before[1])


def test_media_that_stand_still_are_refused_alone(disk, start, clip):
    """Reads that nothing but their end lets go of, not even SIGKILL (the kernel's word for it is D), cost no thread of a request."""
    server = start("--cpus", "1", "--request-timeout", str(REQUEST_TIMEOUT), folder=disk.media)
    # Their indexes are made, so that nobody waits for a lock.
    for name in NAMES:
        assert server.get(f"/clips/{name}.mp3{SPAN}")[2] == clip
    daemons = server.daemons("clips")
    targets = [f"/clips/slow{number}.mp3{SPAN}" for number in range(MOST_IN_FOLDER - 1)]
    with ThreadPoolExecutor(8) as clients, disk.taking(100):
        slow = [clients.submit(timed, server, target) for target in targets]
        # Long after mod_wsgi would have given a process up that has such a thread.
        end = time.monotonic() + stuck_seconds(REQUEST_TIMEOUT, 3) + 5
        while time.monotonic() < end:
            for target, wanted in ((QUICK, clip), ("/readyz", None)):
                (code, _, body), took = timed(server, target)
                assert code == 200, body
                assert wanted in (None, body)
                assert took < 20
            time.sleep(0.1)
        for answer in slow:
            found, took = answer.result()
            assert_refused(found)
            assert took < BOUND_SECONDS
        # They stand still, as is known: nobody waits for them.
        for target in targets:
            (code, _, _), took = timed(server, target)
            assert code == 503
            assert took < 20
        assert server.daemons("clips") == daemons
    for name in NAMES:
        until(lambda name=name: server.get(f"/clips/{name}.mp3{SPAN}")[2] == clip, 30, "it is answered again")
    assert server.daemons("clips") == daemons
    # What the process had open that is no more is closed.
    until(lambda: disk.open_files() <= len(NAMES) * len(daemons), 30, "files are closed")
