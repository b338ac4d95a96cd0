"""A real Slicer for tests: `slicer serve` on loopback, and what /proc says of its processes."""

import atexit
import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from mp3_slicer.server.machine import cpus

START_SECONDS = 90
STOP_SECONDS = 60


def folder() -> str:
    """A new folder that Apache's run user can enter; pytest's own are closed to all but their owner. It goes with this process."""
    path = tempfile.mkdtemp(prefix="slicer-test-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    os.chmod(path, 0o755)
    return path


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something is true, at most `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def publish(data: bytes, path: str) -> None:
    """Put a file in place the good way: written under another name, then renamed."""
    part = pathlib.Path(f"{path}.part")
    part.write_bytes(data)
    part.chmod(0o644)
    part.rename(path)


def descendants(*pids: int) -> list[int]:
    """These processes and all below them."""
    found, todo = [], list(pids)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children_of(pid)
    return found


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status; empty when there is no such process, or only its remains (a zombie)."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    return {} if fields.get("State", "Z").startswith("Z") else fields


def arguments(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def raw(port: int, request: bytes, timeout: float = 30) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; status, headers in lower case, and body of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(request)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while block := connection.recv(65536):
                data += block
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), fields, body


#: Options of `slicer serve` for as many processes as it takes by itself on this machine.
ALL_CPUS = ("--cpus", str(cpus()))


class Server:
    """One running `slicer serve`. Every process it is asked about descends from its pid."""

    def __init__(
        self,
        media: str,
        *options: str,
        environ: Mapping[str, str] | None = None,
        slicer: Sequence[str] = ("-m", "mp3_slicer"),
        python: str = sys.executable,
        host: str = "127.0.0.1",
    ) -> None:
        self.host, self.port = host, free_port(host)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.work = folder()
        self.media = media
        #: Where it keeps indexes, results, and files for the time of a render; `environ` may name others.
        self.folders = {
            f"SLICER_{name}_DIR": os.path.join(self.work, name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")
        }
        self._out = open(os.path.join(self.work, "out"), "w+", encoding="utf-8")  # noqa: SIM115 - closed by stop
        self._log = open(os.path.join(self.work, "log"), "w+", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, *slicer, "serve", media, "--host", host, "--port", str(self.port), *options],
            env={**os.environ, **self.folders, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._log,
        )
        self.pid = self.process.pid
        self._known: tuple[list[int], str] = ([], "")
        try:
            until(self._ready, START_SECONDS, "the server answers")
            # One daemon answers while others still import the application; they start their threads after that.
            until(
                lambda: all(int(status(pid).get("Threads", 0)) > 4 for pid in self._daemons()), START_SECONDS, "threads"
            )
            self._known = (self.everything(), self.root)
        except BaseException:
            print(self.output(), self.log())
            self.stop()
            raise

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"slicer serve ended: {self.output()} {self.log()}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/healthz")[0] == 200
        return False

    def get(self, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One request; status, headers in lower case, body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=90)
        try:
            connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def _daemons(self) -> list[int]:
        return self.daemons("clips") + self.daemons("renders")

    def output(self) -> str:
        return pathlib.Path(self.work, "out").read_text(encoding="utf-8", errors="replace")

    def log(self) -> str:
        return pathlib.Path(self.work, "log").read_text(encoding="utf-8", errors="replace")

    @property
    def apache(self) -> int:
        """Apache's parent process."""
        (parent,) = children_of(self.pid)
        return parent

    @property
    def root(self) -> str:
        """The server root, as Apache's own command line names it."""
        words = arguments(self.apache).split()
        return os.path.dirname(words[words.index("-f") + 1])

    def daemons(self, group: str) -> list[int]:
        """The processes of a daemon group, oldest first."""
        return [pid for pid in children_of(self.apache) if arguments(pid).startswith(f"(wsgi:{group})")]

    def children(self) -> list[int]:
        """Apache's prefork children."""
        return [pid for pid in children_of(self.apache) if arguments(pid).startswith("apache2 (mod_wsgi-express)")]

    def everything(self) -> list[int]:
        """Every process from ours down."""
        return descendants(self.pid)

    def stop(self) -> int:
        """Stop it as systemd would, and by force whatever is left after STOP_SECONDS; its exit status."""
        before = self.everything() if self.process.poll() is None else []
        for pid in before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in reversed(before):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
        # What outlived it, in a test that found a defect or killed the supervisor. The root in its command line tells that
        # the number is still the same process.
        known, root = self._known
        for pid in known:
            if root in arguments(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if root:
            shutil.rmtree(root, ignore_errors=True)
        self._out.close()
        self._log.close()
        shutil.rmtree(self.work, ignore_errors=True)
        return self.process.returncode


@contextlib.contextmanager
def serving(
    media: str,
    *options: str,
    environ: Mapping[str, str] | None = None,
    slicer: Sequence[str] = ("-m", "mp3_slicer"),
    python: str = sys.executable,
    host: str = "127.0.0.1",
) -> Iterator[Server]:
    """A server that is stopped at the end, whatever happens."""
    server = Server(media, *options, environ=environ, slicer=slicer, python=python, host=host)
    try:
        yield server
    finally:
        server.stop()
