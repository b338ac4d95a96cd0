"""A store that is away, refuses, or has objects in an archive: what clients of a real server get, and what its log says."""

import contextlib
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.crooked import crooked
from support.exposition import parse, value
from support.server import Server, serving, until
from support.store import Store, stored

#: A request of each kind that reads media.
TARGETS = (
    "/clips/show.mp3?t=3,7",
    "/info/show.mp3",
    "/library",
    "/peaks/show.json?t=1,2&pixels=10",
    "/renders/show.wav?t=1,2",
    "/transcripts/show.vtt",
    "/chapters/show.json",
    "/covers/show.mp3",
)
#: Of a file, so that a clip of them is no single answer.
COPIES = 20
VTT = b"WEBVTT\n\n00:01.000 --> 00:03.000\nGood morning.\n"


def try_again(server: Server, target: str) -> float:
    """Ask for what cannot be had now; the seconds that the answer took."""
    began = time.monotonic()
    status, headers, body = server.get(target)
    assert (status, json.loads(body)["type"]) == (503, "urn:slicer:problem:try-again"), (target, body)
    assert int(headers["retry-after"]) > 0
    assert headers["cache-control"] == "no-store"
    return time.monotonic() - began


def reasons(server: Server, reason: str) -> list[str]:
    """The lines of the log with a reason, of which none is part of a traceback."""
    log = server.log()
    assert "Traceback" not in log, log
    return [line for line in log.splitlines() if reason in line]


def commands() -> Iterator[bytes]:
    """The command lines of this machine's processes."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            yield Path("/proc", pid, "cmdline").read_bytes()


@pytest.fixture
def mortal(cbr: str) -> Iterator[Store]:
    """A store that a test may break."""
    with stored({"show.mp3": Path(cbr).read_bytes(), "show.vtt": VTT}) as running:
        yield running


def test_a_store_that_goes_and_comes_back(mortal: Store) -> None:
    environ = {**mortal.environ, "SLICER_OBJECTS_SECONDS": "0.5"}
    ways: list[tuple[Callable[[], None], Callable[[], None]]] = [
        (mortal.pause, mortal.go_on),
        (mortal.kill, mortal.start),
    ]
    with serving(mortal.media, "--cpus", "1", environ=environ) as server:
        until(lambda: server.get("/clips/show.mp3?t=3,7")[0] == 200, 30, "the store answers")
        want = server.get("/clips/show.mp3?t=3,7")[2]
        for go, come in ways:
            go()
            for target in TARGETS:
                try_again(server, target)
            try_again(server, "/readyz")
            # The circuit breaker is open: no thread waits, and most answers come at once, though one in two seconds tries the store.
            taken = sorted(try_again(server, TARGETS[0]) for _ in range(9))
            assert taken[4] < 1
            assert server.get("/healthz")[0] == 200
            come()
            until(lambda: server.get("/clips/show.mp3?t=3,7")[0] == 200, 60, "the store answers again")
            assert server.get("/clips/show.mp3?t=3,7")[2] == want
            until(lambda: server.get("/readyz")[0] == 200, 30, "the server is ready")
        assert reasons(server, "the store cannot be reached: ")
        assert not reasons(server, "the store does not answer"), "what was refused at once is not logged again"
        found = parse(server.get("/metrics")[2].decode())
        for outcome in ("failed", "retried", "refused"):
            assert value(found, "slicer_store_requests_total", group="clips", outcome=outcome) > 0


@pytest.mark.parametrize(
    ("media", "more", "reason"),
    [
        ("s3://audio/shows", {"AWS_SECRET_ACCESS_KEY": "wrong+secret"}, "the store answers 403 "),
        ("s3://not-there/shows", {}, "there is no such bucket"),
    ],
)
def test_what_the_operator_has_to_mend(store: Store, cbr: str, media: str, more: dict[str, str], reason: str) -> None:
    store.put("show.mp3", Path(cbr).read_bytes())
    with serving(media, "--cpus", "1", environ={**store.environ, **more}) as server:
        for target in TARGETS:
            try_again(server, target)
        try_again(server, "/readyz")
        until(lambda: len(reasons(server, reason)) == len(TARGETS), 30, "the log has one line for each")
        assert "secret" not in server.log()
        assert b"wrong+secret" not in b"".join(commands())


def test_an_archived_object_is_a_problem_of_its_own(cbr: str) -> None:
    with crooked(Path(cbr).read_bytes()) as origin:
        origin.way = "*InvalidObjectState"
        with serving(origin.url, "--cpus", "1") as server:
            for target in TARGETS[:2] + TARGETS[3:]:
                status, headers, body = server.get(target)
                assert (status, json.loads(body)["type"]) == (409, "urn:slicer:problem:source-archived"), target
                assert headers["cache-control"] == "no-store"
            origin.way = ""
            assert server.get(TARGETS[0])[0] == 200, "once it is restored"


def test_a_body_that_has_begun_ends_short_when_its_object_is_replaced(cbr: str) -> None:
    """The first half was of the old version, and no byte of the new one may follow."""
    with crooked(Path(cbr).read_bytes() * COPIES) as origin, serving(origin.url, "--cpus", "1") as server:
        target = "/clips/show.mp3?t=0"
        status, headers, want = server.get(target)
        assert (status, int(headers["content-length"])) == (200, len(want))
        origin.way = "replaced long"
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request("GET", target)
            answer = connection.getresponse()
            assert answer.headers["content-length"] == headers["content-length"]
            with pytest.raises(http.client.IncompleteRead) as caught:
                answer.read()
        assert 0 < len(caught.value.partial) < len(want)
        assert want.startswith(caught.value.partial)
        status, later, body = server.get(target)
        assert (status, body) == (200, want), "the same bytes, but a new version"
        assert later["etag"] != headers["etag"]
