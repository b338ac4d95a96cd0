"""What clients get when a server has no more of what it needs, or its media are away. Every body is compared."""

import contextlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from mp3_slicer.server.machine import cpus
from support.cutting import cut_bytes, index_of, span_of
from support.server import folder

SOURCES = 40


@pytest.fixture
def library(cbr):
    """A media folder of many sources."""
    path = folder()
    for number in range(SOURCES):
        shutil.copy(cbr, os.path.join(path, f"{number}.mp3"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def assert_refused(answer):
    status, headers, body = answer
    assert status == 503, body
    assert int(headers["retry-after"]) > 0
    assert headers["cache-control"] == "no-store"
    assert json.loads(body)["type"].endswith("try-again")


def limited(files):
    """A slicer of which no process may have more than so many files open."""
    code = f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))"
    return ("-c", f"{code}; runpy.run_module('mp3_slicer', run_name='__main__')")


def test_sources_at_hand_make_place_where_few_files_may_be_open(library, serve, cbr):
    clip = cut_bytes(cbr, span_of(index_of(cbr), 1, 3))[1]
    server = serve(library, slicer=limited(56))
    before = server.daemons("clips")
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda number: server.get(f"/clips/{number % SOURCES}.mp3?t=1,3"), range(400)))
    assert {(status, body == clip) for status, _, body in answers if status != 503} == {(200, True)}
    for answer in answers:
        if answer[0] == 503:
            assert_refused(answer)
    assert sum(answer[0] == 200 for answer in answers) > 350
    assert server.daemons("clips") == before
    assert all(len(os.listdir(f"/proc/{pid}/fd")) < 56 for pid in before)


def test_media_that_are_away_are_not_missing(library, serve, cbr):
    """An empty folder may be one that waits for its disk."""
    server = serve(library)
    clip = cut_bytes(cbr, span_of(index_of(cbr), 1, 3))[1]
    assert server.get("/clips/1.mp3?t=1,3")[2] == clip
    away = library + ".away"
    for leave in (False, True):
        os.rename(library, away)
        if leave:
            os.mkdir(library, 0o755)
        for name in ("1", "2"):
            for target in (f"/clips/{name}.mp3?t=1,3", f"/info/{name}.mp3", f"/renders/{name}.wav?t=1,2"):
                assert_refused(server.get(target))
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(library)
        os.rename(away, library)
        assert server.get("/clips/2.mp3?t=1,3")[2] == clip
        assert server.get("/clips/nobody.mp3?t=1,3")[0] == 404


@pytest.fixture
def serve(start):
    """serve(media, …) starts a server of another folder, on one CPU, unless there is only one."""
    return lambda media, **kwargs: start("--cpus", str(min(2, cpus())), folder=media, **kwargs)
