"""A real Nginx for tests: the role's own templates, rendered by Ansible, in front of real slicers on loopback."""

import contextlib
import glob
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from support import templates
from support.server import children_of, folder, free_port, status, until

ROOT = pathlib.Path(__file__).parents[2]
ROLE = ROOT / "ansible" / "roles" / "nginx"
#: The program; another one (a newer Nginx) can be named.
NGINX = os.environ.get("SLICER_TEST_NGINX", "/usr/sbin/nginx")
START_SECONDS = 60


def nginx_version(program: str = NGINX) -> str:
    said = subprocess.run([program, "-v"], check=True, capture_output=True, text=True).stderr
    return said.split("nginx/")[1].split()[0]


def has_status(program: str = NGINX) -> bool:
    """Return whether this Nginx was built with stub_status, as Debian's are."""
    said = subprocess.run([program, "-V"], check=True, capture_output=True, text=True).stderr
    return "stub_status" in said


def site(port: int | Sequence[int], name: str = "main", **changes: Any) -> dict[str, Any]:
    """A site as the role takes it, in front of the slicers on these ports."""
    return {
        "name": name,
        "server_names": ["_"],
        "upstreams": [{"address": "127.0.0.1", "port": each} for each in ([port] if isinstance(port, int) else port)],
        "clips_connections": 40,
        "renders_connections": 6,
        "read_timeout": 84,
        "retry_after": 2,
        "cache_mib": 256,
        **changes,
    }


CERTIFICATES = ROLE / "templates" / "slicer-certificates.j2"
TEMPLATE = ROLE / "templates" / "nginx.conf.j2"
DEFAULTS = (ROLE / "defaults" / "main.yml", ROLE / "vars" / "main.yml")


def render(path: str, variables: dict[str, Any]) -> None:
    """Write the role's configuration file, as the role's own task does: by Ansible, from the role's defaults."""
    templates.write(TEMPLATE, path, DEFAULTS, variables)


class Answer:
    """A response, as a client got it."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.fields = [(name.lower(), value) for name, value in headers]
        self.headers = dict(self.fields)
        self.body = body
        #: X-Cache-Status.
        self.cache = self.headers["x-cache-status"]

    def __repr__(self) -> str:
        return f"{self.status} {self.cache} {self.fields} {self.body[:200]!r}"


class Tap:
    """A relay between Nginx and a slicer that sees what is asked and answered, and can hold requests back."""

    def __init__(self, port: int) -> None:
        self.to = port
        #: (first line and fields of the request, first line and fields of its answer), in the order of the requests.
        self.seen: list[list[str]] = []
        self.open = 0
        self.most = 0
        #: While true, every connection is closed without an answer.
        self.failing = False
        #: While true, answers come without their Content-Length: they end where the connection does.
        self.endless = False
        #: Requests without this in their head pass also while others are held. In lower case.
        self.only = ""
        self._pass = threading.Event()
        self._pass.set()
        self._whole = threading.Event()
        self._whole.set()
        self._first_bytes = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._up = True
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> contextlib.ExitStack:
        """Keep what comes, until `release` or the end of a `with`."""
        self._pass.clear()
        stack = contextlib.ExitStack()
        stack.callback(self.release)
        return stack

    def hold_answers(self, after: int) -> None:
        """Pass the first bytes of each answer, and keep the rest until `release`."""
        self._first_bytes = after
        self._whole.clear()

    def release(self) -> None:
        self._pass.set()
        self._whole.set()

    def forget(self) -> None:
        self.seen.clear()

    @property
    def targets(self) -> list[str]:
        return [request.split()[1] for request, _ in self.seen]

    @property
    def statuses(self) -> list[int]:
        return [int(answer.split()[1]) if answer else 0 for _, answer in self.seen]

    def close(self) -> None:
        """From now on connections are refused."""
        if self._up:
            self._up = False
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(connection,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with self._lock:
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            with client, contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head and (block := client.recv(65536)):
                    head += block
                if not head or self.failing:
                    return
                entry = [head.decode("latin-1"), ""]
                self.seen.append(entry)
                if self.only in entry[0].lower():
                    self._pass.wait()
                with socket.create_connection(("127.0.0.1", self.to)) as server:
                    server.sendall(head)
                    data, passed = b"", 0
                    while block := server.recv(65536):
                        if not entry[1]:
                            data += block
                            if b"\r\n\r\n" in data:
                                entry[1] = data.partition(b"\r\n\r\n")[0].decode("latin-1")
                        if self.endless and not passed:
                            block = re.sub(rb"\r\nContent-Length: \d+", b"", block)
                        client.sendall(block)
                        passed += len(block)
                        if passed >= self._first_bytes:
                            self._whole.wait()
        finally:
            with self._lock:
                self.open -= 1


class Edge:
    """One running Nginx with the role's configuration."""

    def __init__(
        self, sites: Sequence[dict[str, Any]], program: str = NGINX, host: str = "127.0.0.1", **variables: Any
    ) -> None:
        self.work = folder()
        self.host = host
        self.port, self.tls_port, self.status_port, self.metrics_port = (free_port(host) for _ in range(4))
        address = f"[{host}]" if ":" in host else host
        self.url = f"http://{address}:{self.port}"
        self.conf = os.path.join(self.work, "nginx.conf")
        self.cache = os.path.join(self.work, "cache")
        #: What an ACME client calls after a renewal.
        self.certificates = os.path.join(self.work, "slicer-certificates")
        self._program = program
        self._variables = {
            "nginx_http_listen": [f"{address}:{self.port}"],
            "nginx_https_listen": [f"{address}:{self.tls_port}"],
            "nginx_status_listen": f"{address}:{self.status_port}" if has_status(program) else "",
            "nginx_metrics_listen": f"{address}:{self.metrics_port}",
            "nginx_metrics_path": self.work,
            "nginx_config_path": self.conf,
            "nginx_modules_include": "",
            "nginx_errors_source": str(ROOT / "apache" / "errors"),
            "role_path": str(ROLE),
            "nginx_cache_path": self.cache,
            "nginx_log_path": self.work,
            "nginx_temp_path": self.work,
            "nginx_acme_webroot": os.path.join(self.work, "acme"),
            "nginx_tls_path": os.path.join(self.work, "tls"),
            "_nginx_program": program,
            "nginx_pid_path": os.path.join(self.work, "pid"),
            "nginx_version": nginx_version(program),
            "nginx_worker_processes": 2,
            # Tests are one client.
            "nginx_client_connections": 0,
            "nginx_client_misses": 0,
            "nginx_client_jobs": 0,
            **variables,
        }
        self.port = int(self._variables["nginx_http_listen"][0].rpartition(":")[2])
        os.mkdir(self.cache)
        for name in ("acme", "tls"):
            os.mkdir(os.path.join(self.work, name))
        self.render(sites)
        self._err = open(os.path.join(self.work, "err"), "w+", encoding="utf-8")  # noqa: SIM115 - closed by stop
        self.process = subprocess.Popen(
            [program, "-p", self.work, "-e", "stderr", "-c", self.conf, "-g", "daemon off;"],
            stdin=subprocess.DEVNULL,
            stdout=self._err,
            stderr=self._err,
            # As the role's unit does.
            env={**os.environ, "TZ": "UTC"},
        )
        try:
            until(self._listens, START_SECONDS, "Nginx listens")
        except BaseException:
            print(self.errors())
            self.stop()
            raise

    def render(self, sites: Sequence[dict[str, Any]], **variables: Any) -> None:
        known = {**self._variables, "nginx_sites": list(sites), **variables}
        templates.write(CERTIFICATES, self.certificates, DEFAULTS, known)
        subprocess.run(["sh", self.certificates, "--point"], check=True, capture_output=True)
        render(self.conf, known)

    def _listens(self) -> bool:
        assert self.process.poll() is None, f"Nginx ended: {self.errors()}"
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port)):
            return True
        return False

    def errors(self) -> str:
        """All that Nginx complained of."""
        paths = [os.path.join(self.work, name) for name in ("err", "error.log")]
        return "".join(
            pathlib.Path(path).read_text(encoding="utf-8", errors="replace") for path in paths if os.path.exists(path)
        )

    def get(self, target: str, method: str = "GET", *, tls: bool = False, body: bytes = b"", **headers: str) -> Answer:
        """One request on a connection of its own."""
        if tls:
            trusting = ssl._create_unverified_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, self.tls_port, timeout=90, context=trusting
            )
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=90)
        try:
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, target, body=body or None, headers=named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def log(self, name: str = "main") -> list[dict[str, Any]]:
        """The access log of a site; it is written once a second."""
        path = pathlib.Path(self.work, f"slicer-{name}.access.log")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def entries(self) -> list[str]:
        """The files of the caches, without those that are being written."""
        found = glob.glob(os.path.join(self.cache, "*", "?", "??", "*"))
        return [path for path in found if "." not in os.path.basename(path)]

    def workers(self) -> list[int]:
        return [pid for pid in children_of(self.process.pid) if status(pid)]

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._err.close()
        shutil.rmtree(self.work, ignore_errors=True)


@contextlib.contextmanager
def edge_of(sites: Sequence[dict[str, Any]], **variables: Any) -> Iterator[Edge]:
    """An Nginx that is stopped at the end, whatever happens."""
    edge = Edge(sites, **variables)
    try:
        yield edge
    finally:
        edge.stop()


@contextlib.contextmanager
def tapped(port: int) -> Iterator[Tap]:
    tap = Tap(port)
    try:
        yield tap
    finally:
        tap.release()
        tap.close()
