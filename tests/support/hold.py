"""Nginx with its module nchan before a real server, and clients that it holds until a job has ended."""

import contextlib
import json
import selectors
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.edge import Edge, edge_of
from support.edge import site as site_of
from support.jobs import Broker, Place, place_of
from support.server import Server, free_port, serving

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class House:
    """Everything: Nginx, the server behind it, and where its jobs are done."""

    def __init__(self, place: Place, server: Server, edge: Edge) -> None:
        self.place, self.server, self.edge = place, server, edge
        self.sockets: list[socket.socket] = []

    def post(self, url: str) -> str:
        """Ask for a job; its URL."""
        body = json.dumps({"request": url}).encode()
        answer = self.edge.get("/jobs", "POST", body=body, Content_Type="application/json")
        assert answer.status == 202, answer
        return answer.headers["location"]

    def cancel(self, target: str) -> None:
        """Cancel a job, as an operator can."""
        self.place.queue.store.cancel(target.rpartition("/")[2])

    def state(self, target: str) -> str:
        return json.loads(self.edge.get(target).body)["state"]

    def connections(self) -> int:
        """Connections that Nginx has to the server."""
        found = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            remote, state = line.split()[2:4]
            found += state == "01" and int(remote.split(":")[1], 16) == self.server.port
        return found


class Held:
    """A request that is held, on a socket of its own."""

    def __init__(self, house: House, target: str, accept: str = "application/json") -> None:
        self.socket = socket.create_connection(("127.0.0.1", house.edge.port), timeout=60)
        house.sockets.append(self.socket)
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n".encode()
        )
        self.data = b""

    def all(self) -> tuple[int, dict[str, Any]]:
        """Status and JSON, once it is answered."""
        with contextlib.suppress(ConnectionResetError):
            while block := self.socket.recv(65536):
                self.data += block
        self.socket.close()
        return self.parsed()

    def parsed(self) -> tuple[int, dict[str, Any]]:
        head, _, body = self.data.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, json.loads(body) if body.startswith(b"{") else {}


def answers(held: list[Held], seconds: float) -> list[float]:
    """Read what is held until each is answered; when each was, in seconds from now."""
    began, found = time.monotonic(), []
    with selectors.DefaultSelector() as selector:
        for each in held:
            each.socket.setblocking(False)
            selector.register(each.socket, selectors.EVENT_READ, each)
        while selector.get_map():
            assert time.monotonic() - began < seconds, f"{len(selector.get_map())} are not answered"
            for key, _ in selector.select(0.5):
                try:
                    block = key.data.socket.recv(65536)
                except ConnectionResetError:
                    block = b""
                key.data.data += block
                if not block:
                    selector.unregister(key.data.socket)
                    key.data.socket.close()
                    found.append(time.monotonic() - began)
    return found


@contextlib.contextmanager
def house_of(
    media: str, broker: Broker, settings: dict[str, str] | None = None, site: dict[str, Any] | None = None, **nginx: Any
) -> Iterator[House]:
    """Everything but workers, until the end of the block.

    `settings` are the server's, `site` changes the site as Nginx has it, `nginx` are variables of its role.
    """
    publish = free_port()
    with contextlib.ExitStack() as stack:
        module = Path(stack.enter_context(tempfile.TemporaryDirectory()), "nchan.conf")
        module.write_text(f"load_module {MODULE};\n")
        known = {"SLICER_JOBS_PUBLISH": f"http://127.0.0.1:{publish}/main", **(settings or {})}
        place = stack.enter_context(place_of(media, broker, **known))
        server = stack.enter_context(serving(media, environ=place.environ))
        variables = {"nginx_hold_ping_seconds": 1, **nginx}
        edge = stack.enter_context(
            edge_of(
                [site_of(server.port, **(site or {}))],
                nginx_hold_clients=True,
                nginx_publish_listen=f"127.0.0.1:{publish}",
                nginx_modules_include=str(module),
                **variables,
            )
        )
        house = House(place, server, edge)
        try:
            yield house
        finally:
            for each in house.sockets:
                each.close()
