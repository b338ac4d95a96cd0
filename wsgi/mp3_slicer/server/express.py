"""The one command line of mod_wsgi-express (6.1) that serves Slicer, and the environment it runs in."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from mp3_slicer.server.sizes import Sizes

RUN_USER = "www-data"

# Variables that would change the server: the path of httpd, its user, Python's modules.
_DROPPED = frozenset({"HTTPD", "PYTHONHOME", "PYTHONPATH", "WSGI_RUN_USER", "WSGI_RUN_GROUP"})

#: Options that are the same for every server.
_FIXED = (
    *("--server-mpm", "prefork"),
    *("--process-group", "clips"),
    # All children start at once. With as many spare ones allowed none is ever ended, and with one demanded none is
    # missing: Apache never forks under load.
    *("--initial-workers", "1.0"),
    *("--minimum-spare-workers", "0.0"),
    *("--maximum-spare-workers", "1.0"),
    # POST /jobs alone takes a body, of 16 KiB at most.
    *("--limit-request-body", str(64 << 10)),
    # The application answers HEAD itself, without reading audio; as a GET it would obey a Range too.
    *("--map-head-to-get", "Off"),
    # New code comes with a new process, not when a file's time changes.
    "--disable-reloading",
    *("--locale", "C.UTF-8"),
    "--log-to-terminal",
    # Errors of the configuration itself are shown too.
    "--startup-log",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One launch: where it listens, its sizes, and a server root that `root.fill` has filled."""

    host: str
    port: int
    root: str
    sizes: Sizes
    user: str | None
    """The user of the server when root starts it; None for any other user, who stays."""
    interpreter: str = sys.executable
    """The Python that runs mod_wsgi-express, which lies beside it. Everything that express writes names its environment as this
    path does, symbolic links and all."""


def executable(interpreter: str = sys.executable) -> str:
    """The path of mod_wsgi-express in the folder of an interpreter; it may not exist."""
    return os.path.join(os.path.dirname(os.path.abspath(interpreter)), "mod_wsgi-express")


def listen_host(host: str) -> str:
    """The host for Apache's Listen: an IPv6 address in brackets. Express adds none."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def command(launch: Launch) -> list[str]:
    """The words of the command line."""
    root = launch.root
    words = [
        # Not run by its own first line: that names the environment by its path at installation, so new processes of a server
        # started through a link would get the link's old target.
        launch.interpreter,
        executable(launch.interpreter),
        "start-server",
        os.path.join(root, "slicer.wsgi"),
        *("--server-root", root),
        # The daemons' current folder: one that the run user can enter.
        *("--working-directory", root),
        *("--host", listen_host(launch.host)),
        *("--port", str(launch.port)),
        *_sized(launch.sizes),
        *_FIXED,
        *("--rewrite-rules", os.path.join(root, "rewrite.conf")),
        *("--include-file", os.path.join(root, "sizes.conf")),
        *("--include-file", os.path.join(root, "slicer.conf")),
    ]
    if launch.user is not None:
        words += ["--user", launch.user, "--group", launch.user]
    return words


def _sized(sizes: Sizes) -> list[str]:
    """The options of the clips' daemons and of Apache that follow from the sizes."""
    options = {
        "--processes": sizes.clips_processes,
        "--threads": sizes.clips_threads,
        "--daemon-backlog": sizes.clips_backlog,
        "--max-clients": sizes.max_request_workers,
        "--server-backlog": sizes.listen_backlog,
        "--maximum-requests": sizes.max_requests,
        "--connect-timeout": sizes.connect_timeout,
        "--queue-timeout": sizes.queue_timeout,
        "--request-timeout": sizes.request_timeout,
        "--interrupt-timeout": sizes.interrupt_timeout,
        "--socket-timeout": sizes.socket_timeout,
        "--graceful-timeout": sizes.graceful_timeout,
        "--eviction-timeout": sizes.eviction_timeout,
        "--shutdown-timeout": sizes.shutdown_timeout,
        "--startup-timeout": sizes.startup_timeout,
        "--deadlock-timeout": sizes.deadlock_timeout,
        # An idle connection holds a child: only those of a proxy are kept (slicer.conf), and children are counted for them.
        "--keep-alive-timeout": sizes.keep_alive_timeout,
        # A client that sends its header slowly holds a child: 10 s at most.
        "--header-timeout": max(1, sizes.header_timeout // 2),
        "--header-max-timeout": sizes.header_timeout,
        "--body-timeout": max(1, sizes.header_timeout // 2),
        "--body-max-timeout": sizes.header_timeout,
    }
    return [word for name, value in options.items() for word in (name, str(value))]


def control(root: str, *, status: bool = False) -> list[str]:
    """The words that start Apache in the foreground, once express has filled the server root `root`.

    With `status` it answers /server-status to callers on this machine.
    The script is given to its shell, as its first line names it: /run is mounted noexec on Debian. Raises OSError without it.
    """
    script = os.path.join(root, "apachectl")
    with open(script, encoding="utf-8") as file:
        shell = file.readline().removeprefix("#!").strip()
    return [shell, script, "start", "-DFOREGROUND", *(["-DSLICER_STATUS"] if status else [])]


def environment(environ: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server: `environ` with `settings` (the SLICER_ variables, which the daemons inherit)."""
    kept = {name: value for name, value in environ.items() if name not in _DROPPED and not name.startswith("MOD_WSGI_")}
    return {**kept, **settings}
