"""The servers: how each is started, with what its own documentation recommends for work that keeps CPUs busy, and why."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from support.server import Server, children_of, descendants, free_port, status

CPUS = os.cpu_count() or 1
#: Where the servers find this package, and what it takes from the tests.
PYTHON_PATH = [
    os.path.dirname(os.path.dirname(__file__)),
    os.path.join(os.path.dirname(os.path.dirname(__file__)), "tests"),
]
START_SECONDS, STOP_SECONDS = 40, 2


class Backend:
    """A running server: the ports Nginx asks, and every process that belongs to it."""

    def __init__(self, ports: list[int], roots: list[int]) -> None:
        self.ports = ports
        self._roots = roots

    def processes(self) -> list[int]:
        """Every process from its own down."""
        return [pid for pid in descendants(*self._roots) if status(pid)]

    def workers(self) -> list[int]:
        """Those that answer requests: the ones without children, which for a single process is itself."""
        return sorted(pid for pid in self.processes() if not children_of(pid))

    def memory(self) -> float:
        """Mebibytes of all processes together, pages that they share counted once (PSS)."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total / 1024


class Place(NamedTuple):
    """Where a server finds its things."""

    media: str
    work: str

    @property
    def environ(self) -> dict[str, str]:
        """What the application reads; no result is kept, so that every render is work."""
        named = {"MEDIA": self.media, "INDEX_DIR": f"{self.work}/index", "SCRATCH_DIR": f"{self.work}/scratch"}
        named |= {"RESULTS_DIR": f"{self.work}/results", "RESULTS_BYTES": "0"}
        path = os.pathsep.join([*PYTHON_PATH, os.environ.get("PYTHONPATH", "")])
        return {**os.environ, **{f"SLICER_{name}": value for name, value in named.items()}, "PYTHONPATH": path}


@dataclass(frozen=True)
class Contestant:
    """One way to serve."""

    name: str
    why: str  #: its configuration, and the reason for it
    start: Callable[[Place], "contextlib.AbstractContextManager[Backend]"]
    protocol: str = "http"
    limited: bool = False  #: whether Nginx lets only so many renders through
    needs: tuple[str, ...] = field(default=())  #: modules without which it cannot run
    variant: bool = False  #: whether a quick look leaves it out, for another of its family is there

    @property
    def slicer(self) -> bool:
        """Whether it is Slicer's own server."""
        return self.start is _ours


@contextlib.contextmanager
def _running(commands: list[list[str]], ports: list[int], place: Place) -> Iterator[Backend]:
    """Programs, each in a process group of its own, until the end of the block."""
    with open(os.path.join(place.work, "server.log"), "wb") as log:
        programs = [
            subprocess.Popen(
                command,
                env=place.environ,
                cwd=place.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            for command in commands
        ]
    backend = Backend(ports, [program.pid for program in programs])
    try:
        end = time.monotonic() + START_SECONDS
        for port in ports:
            while not _listens(port):
                dead = any(program.poll() is not None for program in programs)
                if dead or time.monotonic() > end:
                    text = pathlib.Path(place.work, "server.log").read_text(errors="replace")
                    raise RuntimeError(f"it does not listen: {text[-1500:]}")
                time.sleep(0.05)
        yield backend
    finally:
        for program in programs:
            with contextlib.suppress(ProcessLookupError):
                program.send_signal(signal.SIGTERM)
        for program in programs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(STOP_SECONDS)
            # All that is left of its group: some servers leave children behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def _program(*words: str) -> Callable[[Place], "contextlib.AbstractContextManager[Backend]"]:
    """A server that is one command; PORT in its words stands for the port, CPUS for the number of them."""

    def start(place: Place) -> "contextlib.AbstractContextManager[Backend]":
        port = free_port()
        filled = [word.replace("PORT", str(port)).replace("CPUS", str(CPUS)) for word in words]
        return _running([filled], [port], place)

    return start


def _python(*words: str) -> Callable[[Place], "contextlib.AbstractContextManager[Backend]"]:
    return _program(sys.executable, "-W", "ignore", *words)


def _four(place: Place) -> "contextlib.AbstractContextManager[Backend]":
    ports = [free_port() for _ in range(4)]
    command = [sys.executable, "-m", "contest.small_servers", "wsgiref"]
    return _running([[*command, str(port)] for port in ports], ports, place)


@contextlib.contextmanager
def _ours(place: Place) -> Iterator[Backend]:
    """`slicer serve`, with every size as it chooses it."""
    environ = {name: text for name, text in place.environ.items() if name.startswith("SLICER_")}
    del environ["SLICER_MEDIA"]
    server = Server(place.media, environ=environ)
    try:
        yield Mod(server)
    finally:
        server.stop()


class Mod(Backend):
    """Slicer's own server: its daemons are what answers, whatever else Apache runs."""

    def __init__(self, server: Server) -> None:
        super().__init__([server.port], [server.pid])
        self._server = server

    def workers(self) -> list[int]:
        """The daemons."""
        return self._server.daemons("clips") + self._server.daemons("renders")


_EMBEDDED = """
ServerRoot {work}
PidFile {work}/apache.pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {work}/apache.log
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {wsgi}
WSGIPythonHome {home}
WSGIScriptAlias / {script}
<Directory />
  Require all granted
</Directory>
{user}
"""


def _embedded(place: Place) -> "contextlib.AbstractContextManager[Backend]":
    """Apache as it comes: prefork, and the application inside each of its children."""
    from mp3_slicer.doctor.install import mod_wsgi_library

    library, port = mod_wsgi_library(), free_port()
    assert library, "mod_wsgi is not installed"
    script = os.path.join(place.work, "embedded.wsgi")
    path = PYTHON_PATH
    environ = {name: text for name, text in place.environ.items() if name.startswith("SLICER_")}
    pathlib.Path(script).write_text(
        f"import os, sys\nsys.path[:0] = {path!r}\nos.environ.update({environ!r})\nfrom contest.work import application\n",
        encoding="utf-8",
    )
    user = ""
    if os.geteuid() == 0:
        user = "User www-data\nGroup www-data"
        for name in ("index", "scratch", "results"):
            os.makedirs(os.path.join(place.work, name), exist_ok=True)
            shutil.chown(os.path.join(place.work, name), "www-data")
    conf = os.path.join(place.work, "embedded.conf")
    known = {"work": place.work, "port": port, "modules": "/usr/lib/apache2/modules", "wsgi": library}
    pathlib.Path(conf).write_text(
        _EMBEDDED.format(**known, home=sys.prefix, script=script, user=user), encoding="utf-8"
    )
    return _running([["/usr/sbin/apache2", "-f", conf, "-DFOREGROUND"]], [port], place)


def _uwsgi(place: Place) -> "contextlib.AbstractContextManager[Backend]":
    port = free_port()
    options = {
        "uwsgi-socket": f"127.0.0.1:{port}",
        "module": "contest.work",
        "master": "true",
        "need-app": "true",
        "die-on-term": "true",
        "vacuum": "true",
        "disable-logging": "true",
        "processes": str(2 * CPUS),
        "harakiri": "30",
        "limit-as": "1024",
        "max-requests": "5000",
        "listen": "100",
        "buffer-size": "16384",
        "home": sys.prefix,
    }
    words = [f"--{name}={text}" if text != "true" else f"--{name}" for name, text in options.items()]
    return _running([[_tool("uwsgi"), *words]], [port], place)


def _tool(name: str) -> str:
    return os.path.join(os.path.dirname(sys.executable), name)


_GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:PORT", "--log-level", "error", "--timeout", "30")
_GUNICORN += ("--worker-tmp-dir", "/dev/shm")

CONTESTANTS = (
    Contestant(
        "Slicer (mod_wsgi daemon)",
        "`slicer serve` as it sizes itself: fixed processes and bounded queues, apart for clips and renders; Nginx lets as many renders "
        "through as fit into processes and queue, as the role nginx sets it up",
        _ours,
        limited=True,
    ),
    Contestant(
        "Slicer (no limit in Nginx)",
        "the same, but Nginx lets every render through, so that it is Apache that refuses",
        _ours,
        variant=True,
    ),
    Contestant(
        "mod_wsgi embedded",
        "Apache's defaults, as it comes: prefork with up to 256 children, which it starts as they are needed, each with the application "
        "inside",
        _embedded,
    ),
    Contestant(
        "gunicorn sync",
        "2 × CPUs + 1 workers, the formula of its documentation; 30 s until a worker that is silent is replaced, its default, and the "
        "workers' heartbeats in memory, as it advises where /tmp is a disk",
        _python(*_GUNICORN, "--workers", str(2 * CPUS + 1), "contest.work:application"),
        needs=("gunicorn",),
    ),
    Contestant(
        "gunicorn gthread",
        "a worker for each CPU, so that Python's lock leaves none unused, with 4 threads: its documentation has 2 to 4 for each CPU",
        _python(*_GUNICORN, "--workers", "CPUS", "--threads", "4", "contest.work:application"),
        needs=("gunicorn",),
        variant=True,
    ),
    Contestant(
        "gunicorn gthread (renders limited)",
        "the same, and Nginx lets as many renders through as it does for Slicer: what of Slicer's behaviour is Nginx's",
        _python(*_GUNICORN, "--workers", "CPUS", "--threads", "4", "contest.work:application"),
        limited=True,
        needs=("gunicorn",),
    ),
    Contestant(
        "gunicorn gevent",
        "2 × CPUs + 1 workers, as for sync; the worker patches the standard library by itself before it loads the application",
        _python(*_GUNICORN, "--workers", str(2 * CPUS + 1), "--worker-class", "gevent", "contest.work:application"),
        needs=("gunicorn", "gevent"),
        variant=True,
    ),
    Contestant(
        "uWSGI",
        "over its own protocol; 2 × CPUs processes, since a process does one request at a time; harakiri 30 s against stuck requests, "
        "limit-as 1 GiB and max-requests 5000 against growth, listen 100, its default queue",
        _uwsgi,
        protocol="uwsgi",
        needs=("pyuwsgi",),
    ),
    Contestant(
        "flup (FastCGI)",
        "FastCGI by its fork server, with up to 2 × CPUs children, since a child does one request at a time",
        _python("-m", "contest.small_servers", "flup", "PORT"),
        protocol="fastcgi",
        needs=("flup",),
    ),
    Contestant(
        "four single processes",
        "wsgiref of the standard library, one request at a time each; Nginx asks them in turns, as one does who starts copies of a program",
        _four,
    ),
    Contestant(
        "cheroot",
        "CherryPy's server: one process with 10 threads, its default",
        _python("-m", "contest.small_servers", "cheroot", "PORT"),
        needs=("cheroot",),
    ),
    Contestant(
        "Bjoern",
        "a process for each CPU, forked on one listening socket as its documentation shows, since its loop does one request at a time",
        _python("-m", "contest.small_servers", "bjoern", "PORT"),
        needs=("bjoern",),
    ),
    Contestant(
        "Tornado (blocking)",
        "WSGIContainer in one process: work inside the loop, as a handler does that was written without a thought",
        _python("-m", "contest.tornado_server", "blocking", "PORT"),
        needs=("tornado",),
        variant=True,
    ),
    Contestant(
        "Tornado (threads)",
        "WSGIContainer with a ThreadPoolExecutor of 2 × CPUs threads: what its documentation advises for work that blocks",
        _python("-m", "contest.tornado_server", "threads", "PORT"),
        needs=("tornado",),
    ),
    Contestant(
        "Tornado (processes)",
        "fork_processes, one for each CPU, work inside the loop of each",
        _python("-m", "contest.tornado_server", "processes", "PORT"),
        needs=("tornado",),
        variant=True,
    ),
    Contestant(
        "Tornado (subprocess)",
        "the loop starts a new process for each request and kills it after 30 s, so that nothing is shared and nothing stays",
        _python("-m", "contest.tornado_server", "subprocess", "PORT"),
        needs=("tornado",),
        variant=True,
    ),
    Contestant(
        "waitress",
        "one process with 4 threads, its default",
        _python("-m", "waitress", "--listen=127.0.0.1:PORT", "contest.work:application"),
        needs=("waitress",),
    ),
    Contestant(
        "granian",
        "a worker for each CPU with 3 blocking threads, as many as Slicer has for clips",
        _python(
            *("-m", "granian", "--interface", "wsgi", "--workers", "CPUS", "--blocking-threads", "3", "--no-ws"),
            *("--host", "127.0.0.1", "--port", "PORT", "--log-level", "error", "contest.work:application"),
        ),
        needs=("granian",),
    ),
    Contestant(
        "eventlet",
        "one process of green threads, with the standard library patched: in place of Spawning, which is built upon it",
        _python("-m", "contest.small_servers", "eventlet", "PORT"),
        needs=("eventlet",),
    ),
)

#: What no machine of today can run, with what comes of trying.
GONE = {
    "Spawning": "its last version, 0.9.6, is for Python 2 and can no longer be installed: its setup opens its description with "
    "`file`, and ends with «NameError: name 'file' is not defined». Eventlet, which it is built upon, is above",
}
