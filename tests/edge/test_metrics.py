"""What an operator sees of an edge: one name for a request in every log, its numbers, and who may read them."""

import http.client
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from support.edge import ROLE, Edge, Tap, site
from support.exposition import families, parse, value
from support.server import Server, folder, until

PROGRAM = ROLE / "files" / "slicer-edge-metrics"


def ask(port: int, target: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def count(edge: Edge) -> None:
    """Have the logs read, as the service does every five seconds."""
    subprocess.run([sys.executable, "-I", PROGRAM, edge.work, edge.work, "--once"], check=True)


def entry(edge: Edge, name: str) -> dict[str, object]:
    until(lambda: [line for line in edge.log() if line["request_id"] == name], 30, "it is logged")
    (found,) = [line for line in edge.log() if line["request_id"] == name]
    return found


def test_a_request_has_one_name_from_nginx_to_the_application(start, front, media: str) -> None:
    place = folder()
    os.chmod(place, 0o777)
    path = pathlib.Path(place, "requests.log")
    server = start(environ={"SLICER_REQUEST_LOG": str(path)})
    edge = front(site(server.port))
    answer = edge.get("/clips/show.mp3?t=1,2")
    name = answer.headers["x-request-id"]
    assert [value for field, value in answer.fields if field == "x-request-id"] == [name]
    assert entry(edge, name)["cache"] == "MISS"
    until(lambda: name in path.read_text(), 30, "the application logs it")
    (line,) = [json.loads(text) for text in path.read_text().splitlines() if name in text]
    assert (line["target"], line["status"], line["bytes"]) == ("/clips/show.mp3?t=1,2", 200, len(answer.body))
    # The entry was filled for another: whoever gets it has a name of their own.
    again = edge.get("/clips/show.mp3?t=1,2")
    assert again.cache == "HIT"
    assert again.headers["x-request-id"] != name
    assert len([field for field, _ in again.fields if field == "x-request-id"]) == 1
    assert entry(edge, again.headers["x-request-id"])["cache"] == "HIT"


@pytest.mark.parametrize(
    ("trusted", "given", "taken"),
    [
        (["127.0.0.1"], "a-name.of_theirs-1", True),
        (["127.0.0.1"], "short", False),
        (["127.0.0.1"], 'a-name"with\\quotes', False),
        (["192.0.2.1"], "a-name.of_theirs-1", False),
        ([], "a-name.of_theirs-1", False),
    ],
)
def test_only_a_trusted_proxy_names_a_request(front, server: Server, trusted, given: str, taken: bool) -> None:
    edge = front(site(server.port), nginx_trusted_proxies=trusted)
    name = edge.get("/healthz", X_Request_Id=given).headers["x-request-id"]
    assert (name == given) is taken
    assert taken or len(name) == 32
    assert entry(edge, name)["target"] == "/healthz"


def test_numbers_are_for_the_listener_of_numbers_alone(edge: Edge, tap: Tap, server: Server) -> None:
    for target in ("/metrics", "/%6detrics", "//metrics", "/x/../metrics", "/metrics?x"):
        assert edge.get(target).status == 404
    assert tap.targets == []
    status, text = ask(edge.metrics_port, "/main/1")
    assert (status, tap.targets) == (200, ["/metrics"])
    assert value(parse(text), "slicer_processes", group="clips") == len(server.daemons("clips"))
    assert ask(edge.metrics_port, "/main/2")[0] == 404
    assert ask(edge.metrics_port, "/metrics")[0] == 404


def test_the_cache_is_told_as_it_was(front, server: Server, fresh: Callable[[], str]) -> None:
    edge = front(site(server.port))
    url = fresh()
    answers = [edge.get(url) for _ in range(5)]
    assert [answer.cache for answer in answers] == ["MISS", *["HIT"] * 4]
    assert edge.get("/clips/none.mp3?t=1,2").status == 404
    until(lambda: len(edge.log()) == 6, 30, "they are logged")
    count(edge)
    status, text = ask(edge.metrics_port, "/edge")
    assert status == 200
    found = parse(text)
    assert value(found, "slicer_edge_requests_total", site="main", cache="HIT", **{"class": "2xx"}) == 4
    assert value(found, "slicer_edge_requests_total", site="main", cache="MISS", **{"class": "2xx"}) == 1
    assert value(found, "slicer_edge_requests_total", site="main", **{"class": "4xx"}) == 1
    assert value(found, "slicer_edge_upstream_total", site="main", status="200") == 1
    assert value(found, "slicer_edge_upstream_total", site="main", status="404") == 1
    assert value(found, "slicer_edge_request_seconds_count", site="main") == 6
    assert value(found, "slicer_edge_bytes_total", site="main") > 5 * len(answers[0].body)
    assert value(found, "slicer_edge_unreadable_lines_total") == 0
    assert families(text)["slicer_edge_request_seconds"] == "histogram"


LINE = {"status": "200", "cache": "HIT", "bytes": 10, "seconds": 0.01, "upstream_status": ""}


def read(place: str) -> float:
    subprocess.run([sys.executable, "-I", PROGRAM, place, place, "--once"], check=True)
    return value(parse(pathlib.Path(place, "edge.prom").read_text()), "slicer_edge_requests_total", site="main")


def test_no_line_is_counted_twice_or_lost_when_the_log_is_turned_over(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "slicer-main.access.log"

    def add(count: int, path: pathlib.Path = log) -> None:
        with open(path, "a") as file:
            file.writelines(json.dumps(LINE) + "\n" for _ in range(count))

    add(3)
    assert [read(str(tmp_path)) for _ in range(2)] == [3, 3]
    with open(log, "a") as file:
        file.write(json.dumps(LINE)[:20])
    assert read(str(tmp_path)) == 3
    with open(log, "a") as file:
        file.write(json.dumps(LINE)[20:] + "\n")
    assert read(str(tmp_path)) == 4
    add(2)
    log.rename(tmp_path / "slicer-main.access.log.1")
    add(5)
    # Nginx writes to the old one until it is told.
    add(1, tmp_path / "slicer-main.access.log.1")
    assert [read(str(tmp_path)) for _ in range(2)] == [12, 12]
    log.write_text("")
    add(1)
    assert read(str(tmp_path)) == 13


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        "[]",
        '{"status": "2000"}',
        "[" * 100_000,
        "\x00\xff",
        '{"status": 1}',
        json.dumps({**LINE, "seconds": float("nan")}),
    ],
)
def test_what_is_no_line_of_ours_is_told_and_passed_over(tmp_path: pathlib.Path, line: str) -> None:
    log = tmp_path / "slicer-main.access.log"
    log.write_text(line + "\n" + json.dumps({**LINE, "cache": 'x"\n'}) + "\n", encoding="latin-1")
    assert read(str(tmp_path)) == 1
    found = parse((tmp_path / "edge.prom").read_text())
    assert value(found, "slicer_edge_unreadable_lines_total", site="main") >= 1
    assert value(found, "slicer_edge_requests_total", cache="other") == 1


def test_it_says_what_it_needs(tmp_path: pathlib.Path) -> None:
    done = subprocess.run([sys.executable, "-I", PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
