"""Clients that wait for a job are held by Nginx: the role's own configuration with its module nchan, a server, workers and a Redis."""

import contextlib
import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from support.hold import MODULE, Held, House, answers, house_of
from support.jobs import Broker, Worker, place_of
from support.server import children_of, status, until

HELD = 1000
JSON = {"Content-Type": "application/json"}
ORIGIN = "https://www.example.org"

pytestmark = [
    pytest.mark.skipif(not MODULE.exists(), reason="needs Debian's package libnginx-mod-nchan"),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def house(media: str, broker: Broker) -> Iterator[House]:
    with house_of(media, broker, {"SLICER_CORS_ORIGINS": ORIGIN}, {"origins": [ORIGIN]}) as house:
        yield house
        # Shown where a test fails.
        print(house.edge.errors())


@pytest.fixture(autouse=True)
def _closing(house: House) -> Iterator[None]:
    yield
    for each in house.sockets:
        each.close()
    house.sockets.clear()


@pytest.fixture
def worker(house: House) -> Iterator[Worker]:
    worker = house.place.worker("--short", "1", "--long", "1", "--grace", "1")
    yield worker
    worker.stop()


def ended(house: House, target: str, held: Held) -> dict[str, Any]:
    """What a held request says in the end; a sign of life in between means that it is to be made again."""
    while True:
        code, body = held.all()
        assert code == 200
        if body["state"] not in {"queued", "running"}:
            return body
        held = Held(house, target + "/wait")


@pytest.fixture
def fresh() -> Callable[..., str]:
    """A render that no test has asked for."""
    return lambda form="wav", end=2: f"/renders/hour.{form}?t=1,{end}.{time.monotonic_ns() % 10**9 | 1:09d}"


def test_who_waits_is_answered_when_the_job_has_ended(house: House, worker: Worker, fresh: Callable[..., str]) -> None:
    url = fresh("opus", 300)
    target = house.post(url)
    held = [Held(house, target + "/wait") for _ in range(5)]
    until(lambda: house.state(target) == "running", 30, "it is being worked on")
    until(lambda: house.connections() == 0, 30, "nobody behind Nginx has to do with them")
    for each in held:
        assert ended(house, target, each)["result"] == url
    answer = house.edge.get(target)
    assert (answer.status, answer.headers["location"]) == (303, url)
    assert house.edge.get(url).headers["content-type"].startswith("audio/ogg")


def test_a_job_that_has_ended_is_answered_at_once(house: House, worker: Worker, fresh: Callable[..., str]) -> None:
    target = house.post(fresh())
    until(lambda: house.place.job(target.rpartition("/")[2]).state == "done", 30, "it is done")
    began = time.monotonic()
    answer = house.edge.get(target + "/wait")
    assert time.monotonic() - began < 10
    assert json.loads(answer.body)["state"] == "done"
    assert answer.headers["cache-control"] == "no-store"
    assert house.edge.get(target + "/wait", "HEAD").status == 200


def test_every_state_comes_as_an_event(house: House, fresh: Callable[..., str]) -> None:
    target = house.post(fresh("opus", 400))
    held = Held(house, target + "/events", "text/event-stream")
    worker = house.place.worker("--short", "0", "--long", "1")
    seen: list[dict[str, Any]] = []
    try:
        while not seen or seen[-1]["state"] != "done":
            held.data += held.socket.recv(65536)
            lines = held.data.decode().splitlines()
            seen = [json.loads(line[6:]) for line in lines if line.startswith("data: ") and line.endswith("}")]
    finally:
        worker.stop()
    head, _, body = held.data.decode().partition("\r\n\r\n")
    assert "Content-Type: text/event-stream" in head
    assert "Cache-Control: no-store" in head
    assert "event: state" in body
    progress = [each["progress"] for each in seen]
    assert progress == sorted(progress)
    assert len(set(progress)) > 2


def test_who_waits_hears_of_a_job_that_does_not_end(house: House, fresh: Callable[..., str]) -> None:
    """Nobody works on long ones, so nothing becomes of it."""
    worker = house.place.worker("--short", "1", "--long", "0")
    target = house.post(fresh("m4a", 3000))
    events = Held(house, target + "/events", "text/event-stream")
    began = time.monotonic()
    code, body = Held(house, target + "/wait").all()
    assert (code, body["state"]) == (200, "queued")
    assert time.monotonic() - began < 50
    assert events.socket.recv(65536)
    until(lambda: b"event: ping" in events.socket.recv(65536), 30, "events are kept alive")
    house.cancel(target)
    worker.stop()


def test_what_is_asked_for_again_does_not_end_as_it_did_before(
    house: House, worker: Worker, fresh: Callable[..., str]
) -> None:
    url = fresh("m4a", 3000)
    target = house.post(url)
    held = Held(house, target + "/wait")
    house.cancel(target)
    assert ended(house, target, held)["state"] == "cancelled"
    assert house.post(url) == target
    again = Held(house, target + "/wait")
    until(lambda: house.state(target) == "running", 30, "it is being worked on")
    again.socket.settimeout(2)
    with contextlib.suppress(TimeoutError):
        assert again.all()[1]["state"] == "running"
    house.cancel(target)


def test_prefer_wait_leads_to_where_clients_are_held(house: House, worker: Worker, fresh: Callable[..., str]) -> None:
    answer = house.edge.get(fresh("opus", 200), Prefer="respond-async, wait=20")
    assert answer.status == 303
    assert answer.headers["preference-applied"] == "respond-async, wait=20"
    assert answer.headers["location"].endswith("/wait")
    target = answer.headers["location"].removesuffix("/wait")
    assert ended(house, target, Held(house, target + "/wait"))["state"] == "done"
    plain = house.edge.get(fresh("opus", 200), Prefer="respond-async")
    assert (plain.status, plain.cache) == (202, "BYPASS")


def test_a_thousand_are_held_by_nobody_but_nginx(house: House, fresh: Callable[..., str]) -> None:
    worker = house.place.worker("--short", "0", "--long", "1", "--grace", "0")
    target = house.post(fresh("m4a", 3000))
    until(lambda: house.state(target) == "running", 30, "it is being worked on")
    threads = {pid: status(pid)["Threads"] for pid in house.server.daemons("clips")}
    before = sum(int(status(pid)["VmRSS"].split()[0]) for pid in house.edge.workers())
    # Just after a sign of life, so that none comes meanwhile.
    ended_by_life = Held(house, target + "/wait").all()[1]
    assert ended_by_life["state"] == "running"
    held = []
    while len(held) < HELD:
        # No more at once than Nginx may ask about.
        held += [Held(house, target + "/wait") for _ in range(20)]
        until(lambda: house.connections() == 0, 30, "nobody behind Nginx has to do with them")
    after = sum(int(status(pid)["VmRSS"].split()[0]) for pid in house.edge.workers())
    assert (after - before) / HELD < 20  # KiB for each
    assert {pid: status(pid)["Threads"] for pid in house.server.daemons("clips")} == threads
    # Others are answered as if nobody waited.
    began = time.monotonic()
    assert house.edge.get("/clips/show.mp3?t=1,2").status == 200
    assert time.monotonic() - began < 10
    house.cancel(target)
    assert max(answers(held, 30)) < 15
    ended = [each.parsed() for each in held]
    # Where holding all of them took longer than a sign of life lets pass, the first have heard that, or were told to ask again.
    assert all(body.get("state") in {"running", "cancelled"} or code in {408, 503} for code, body in ended), ended
    assert ended[-1][1]["state"] == "cancelled"
    worker.stop()


def test_an_end_that_comes_just_after_a_sign_of_life_reaches_who_has_come_again(
    house: House, fresh: Callable[..., str]
) -> None:
    """Nobody works, so each thing is published once, and by this test: nothing but Nginx itself keeps it for who comes."""
    for _ in range(10):
        name = house.post(fresh("m4a", 3000)).rpartition("/")[2]
        job = house.place.job(name)
        held = [Held(house, f"/jobs/{name}/wait") for _ in range(15)]
        until(lambda: house.connections() == 0, 30, "they are held")
        # All of it in one second of Nginx's clock, as long as the machine is not too busy for that.
        time.sleep(1.01 - time.time() % 1)
        publish(house, "tick", job.channel, b'{"state": "queued"}')
        assert [each.all()[1]["state"] for each in held] == ["queued"] * 15
        held = [Held(house, f"/jobs/{name}/wait") for _ in range(15)]
        publish(house, "end", job.channel, b'{"state": "done"}')
        answers(held, 10)
        assert [each.parsed()[1]["state"] for each in held] == ["done"] * 15
        house.cancel(f"/jobs/{name}")


def publish(house: House, what: str, channel: str, data: bytes) -> None:
    """Tell Nginx something, as workers do."""
    url = house.place.environ["SLICER_JOBS_PUBLISH"]
    with urllib.request.urlopen(urllib.request.Request(f"{url}/{what}/{channel}", data, JSON), timeout=10) as answer:
        assert answer.status < 300


def test_an_end_is_told_twice(media: str, broker: Broker) -> None:
    """In two seconds of Nginx's clock."""
    told: list[tuple[float, str]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["state"]
            if self.path.startswith("/end/"):
                told.append((time.monotonic(), state))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Listener))
        stack.callback(listener.shutdown)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{listener.server_port}"
        place = stack.enter_context(place_of(media, broker, SLICER_JOBS_PUBLISH=url))
        place.worker("--short", "1", "--long", "0", "--grace", "1")
        place.queue.submit(place.order("wav", ("t", "0,1")))
        until(lambda: len(told) == 2, 30, "its end is told twice")
        assert [state for _, state in told] == ["done", "done"]
        assert 1 <= told[1][0] - told[0][0] < 3


@pytest.mark.parametrize("how", ["reloaded", "killed"])
def test_clients_come_back_when_nginx_was(house: House, worker: Worker, fresh: Callable[..., str], how: str) -> None:
    target = house.post(fresh("opus", 400))
    until(lambda: house.state(target) == "running", 30, "it is being worked on")
    held = [Held(house, target + "/wait") for _ in range(50)]
    until(lambda: house.connections() == 0, 30, "they are held")
    if how == "reloaded":
        house.edge.reload()
    else:
        for pid in children_of(house.edge.process.pid):
            os.kill(pid, signal.SIGKILL)
    ended = 0
    while held:
        answers(held, 120)
        again = [each for each in held if each.parsed()[1].get("state") != "done"]
        ended += len(held) - len(again)
        held = []
        for _ in again:
            with contextlib.suppress(OSError):
                held.append(Held(house, target + "/wait"))
        time.sleep(0.2)
    assert ended == 50
    assert house.state(target) == "done" or house.edge.get(target).status == 303


def test_nobody_can_publish_or_be_held_from_outside(house: House) -> None:
    channel = "0" * 40 + "-1"
    for path in (f"/main/end/{channel}", f"/.held/wait/{channel}", f"/.held/events/{channel}"):
        assert house.edge.get(path).status == 404
        assert house.edge.get(path, "POST", body=b"{}").status in {404, 405}


def test_a_page_of_another_origin_may_read_it(house: House, fresh: Callable[..., str]) -> None:
    target = house.post(fresh())
    held = Held(house, target + "/events", f"text/event-stream\r\nOrigin: {ORIGIN}")
    head = held.socket.recv(65536)
    assert b"200 OK" in head
    assert b"Allow-Credentials" not in head
    held.socket.close()
    house.cancel(target)
