"""A server whose clock on the wall jumps while it serves: an hour ahead, a year, back, behind, and right again. Durations go on as ever."""

import contextlib
import email.utils
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from mp3_slicer.server.machine import cpus
from mp3_slicer.signing import add_key, read_keys, signed_url
from support.asking import Asking
from support.cutting import cut_bytes, index_of, span_of
from support.exposition import parse, value
from support.server import folder, until

HOUR = 3600
YEAR = 365 * 86400
#: Where the clock is led to, one after another, in seconds from where it should be.
JUMPS = (HOUR, YEAR, -HOUR, 0)
RENDER = "/renders/show.wav?t=1,2&fade=0.5,0.1"
SOURCE = str(pathlib.Path(__file__).parents[1] / "support" / "wallclock.c")
#: Every so often mod_wsgi compares its times, which are all the wall's.
LOOK_SECONDS = 1


class Clock:
    """The clock on the wall of every process that is started with `environ`: tests/support/wallclock.c."""

    def __init__(self, place):
        library, path = os.path.join(place, "wallclock.so"), os.path.join(place, "ahead")
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, SOURCE], check=True, timeout=60
        )
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close
        self.jump(0)
        self.environ = {"LD_PRELOAD": library, "WALLCLOCK_FILE": path}

    def jump(self, seconds):
        """Put it ahead by so many seconds, behind where they are fewer than 0."""
        os.pwrite(self._file.fileno(), seconds.to_bytes(8, sys.byteorder, signed=True), 0)

    def close(self):
        self._file.close()


@pytest.fixture
def place():
    path = folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def clock(place):
    with contextlib.closing(Clock(place)) as wall:
        yield wall


@pytest.fixture
def media(place, cbr):
    path = os.path.join(place, "media")
    os.makedirs(os.path.join(path, "members"))
    for name in ("show", *(f"first{number}" for number in range(len(JUMPS))), "members/one"):
        shutil.copy(cbr, os.path.join(path, f"{name}.mp3"))
    return path


def test_a_clock_that_jumps_changes_no_answer(start, place, media, clock, cbr):
    keys = os.path.join(place, "keys")
    add_key(keys, "one")
    if os.geteuid() == 0:
        shutil.chown(keys, "www-data", "www-data")
    os.mkdir(os.path.join(place, "log"))
    os.chmod(os.path.join(place, "log"), 0o777)
    log = os.path.join(place, "log", "requests")
    environ = {"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/members", "SLICER_REQUEST_LOG": log, **clock.environ}
    server = start("--cpus", str(min(2, cpus())), folder=media, environ=environ)
    began = time.monotonic()
    size = {group: len(server.daemons(group)) for group in ("clips", "renders")}
    clip = cut_bytes(cbr, span_of(index_of(cbr), 1, 3))[1]
    status, headers, body = server.get("/clips/show.mp3?t=1,3")
    assert (status, body) == (200, clip)
    etag, modified = headers["etag"], headers["last-modified"]
    signed = signed_url(b"/clips/members/one.mp3", [("t", "1,3")], read_keys(keys).newest, int(time.time()) + HOUR // 2)
    made = server.get(RENDER)
    assert made[0] == 200

    def ask():
        status, headers, body = server.get("/clips/show.mp3?t=1,3")
        return status, body == clip, headers.get("etag") == etag

    def render():
        status, headers, body = server.get(RENDER)
        return status, body == made[2], headers.get("etag") == made[1]["etag"]

    def ahead():
        """How far ahead the clock of whoever answers is, in seconds."""
        date = server.get("/healthz")[1]["date"]
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()

    def daemons():
        return {pid for group in size for pid in server.daemons(group)}

    def others():
        return set(server.everything()) - daemons()

    rest, before, old = others(), 0, set()
    with Asking(ask, threads=3, pause=0.02) as clips, Asking(render, threads=1, pause=0.02) as renders:
        for number, seconds in enumerate(JUMPS):
            pids = daemons()
            clock.jump(seconds)
            assert abs(ahead() - seconds) < 5
            status, headers, body = server.get("/clips/show.mp3?t=1,3", Range="bytes=5-99")
            assert (status, body, headers["etag"]) == (206, clip[5:100], etag)
            assert server.get("/clips/show.mp3?t=1,3", If_None_Match=etag)[0] == 304
            assert server.get("/clips/show.mp3?t=1,3", If_Modified_Since=modified)[0] == 304
            assert server.get(signed)[0] == (410 if seconds > HOUR // 2 else 200)
            # A first look at a file, a render that is new, and one that is kept.
            status, _, body = server.get(f"/clips/first{number}.mp3?t=1,3")
            assert (status, body) == (200, clip)
            assert server.get(f"/renders/show.wav?t={number + 3},{number + 4}")[0] == 200
            assert server.get(RENDER)[2] == made[2]
            assert server.get("/readyz")[0] == 200
            time.sleep(2.5 * LOOK_SECONDS)
            until(lambda: {group: len(server.daemons(group)) for group in size} == size, 30, "as many as before")
            # Ahead by more than a minute, it seems to mod_wsgi that Python has stood still as long; it replaces the process, on a busy
            # machine as late as after the next jump.
            old |= pids if seconds > before else set()
            assert pids - daemons() <= old
            assert others() == rest
            before = seconds
    assert sum(clips.answers.values()) > 200
    for answers in (clips.answers, renders.answers):
        right = answers.pop((200, True, True))
        # Those that were on their way into a process when the clock went ahead have waited for an hour, it seems.
        assert set(answers) <= {(504, False, False)}
        assert sum(answers.values()) < max(10, right // 20)
    elapsed = time.monotonic() - began
    found = parse(server.get("/metrics")[2].decode())
    assert all(number >= 0 for number in found.values())
    for name in ("slicer_queue_seconds_sum", "slicer_request_seconds_sum", "slicer_render_seconds_sum"):
        assert 0 < value(found, name) < 5 * elapsed, name
    assert value(found, "slicer_busy_threads") == 1  # this one
    lines = [json.loads(line) for line in pathlib.Path(log).read_text().splitlines()]
    assert {line["group"] for line in lines} == {"clips", "renders"}
    assert all(0 < line["ms"] < 1000 * elapsed for line in lines)
    # None of those that were on their way into a process when the clock went ahead.
    queued = [line["queue_ms"] for line in lines if line["queue_ms"] is not None]
    assert all(0 <= each < 1000 * elapsed for each in queued)
    assert len(lines) - len(queued) < 4 * len(JUMPS)
    # Nothing half is left of what was kept meanwhile.
    for path in server.folders.values():
        assert not [name for name in os.listdir(path) if name.endswith(".tmp")]
