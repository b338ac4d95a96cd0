"""A real object store for tests: SeaweedFS on loopback, and objects put into it over S3."""

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
    """One running SeaweedFS with one bucket."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager()
        self.process: subprocess.Popen[bytes]
        for tries_left in (2, 1, 0):
            self._prepare()
            try:
                self.start()
                return
            except AssertionError:
                self.stop()
                # Another test may have taken a port meanwhile.
                if not tries_left:
                    raise

    def _prepare(self) -> None:
        self.work = folder()
        self.ports = ports(4)
        self.port, *others = self.ports
        self.url = f"http://127.0.0.1:{self.port}"
        self.media = f"s3://{BUCKET}/shows"
        #: What a slicer needs to serve it.
        self.environ = {
            "SLICER_OBJECTS_ENDPOINT": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        config = os.path.join(self.work, "keys.json")
        with open(config, "w", encoding="ascii") as file:
            keys = [{"accessKey": KEY, "secretKey": SECRET}]
            json.dump({"identities": [{"name": "slicer", "credentials": keys, "actions": ["Admin"]}]}, file)
        self._command = [
            *(WEED, "-logtostderr", "server", "-master.telemetry=false", f"-dir={self.work}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-master.port={others[0]}", f"-volume.port={others[1]}", "-filer", f"-filer.port={others[2]}", "-s3"),
            *(
                f"-s3.port={self.port}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-metricsPort=0",
                f"-s3.config={config}",
            ),
            *("-master.volumeSizeLimitMB=64", "-volume.max=10", f"-filer.localSocket={self.work}/filer.sock"),
            f"-s3.localSocket={self.work}/s3.sock",
        ]

    def start(self) -> None:
        """Start it, with what it had."""
        log = open(os.path.join(self.work, "log"), "ab")  # noqa: SIM115 - the process keeps it
        self.process = subprocess.Popen(
            self._command,
            env={**os.environ, "TMPDIR": self.work},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        until(self._ready, START_SECONDS, "the store takes objects")

    def _ready(self) -> bool:
        assert self.process.poll() is None, "the store ended"
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return self.ask("PUT", f"/{BUCKET}") in (200, 409) and self.ask("PUT", f"/{BUCKET}/ready", b"x") == 200
        return False

    def ask(self, method: str, target: str, body: bytes = b"", **fields: str) -> int:
        """A signed request; the status of its answer."""
        request = AWSRequest(method, self.url + target, data=body, headers=fields)
        S3SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1").add_auth(request)
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
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Let it stand still."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.work, ignore_errors=True)
        for port in self.ports:
            for path in glob.glob(GRPC_SOCKETS.format(port=port + 10_000)):
                os.unlink(path)


@contextlib.contextmanager
def stored(files: Mapping[str, bytes] = {}) -> Iterator[Store]:
    """A store with these objects, which is thrown away at the end."""
    store = Store()
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
