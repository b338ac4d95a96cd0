"""A machine on which nothing has an IPv4 address, not even loopback: everything of a site, as the roles configure it."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
from redis import Redis, RedisError

from mp3_slicer.doctor.host import ready
from support import templates
from support.edge import ROOT, edge_of, site
from support.hold import MODULE
from support.jobs import START_SECONDS, Place
from support.server import free_port, serving, until

QUEUE = ROOT / "ansible" / "roles" / "queue"
_NEW_NETWORK = 0x40000000
PASSWORD = "secret-of-the-tests"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip"), reason="takes root, which makes a network, and ip"
)


@pytest.fixture
def alone() -> Iterator[None]:
    """This thread, and what it starts, has a network of its own with ::1 and nothing else."""
    system = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if system.unshare(_NEW_NETWORK):
            pytest.skip(f"no network can be made here: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            subprocess.run(["ip", "-4", "address", "flush", "dev", "lo"], check=True)
            with pytest.raises(OSError, match="assign"), socket.socket() as four:
                four.bind(("127.0.0.1", 0))
            yield
        finally:
            assert system.setns(before, _NEW_NETWORK) == 0
    finally:
        os.close(before)


class Queue:
    """A Redis with the role's own configuration."""

    def __init__(self, work: pathlib.Path) -> None:
        self.port = free_port("::1")
        self.url = f"redis://site-main:{PASSWORD}@[::1]:{self.port}/0"
        own = {"queue_listen": "::1", "slicer_loopback": "::1", "queue_port": self.port, "queue_password": PASSWORD}
        files = [QUEUE / "defaults" / "main.yml", QUEUE / "vars" / "main.yml"]
        known = {**own, "queue_sites": {"main": PASSWORD}, "queue_max_clients": 100}
        templates.write(QUEUE / "templates" / "redis.conf.j2", str(work / "redis.conf"), files, known)
        # The role's folder is the distribution's, and systemd waits for its service there.
        self.process = subprocess.Popen(
            ["/usr/bin/redis-server", work / "redis.conf", "--dir", work, "--supervised", "no"],
            stdout=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        with contextlib.suppress(RedisError), Redis.from_url(self.url, socket_timeout=1) as redis:
            return bool(redis.ping())
        return False


@contextlib.contextmanager
def queue_of(work: pathlib.Path) -> Iterator[Queue]:
    queue = Queue(work)
    try:
        until(queue.answers, START_SECONDS, "Redis answers")
        yield queue
    finally:
        queue.process.terminate()
        queue.process.wait(20)


@pytest.mark.usefixtures("alone")
def test_clips_metrics_and_jobs_where_there_is_no_ipv4(media: str, tmp_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(queue_of(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        publish = f"[::1]:{free_port('::1')}"
        environ = {"SLICER_JOBS_PUBLISH": f"http://{publish}/main", "SLICER_JOBS_NAME": "main"}
        place = Place(media, queue, **environ)  # type: ignore[arg-type]
        stack.callback(place.close)
        server = stack.enter_context(serving(media, "--cpus", "1", "--status", environ=place.environ, host="::1"))
        assert server.url == f"http://[::1]:{server.port}"
        assert server.get("/server-status?auto")[0] == 200
        options = {"SERVE_OPTIONS": f"--host ::1 --port {server.port}"}
        assert ready("main", options).ok, ready("main", options)
        (tmp_path / "nchan.conf").write_text(f"load_module {MODULE};\n")
        edge = stack.enter_context(
            edge_of(
                [site(0, upstreams=[{"address": "[::1]", "port": server.port}])],
                host="::1",
                slicer_loopback="::1",
                nginx_client_misses=600,
                nginx_misses_listen=f"[::1]:{free_port('::1')}",
                nginx_client_jobs=60,
                nginx_hold_clients=True,
                nginx_publish_listen=publish,
                nginx_modules_include=str(tmp_path / "nchan.conf"),
                nginx_trusted_proxies=["2001:db8::/32"],
            )
        )
        clips = [edge.get("/clips/show.mp3?t=1,2") for _ in range(2)]
        assert [(clip.status, clip.cache) for clip in clips] == [(200, "MISS"), (200, "HIT")]
        assert clips[0].body == clips[1].body == server.get("/clips/show.mp3?t=1,2")[2]
        with socket.create_connection(("::1", edge.metrics_port), timeout=30) as asked:
            asked.sendall(b"GET /main/1 HTTP/1.0\r\n\r\n")
            assert asked.recv(65536).startswith(b"HTTP/1.1 200 ")
        body = json.dumps({"request": "/renders/show.flac?t=1,3"}).encode()
        accepted = edge.get("/jobs", "POST", body=body, Content_Type="application/json")
        assert accepted.status == 202, accepted
        job = accepted.headers["location"]
        place.worker("--short", "1", "--long", "1")
        # Nginx holds the client until the worker publishes something, at its address of IPv6: signs of life, and then the end.
        held = edge.get(f"{job}/wait")
        assert "last-modified" in held.headers, held
        until(lambda: json.loads(edge.get(f"{job}/wait").body)["state"] == "done", 90, "the job has ended")
        assert edge.get("/renders/show.flac?t=1,3").body.startswith(b"fLaC")
        assert edge.log()[-1]["client"] == "::1"
