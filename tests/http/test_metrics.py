"""/metrics of a running server: right across its processes, whatever becomes of them; and the log of requests."""

import json
import os
import pathlib
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mp3_slicer.counts.metrics import ALL, SECONDS
from mp3_slicer.server.machine import cpus, memory_bytes
from mp3_slicer.server.sizes import compute
from support import streams
from support.exposition import families, parse, value
from support.server import ALL_CPUS, Server, folder, raw, until

SIZES = compute(cpus(), memory_bytes())


@pytest.fixture(scope="module")
def clip(media: str) -> str:
    """The URL of a source, without a span."""
    os.makedirs(os.path.join(media, "metrics"), exist_ok=True)
    path = streams.make("mpeg1-44-stereo-cbr128", os.path.join(media, "metrics"))
    os.chmod(path, 0o644)
    return f"/clips/metrics/{os.path.basename(path)}"


def numbers(server: Server):
    status, headers, body = server.get("/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert headers["cache-control"] == "no-store"
    return parse(body.decode())


def counted(server: Server, route: str = "clips") -> float:
    return value(numbers(server), "slicer_requests_total", route=route)


def test_every_request_is_counted_once_in_whichever_process_it_was(start, clip: str) -> None:
    server = start(*ALL_CPUS)
    with ThreadPoolExecutor(8) as pool:
        targets = [f"{clip}?t={number % 9},{number % 9 + 1}" for number in range(200)]
        assert {answer[0] for answer in pool.map(server.get, targets)} == {200}
        assert {answer[0] for answer in pool.map(server.get, ["/clips/none.mp3"] * 30)} == {404}
        assert {answer[0] for answer in pool.map(server.get, [f"{clip}?t=2,1"] * 20)} == {400}
        assert {server.get("/nothing/of/this")[0] for _ in range(10)} == {404}
    # An answer is counted a moment after its last byte.
    until(lambda: counted(server) == 250, 30, "all are counted")
    found = numbers(server)
    assert value(found, "slicer_requests_total", group="clips", route="clips", **{"class": "2xx"}) == 200
    assert value(found, "slicer_requests_total", group="clips", route="clips", **{"class": "4xx"}) == 50
    assert value(found, "slicer_requests_total", route="none") == 10
    assert value(found, "slicer_refusals_total", reason="not-found") == 40
    assert value(found, "slicer_refusals_total", reason="span-malformed") == 20
    assert value(found, "slicer_request_seconds_count", route="clips") == 250
    assert value(found, "slicer_request_seconds_bucket", route="clips", le="+Inf") == 250
    assert 0 < value(found, "slicer_request_seconds_sum", route="clips") < 250 * 5
    # Of the 200, each looked for an index; only one built it.
    assert value(found, "slicer_index_lookups_total", outcome="built") == 1
    assert value(found, "slicer_index_lookups_total") == 200
    assert value(found, "slicer_queue_seconds_count", group="clips") >= 260
    assert 0 < value(found, "slicer_queue_seconds_sum", group="clips") < 260 * 5


def test_buckets_rise_to_the_count(server: Server, clip: str) -> None:
    server.get(f"{clip}?t=1,2")
    until(lambda: counted(server) > 0, 30, "it is counted")
    found = numbers(server)
    for name in ("slicer_request_seconds", "slicer_queue_seconds"):
        buckets = [value(found, f"{name}_bucket", group="clips", le=f"{end:g}") for end in SECONDS]
        buckets.append(value(found, f"{name}_bucket", group="clips", le="+Inf"))
        assert buckets == sorted(buckets)
        assert buckets[-1] == value(found, f"{name}_count", group="clips") > 0


def test_the_processes_and_their_threads_are_told(server: Server) -> None:
    found = numbers(server)
    for group, processes, threads in (
        ("clips", SIZES.clips_processes, SIZES.clips_threads),
        ("renders", SIZES.renders_processes, SIZES.renders_threads),
    ):
        assert value(found, "slicer_processes", group=group) == processes
        assert value(found, "slicer_threads", group=group) == processes * threads
        resident = value(found, "slicer_resident_memory_bytes", group=group)
        pids = server.daemons(group)
        real = sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * os.sysconf(
            "SC_PAGE_SIZE"
        )
        assert abs(resident - real) < 0.2 * real
        assert resident / processes <= value(found, "slicer_largest_resident_memory_bytes", group=group) <= resident
    # Who asks is busy with that.
    assert value(found, "slicer_busy_threads", group="clips") == 1


def end_all(server: Server, number: int, asked: int) -> None:
    """Send every process for clips a signal that ends it, once it has counted what was asked, and wait for others."""
    until(lambda: counted(server) == asked, 30, "all are counted")
    old = server.daemons("clips")
    for pid in old:
        os.kill(pid, number)
    until(lambda: not set(old) & set(server.daemons("clips")), 30, "they are gone")
    until(lambda: len(server.daemons("clips")) == len(old), 30, "others are there")
    until(lambda: server.get("/healthz")[0] == 200, 30, "it answers")


def wait_for_starts(server: Server, wanted: int) -> None:
    def started() -> float:
        return value(numbers(server), "slicer_processes_started_total", group="clips")

    until(lambda: started() == wanted, 30, "all have loaded the application")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1], ids=["killed", "replaced"])
def test_nothing_is_lost_or_counted_twice_when_processes_go(start, clip: str, number: int) -> None:
    server = start(*ALL_CPUS)
    for turn in range(1, 4):
        for _ in range(30):
            assert server.get(f"{clip}?t=0,1")[0] == 200
        end_all(server, number, asked=30 * turn)
        found = numbers(server)
        assert value(found, "slicer_requests_total", route="clips") == 30 * turn
        assert value(found, "slicer_request_seconds_count", route="clips") == 30 * turn
        assert value(found, "slicer_busy_threads", group="clips") == 1
        wait_for_starts(server, SIZES.clips_processes * (turn + 1))
    # A file for each process that lives, the sums, and the lock: nothing of those that went.
    names = os.listdir(os.path.join(server.root, "counts"))
    assert sorted(name for name in names if "-" not in name) == ["lock", "sums"]
    assert {int(name.split("-")[0]) for name in names if "-" in name} == {
        *server.daemons("clips"),
        *server.daemons("renders"),
    }


def test_a_process_killed_while_it_works_is_not_busy_for_ever(start, clip: str) -> None:
    server = start()
    server.get(f"{clip}?t=0,1")
    (pid, *_) = server.daemons("renders")
    stem = clip.removeprefix("/clips/").removesuffix(".mp3")
    thread = threading.Thread(target=server.get, args=(f"/renders/{stem}.opus?t=0,20&speed=1.5&normalize=ebu",))
    thread.start()
    until(lambda: value(numbers(server), "slicer_busy_threads", group="renders") == 1, 30, "it renders")
    for pid in server.daemons("renders"):
        os.kill(pid, signal.SIGKILL)
    thread.join()
    until(lambda: value(numbers(server), "slicer_busy_threads", group="renders") == 0, 30, "nobody renders")


def test_renders_are_told_with_what_came_of_them(start, clip: str) -> None:
    server = start()
    target = clip.replace("/clips/", "/renders/").replace(".mp3", ".wav")
    assert [server.get(f"{target}?t=0,1")[0] for _ in range(3)] == [200] * 3
    until(lambda: counted(server, "renders") == 3, 30, "they are counted")
    found = numbers(server)
    assert value(found, "slicer_results_total", group="renders", kind="render", outcome="made") == 1
    assert value(found, "slicer_results_total", group="renders", kind="render", outcome="kept") == 2
    assert value(found, "slicer_render_seconds_count", kind="render") == 1
    assert 0 < value(found, "slicer_render_seconds_sum", kind="render") < 60


def test_all_families_are_told_with_their_kinds(server: Server) -> None:
    told = families(server.get("/metrics")[2].decode())
    assert told == {metric.name: metric.kind for metric in ALL}


@pytest.mark.parametrize(("readers", "status"), [("-", 404), ("192.0.2.0/24", 404), ("127.0.0.1", 200)])
def test_others_see_nothing_there(start, readers: str, status: int) -> None:
    server = start(environ={"SLICER_METRICS_FROM": readers})
    answer = server.get("/metrics")
    assert answer[0] == status
    if status == 404:
        assert json.loads(answer[2])["type"] == "urn:slicer:problem:not-found"


def lines(path: str):
    return [json.loads(line) for line in pathlib.Path(path).read_text(encoding="ascii").splitlines()]


def test_each_request_is_a_line_that_its_name_finds(start, clip: str) -> None:
    place = folder()
    os.chmod(place, 0o777)
    path = os.path.join(place, "requests.log")
    server = start(environ={"SLICER_REQUEST_LOG": path})
    name = "a-request.of_ours-1"
    status, headers, body = server.get(f"{clip}?t=1,3", X_Request_Id=name)
    assert (status, headers["x-request-id"]) == (200, name)
    refused = server.get("/clips/no%22ne%0a.mp3?t=\\", X_Request_Id="bad name; of somebody's")
    assert refused[0] == 400
    assert re.fullmatch(r"[0-9a-f]{32}", refused[1]["x-request-id"])
    until(lambda: len(lines(path)) >= 3, 30, "they are logged")
    by_name = {line["request_id"]: line for line in lines(path)}
    line = by_name[name]
    assert line["group"] == "clips"
    assert line["pid"] in server.daemons("clips")
    assert (line["method"], line["target"], line["route"]) == ("GET", f"{clip}?t=1,3", "clips")
    assert (line["status"], line["bytes"], line["reason"], line["job"]) == (200, len(body), None, None)
    assert line["done"][0] in {"index:built", "index:disk", "index:memory"}
    assert 0 < line["ms"] < 30_000
    assert 0 <= line["queue_ms"] < 30_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    line = by_name[refused[1]["x-request-id"]]
    assert (line["status"], line["reason"]) == (400, "span-malformed")
    assert line["target"] == "/clips/no%22ne%0a.mp3?t=\\"


def test_a_line_has_the_status_that_was_sent_and_no_signature(start, clip: str) -> None:
    place = folder()
    os.chmod(place, 0o777)
    path = os.path.join(place, "requests.log")
    server = start(environ={"SLICER_REQUEST_LOG": path})
    assert server.get(clip, "OPTIONS", X_Request_Id="what-is-possible")[0] == 204
    # Without keys nobody needs one, and it is a secret all the same.
    status = server.get(f"{clip}?t=1,3&signature=secret&key=k", X_Request_Id="signed-for-one")[0]
    until(lambda: len(lines(path)) >= 3, 30, "they are logged")
    by_name = {line["request_id"]: line for line in lines(path)}
    assert by_name["what-is-possible"]["status"] == 204
    assert (by_name["signed-for-one"]["status"], by_name["signed-for-one"]["target"]) == (
        status,
        f"{clip}?t=1,3&signature=-&key=k",
    )


def test_lines_of_many_processes_do_not_mix_and_none_is_lost_when_the_log_is_turned_over(start, clip: str) -> None:
    place = folder()
    os.chmod(place, 0o777)
    path = os.path.join(place, "requests.log")
    server = start(*ALL_CPUS, environ={"SLICER_REQUEST_LOG": path})
    stop = time.monotonic() + 4
    names: list[str] = []

    def ask(number: int) -> None:
        while time.monotonic() < stop:
            names.append(server.get(f"{clip}?t={number},{number + 1}")[1]["x-request-id"])

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(4)]
        time.sleep(1.5)
        os.rename(path, path + ".1")
        for each in asking:
            each.result()
    until(lambda: len(lines(path)) + len(lines(path + ".1")) > len(names), 30, "all are logged")
    logged = [line["request_id"] for line in (*lines(path + ".1"), *lines(path))]
    assert sorted(set(names)) == sorted(names)
    assert set(names) <= set(logged)
    assert len(logged) == len(set(logged))
    assert len(lines(path)) > 0


def test_a_client_that_leaves_is_counted_and_logged_too(start, long_clip: str) -> None:
    place = folder()
    os.chmod(place, 0o777)
    path = os.path.join(place, "requests.log")
    server = start(environ={"SLICER_REQUEST_LOG": path})
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"GET {long_clip} HTTP/1.1\r\nHost: x\r\nX-Request-Id: the-one-that-left\r\n\r\n".encode())
        assert connection.recv(1000)
    until(lambda: any(line["request_id"] == "the-one-that-left" for line in lines(path)), 40, "it is logged")
    (line,) = [line for line in lines(path) if line["request_id"] == "the-one-that-left"]
    assert line["bytes"] < os.path.getsize(os.path.join(server.media, long_clip.removeprefix("/clips/")))
    assert value(numbers(server), "slicer_busy_threads", group="clips") == 1


@pytest.fixture(scope="module")
def long_clip(media: str) -> str:
    """A file that is larger than all buffers on its way."""
    with open(streams.make("mpeg1-44-untagged-cbr128", folder(), seconds=60), "rb") as minute:
        data = minute.read()
    path = os.path.join(media, "metrics", "long.mp3")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.writelines(data for _ in range(48))
    return "/clips/metrics/long.mp3"


def test_a_log_that_cannot_be_written_costs_no_answer(start, clip: str) -> None:
    place = os.path.join(folder(), "log")
    os.mkdir(place)
    os.chmod(place, 0o777)
    server = start(environ={"SLICER_REQUEST_LOG": os.path.join(place, "requests.log")})
    os.rename(place, place + ".gone")
    time.sleep(1.1)
    assert server.get(f"{clip}?t=0,1")[0] == 200
    assert raw(server.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200
    until(lambda: "the log of requests cannot be written" in server.log(), 30, "it is said")
