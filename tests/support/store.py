"""Real object stores for tests, on loopback, and objects put into them over S3. SeaweedFS is here, Swift in swift.py."""

import contextlib
import glob
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.server import folder, until

WEED = os.path.join(os.path.dirname(sys.executable), "weed")
BUCKET, KEY, SECRET = "audio", "slicer", "/a+secret"
#: Credentials that may read and list in SeaweedFS, and not write.
READER = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "another+secret"}
START_SECONDS = 90
#: SeaweedFS makes a socket there for each gRPC port, whatever it is told.
GRPC_SOCKETS = "/tmp/seaweedfs-*-grpc-{port}.sock"


def ports(count: int) -> list[int]:
    """Free ports whose neighbours 10,000 above are free too: SeaweedFS uses both."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12_000, 22_000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for each in (port, port + 10_000):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
            found.append(port)
    return found


class Store:
    """A running store that speaks S3, with one bucket. A subclass says what is started."""

    key = KEY  #: the access key
    port: int  #: where it takes requests
    reader: Mapping[str, str] | None = None  #: variables with other credentials, which may read and not write
    has_claims = True  #: whether it honours If-None-Match where an object is put
    most_replacements = 1000  #: of one object, that a test has time for

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager()
        self.processes: list[subprocess.Popen[bytes]] = []
        for tries_left in (2, 1, 0):
            self.work = folder()
            self.prepare()
            try:
                self.start()
                return
            except AssertionError:
                self.stop()
                # Another test may have taken a port meanwhile.
                if not tries_left:
                    raise

    def prepare(self) -> None:
        """Choose ports, and write what it is configured with into its folder."""
        raise NotImplementedError

    def commands(self) -> list[list[str]]:
        """Return the command line of each of its processes."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def media(self) -> str:
        return f"s3://{BUCKET}/shows"

    @property
    def environ(self) -> dict[str, str]:
        """The variables with which a slicer serves it."""
        return {
            "SLICER_OBJECTS_ENDPOINT": self.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start it, with what it had."""
        with open(os.path.join(self.work, "log"), "ab") as log:
            self.processes = [
                subprocess.Popen(
                    command,
                    env={**os.environ, "TMPDIR": self.work},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
                for command in self.commands()
            ]
        until(self._ready, START_SECONDS, "the store takes objects")

    def _ready(self) -> bool:
        assert all(each.poll() is None for each in self.processes), f"the store ended: {self.log()}"
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return self.ask("PUT", f"/{BUCKET}") in (200, 409) and self.ask("PUT", f"/{BUCKET}/ready", b"x") == 200
        return False

    def log(self) -> str:
        """Return the end of what it said."""
        with open(os.path.join(self.work, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]

    def ask(self, method: str, target: str, body: bytes = b"", **fields: str) -> int:
        """A signed request; the status of its answer."""
        request = AWSRequest(method, self.url + target, data=body, headers=fields)
        S3SigV4Auth(Credentials(self.key, SECRET), "s3", "us-east-1").add_auth(request)
        answer = self._pool.request(
            method, self.url + target, body=body, headers=dict(request.headers.items()), retries=False, timeout=20
        )
        return answer.status

    def put(self, path: str, data: bytes) -> None:
        """Put an object under a path from the media."""
        key = urllib.parse.quote("shows/" + path, safe="/-_.~")
        assert self.ask("PUT", f"/{BUCKET}/{key}", data) == 200

    def delete(self, path: str) -> None:
        key = urllib.parse.quote("shows/" + path, safe="/-_.~")
        assert self.ask("DELETE", f"/{BUCKET}/{key}") == 204

    def kill(self) -> None:
        """End it at once: what it has is thrown away later."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def pause(self) -> None:
        """Let it stand still, and return when no thread of it runs: the signal takes its time on a busy machine."""
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)
        until(lambda: all(_stopped(each.pid) for each in self.processes), 30, "the store stands still")

    def go_on(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.work, ignore_errors=True)


def _stopped(pid: int) -> bool:
    """Return whether every thread of a process is stopped."""
    states = []
    for path in glob.glob(f"/proc/{pid}/task/*/stat"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            states.append(file.read().rpartition(")")[2].split()[0])
    return bool(states) and set(states) == {"T"}


class SeaweedFS(Store):
    """SeaweedFS: one process."""

    reader = READER

    def prepare(self) -> None:
        self.ports = ports(4)
        self.port = self.ports[0]
        with open(os.path.join(self.work, "keys.json"), "w", encoding="ascii") as file:
            keys = [{"accessKey": self.key, "secretKey": SECRET}]
            read = [{"accessKey": READER["AWS_ACCESS_KEY_ID"], "secretKey": READER["AWS_SECRET_ACCESS_KEY"]}]
            identities = [
                {"name": "slicer", "credentials": keys, "actions": ["Admin"]},
                {"name": "reader", "credentials": read, "actions": ["Read", "List"]},
            ]
            json.dump({"identities": identities}, file)

    def commands(self) -> list[list[str]]:
        s3, master, volume, filer = self.ports
        return [
            [
                *(WEED, "-logtostderr", "server", "-master.telemetry=false", f"-dir={self.work}"),
                *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-metricsPort=0"),
                *(f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}"),
                *("-s3", f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
                *(f"-s3.config={self.work}/keys.json", f"-s3.localSocket={self.work}/s3.sock"),
                *("-master.volumeSizeLimitMB=64", "-volume.max=10", f"-filer.localSocket={self.work}/filer.sock"),
            ]
        ]

    def stop(self) -> None:
        super().stop()
        for port in self.ports:
            for path in glob.glob(GRPC_SOCKETS.format(port=port + 10_000)):
                os.unlink(path)


@contextlib.contextmanager
def stored(files: Mapping[str, bytes] = {}, kind: type[Store] = SeaweedFS) -> Iterator[Store]:
    """A store with these objects, which is thrown away at the end."""
    store = kind()
    try:
        for path, data in files.items():
            store.put(path, data)
        yield store
    finally:
        store.stop()


def connects(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
