"""Connections from Nginx to Apache that are kept for the next clip: as many as there are processes for, and of nobody else."""

import contextlib
import http.client
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mp3_slicer.server.machine import cpus, memory_bytes
from mp3_slicer.server.sizes import compute
from support.edge import Edge, site
from support.server import Server, folder, serving, until

SIZES = compute(cpus(), memory_bytes())


@pytest.fixture
def server(cbr: str) -> Iterator[Server]:
    media = folder()
    shutil.copy(cbr, os.path.join(media, "show.mp3"))
    with serving(media) as started:
        yield started
    shutil.rmtree(media)


@pytest.fixture
def front(server: Server) -> Iterator[Callable[[int], Edge]]:
    """front(kept) is an Nginx without a cache that keeps so many idle connections."""
    started: list[Edge] = []

    def start(kept: int) -> Edge:
        connections = SIZES.edge_clips_connections
        started.append(Edge([site(server.port, cache_mib=0, clips_connections=connections, kept_connections=kept)]))
        return started[-1]

    yield start
    for edge in started:
        edge.stop()


def connections(server: Server) -> set[int]:
    """The clients' ports of all connections to a server that are established, as the kernel has them (proc(5), /proc/net/tcp)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return {
        int(row[1].partition(":")[2], 16)
        for row in rows
        if row[3] == "01" and int(row[2].partition(":")[2], 16) == server.port
    }


def clips(edge: Edge, first: int, count: int) -> list[int]:
    return [edge.get(f"/clips/show.mp3?t={first + number}.5,{first + number + 1}").status for number in range(count)]


def test_one_connection_serves_one_clip_after_another(server: Server, front: Callable[[int], Edge]) -> None:
    edge = front(SIZES.edge_kept_connections)

    def is_used_again() -> bool:
        before = connections(server)
        assert clips(edge, 1, 1) == [200]
        return bool(before) and connections(server) == before

    # Each of Nginx's two processes has its own, and a busy machine may let it rest for a second.
    until(is_used_again, 60, "a clip comes over a connection that was there before")
    until(lambda: not connections(server), 30, "idle connections are closed")


def test_no_more_are_idle_than_apache_has_processes_for(server: Server, front: Callable[[int], Edge]) -> None:
    edge = front(SIZES.edge_kept_connections)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: clips(edge, number % 14, 5), range(32)))
    assert {status for each in answers for status in each} == {200}
    assert len(connections(server)) <= SIZES.edge_kept_connections


def test_what_is_less_than_one_for_each_process_of_nginx_is_none(server: Server, front: Callable[[int], Edge]) -> None:
    edge = front(1)
    assert clips(edge, 0, 3) == [200, 200, 200]
    until(lambda: not connections(server), 30, "each connection ends with its answer")


def holders(server: Server) -> set[int]:
    """The processes of Apache that hold an established connection."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    wanted = {
        f"socket:[{row[9]}]" for row in rows if row[3] == "01" and int(row[1].partition(":")[2], 16) == server.port
    }
    found = set()
    for child in server.children():
        # Descriptors come and go meanwhile.
        with contextlib.suppress(OSError):
            for each in Path(f"/proc/{child}/fd").iterdir():
                if os.readlink(each) in wanted:
                    found.add(child)
    return found


def test_a_process_that_is_killed_with_its_idle_connection_costs_no_answer(
    server: Server, front: Callable[[int], Edge]
) -> None:
    edge = front(SIZES.edge_kept_connections)
    killed = 0
    for number in range(10):
        assert clips(edge, number, 2) == [200, 200]
        for child in holders(server):
            os.kill(child, signal.SIGKILL)
            killed += 1
        assert clips(edge, number + 5, 1) == [200]
    assert killed


@pytest.mark.parametrize(("field", "kept"), [({}, False), ({"X-Slicer-Cache": "stale"}, True)])
def test_only_a_proxy_of_slicers_keeps_its_connection(server: Server, field: dict[str, str], kept: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/clips/show.mp3?t=1,2", headers={"Connection": "keep-alive", **field})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    assert (answer.getheader("Connection") == "close") is not kept
    connection.close()
