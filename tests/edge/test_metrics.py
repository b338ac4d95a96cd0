"""What an operator sees of an edge: one name for a request in every log, its numbers, and who may read them."""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from support import templates
from support.edge import DEFAULTS, ROLE, Edge, Tap, site
from support.exposition import families, parse, value
from support.server import Server, folder, free_port, until

PROGRAM = ROLE / "files" / "slicer-edge-metrics"


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#: What is a number in the log of a request that Nginx asked a slicer about.
NUMBERS = ("status", "bytes", "seconds", "upstream_connect", "upstream_header", "upstream_seconds")


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
    edge = front(site(server.port), nginx_trusted_proxies=["127.0.0.1"])
    answer = edge.get("/clips/show.mp3?t=1,2", Traceparent=TRACEPARENT)
    name = answer.headers["x-request-id"]
    assert [value for field, value in answer.fields if field == "x-request-id"] == [name]
    logged = entry(edge, name)
    assert (logged["cache"], logged["status"], logged["upstream_status"]) == ("MISS", 200, "200")
    assert logged["trace_id"] == TRACEPARENT.split("-")[1]
    assert logged["time"].endswith("+00:00")
    assert all(isinstance(logged[field], int | float) for field in NUMBERS)
    until(lambda: name in path.read_text(), 30, "the application logs it")
    (line,) = [json.loads(text) for text in path.read_text().splitlines() if name in text]
    assert line["trace_id"] == logged["trace_id"]
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
    traced = trusted != ["192.0.2.1"] and bool(trusted)
    name = edge.get("/healthz", X_Request_Id=given, Traceparent=TRACEPARENT).headers["x-request-id"]
    assert (name == given) is taken
    assert taken or len(name) == 32
    assert entry(edge, name)["target"] == "/healthz"
    assert entry(edge, name)["trace_id"] == (TRACEPARENT.split("-")[1] if traced else "")


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
    assert value(found, "slicer_edge_requests_total", kind="clips", cache="HIT", **{"class": "2xx"}) == 4
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


@pytest.mark.parametrize("days", [40, 40_000])
def test_the_certificate_that_is_shown_has_its_end_and_a_folder_its_room(
    front, server: Server, tmp_path, days: int
) -> None:
    # The second one ends after 2049, which is written otherwise.
    chain, key = (str(tmp_path / name) for name in ("chain.pem", "key.pem"))
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made = [*make, "-subj", "/CN=a.test", "-days", str(days), "-keyout", key, "-out", chain]
    subprocess.run(made, check=True, capture_output=True)
    edge = front(site(server.port, server_names=["a.test"], tls_certificate=chain, tls_certificate_key=key))
    until(lambda: ssl_is_up(edge.tls_port), 30, "Nginx speaks TLS")
    places = [f"--tls=127.0.0.1:{edge.tls_port}={name}" for name in ("a.test", "b.test")]
    places.append(f"--tls=127.0.0.1:{free_port()}=c.test")
    before = time.time()
    subprocess.run(
        [sys.executable, "-I", PROGRAM, edge.work, edge.work, "--once", f"--disk={tmp_path}", *places], check=True
    )
    found = parse(pathlib.Path(edge.work, "edge.prom").read_text())
    end = value(found, "slicer_edge_certificate_expiry_timestamp_seconds", server_name="a.test")
    assert before + days * 86_400 - 300 < end < time.time() + days * 86_400
    assert [value(found, "slicer_edge_tls_up", server_name=f"{name}.test") for name in "abc"] == [1, 0, 0]
    free, size = (value(found, f"slicer_edge_disk_{what}_bytes", folder=str(tmp_path)) for what in ("free", "size"))
    assert 0 < free <= size


def ssl_is_up(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("sites", "listen", "words", "allowed"),
    [
        ([site(8000)], ["443"], [], ["localhost"]),
        (
            [
                site(8000, server_names=["_"], tls_certificate="/c"),
                site(8001, "b", server_names=["b.test", "*.b.test"], tls_certificate="/d"),
            ],
            ["10.0.0.9:8443"],
            ["10.0.0.9:8443=", "10.0.0.9:8443=b.test", "10.0.0.9:8443=any.b.test"],
            ["localhost", "10.0.0.9"],
        ),
        (
            [site(8000, server_names=["a.test"], tls_certificate="/c")],
            ["443", "[::]:443"],
            ["127.0.0.1:443=a.test"],
            ["localhost"],
        ),
    ],
)
def test_its_unit_names_every_certificate(
    tmp_path: pathlib.Path, sites, listen, words: list[str], allowed: list[str]
) -> None:
    path = tmp_path / "unit"
    variables = {"nginx_sites": sites, "nginx_https_listen": listen}
    templates.write(ROLE / "templates" / "slicer-edge-metrics.service.j2", str(path), DEFAULTS, variables)
    unit = path.read_text()
    command = unit.partition("ExecStart=")[2].partition("\nRestart=")[0]
    assert [word.removeprefix("--tls=") for word in command.split() if word.startswith("--tls=")] == words
    assert re.findall(r"--disk=(\S+)", command) == ["/var/cache/nginx", "/var/log/nginx"]
    assert re.findall(r"^IPAddressAllow=(.*)", unit, re.MULTILINE) == allowed


def test_it_says_what_it_needs(tmp_path: pathlib.Path) -> None:
    done = subprocess.run([sys.executable, "-I", PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
