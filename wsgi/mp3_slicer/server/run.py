"""`slicer serve`: Apache under mod_wsgi-express, supervised in the foreground until a stop signal."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from mp3_slicer.parent import end_with
from mp3_slicer.server import express, files, machine, preflight, reach, root
from mp3_slicer.server.sizes import Sizes, compute
from mp3_slicer.settings import Settings

# How long answers under way may take once a stop is asked for. A proxy in front takes them as fast as they come.
FINISH_SECONDS = 5
# Apache gives its daemons 3 s after SIGTERM before it kills them; longer than this and something hangs.
STOP_SECONDS = 20

_LOOK_SECONDS = 0.02
#: Bytes of Apache's log that are looked at when it ends.
_END = 4096
_AGAIN_SECONDS = 0.25

_DAEMON = b"(wsgi:"


def run(
    settings: Settings,
    sizes: Sizes,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    status: bool = False,
    print_only: bool = False,
) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP, and return Apache's exit status (0 after a stop signal).

    `status` has Apache answer /server-status to callers on this machine. `print_only` prints the sizes and the command line
    and starts nothing. Must be called in the main thread. Raises PreflightError, RunUserError or OSError before anything has
    started; each message is one line. If this process is killed outright, Apache stops too, but its server root stays (under
    /run until the next boot).
    """
    found = files.find()
    user = reach.run_user(express.RUN_USER)
    preflight.host_name(host)
    preflight.port_number(port)
    preflight.indexes_fit(settings.index_memory_bytes, sizes.clips_memory_bytes, sizes.clips_reserved_bytes)
    if print_only:
        launch = express.Launch(host=host, port=port, root="/run/slicer-XXXXXXXX", sizes=sizes, user=user)
        _print_table(sizes)
        print(" ".join(express.command(launch)), flush=True)
        return 0
    settings = _prepared(settings, host, port, user)
    with _Signals() as signals:
        server_root = root.make(root.candidates(os.environ))
        try:
            root.fill(server_root, found, sizes.defines())
            root.own_counts(server_root, user)
            launch = express.Launch(host=host, port=port, root=server_root, sizes=sizes, user=user)
            _print_table(sizes)
            print(f"http://{express.listen_host(host)}:{port}/ serves {settings.media}; Ctrl-C stops it", flush=True)
            work_seconds = min(settings.render_seconds, sizes.work_seconds)
            environ = express.environment(os.environ, replace(settings, render_seconds=work_seconds).to_environ())
            # For the studio, which is sent by processes of the other group.
            environ["SLICER_RENDERS_PROCESSES"] = str(sizes.renders_processes)
            _set_up(express.command(launch), environ, server_root)
            control = express.control(server_root, status=status)
            log = bytearray()
            ended = _supervise(control, environ, server_root, signals, sizes.clips_memory_bytes, log)
            if ended:
                preflight.module_loaded(bytes(log))
            return ended
        finally:
            root.remove(server_root)


def _prepared(settings: Settings, host: str, port: int, user: str | None) -> Settings:
    """Check all that Apache will need, make missing folders, and return the settings to run with. Raises PreflightError."""
    preflight.program_present(express.executable())
    preflight.address_free(host, port)
    preflight.can_read(settings, user)
    if settings.signing_keys:
        preflight.keys_usable(settings.signing_keys, user)
    preflight.own_caches(settings, user)
    return replace(settings, request_log=preflight.request_log(settings.request_log, user))


def sizes_here(
    cpus: int | None = None,
    memory: int | None = None,
    *,
    is_remote: bool = False,
    store_milliseconds: int = 0,
    **more: int | None,
) -> Sizes:
    """The sizes for this machine, or for the numbers given instead; `more` are the other arguments of `compute`, None for unset.

    Raises SizesError, naming the value out of range.
    """
    return compute(
        machine.cpus() if cpus is None else cpus,
        machine.memory_bytes() if memory is None else memory,
        is_remote=is_remote,
        store_milliseconds=store_milliseconds,
        **{name: value for name, value in more.items() if value is not None},
    )


class _Signals:
    """While open, the signals that mean "stop" are passed to `stop` instead of ending this process."""

    def __init__(self) -> None:
        self.asked = 0
        self.stop: Callable[[int], None] = lambda asked: None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        self.stop(self.asked)


def _set_up(command: list[str], environ: dict[str, str], folder: str) -> None:
    """Have express write its files into the server root. Raises PreflightError with its last line when it fails."""
    done = subprocess.run(
        [*command, "--setup-only"],
        stdin=subprocess.DEVNULL,
        # Its banner repeats our table. Pipes: express reopens /dev/stderr, which would truncate a log file.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environ,
        # Files that express writes must be readable by the run user.
        umask=0o022,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise preflight.PreflightError(f"mod_wsgi-express failed: {lines[-1]}")


def _supervise(
    command: list[str], environ: dict[str, str], folder: str, signals: _Signals, data_bytes: int, end: bytearray
) -> int:
    """Run the command until it ends, stopping it when a signal asks, and end whatever it leaves behind.

    `data_bytes` is how much memory of its own each process may take; the renders get a limit of their own from Apache. `end` gets the last
    of what Apache logs, some KiB.
    """
    log_read, log_write = os.pipe()
    child = _start(command, environ, folder, log_write, data_bytes)
    os.close(log_write)
    log = threading.Thread(target=_copy_log, args=(log_read, end), daemon=True)
    log.start()
    ended = threading.Event()
    finishing: list[threading.Thread] = []

    def stop(asked: int) -> None:
        # The session's processes are killed when Apache hangs, or when the signal is repeated.
        if asked > 1:
            _kill_group(child.pid)
        else:
            finishing.append(threading.Thread(target=_finish, args=(child.pid, ended), daemon=True))
            finishing[-1].start()

    signals.stop = stop
    if signals.asked:
        stop(signals.asked)  # the signal came before Apache had started
    # Not reaped yet: its number still belongs to its process group, so nothing else can be hit.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    signals.stop = lambda asked: None
    ended.set()
    for thread in finishing:
        thread.join()
    _kill_group(child.pid)
    status = child.wait()
    log.join(timeout=2)
    if signals.asked:
        return 0
    return status if status >= 0 else 128 - status


def _start(
    command: list[str], environ: dict[str, str], folder: str, log: int, data_bytes: int
) -> subprocess.Popen[bytes]:
    """Start Apache in a session of its own, with its messages to the descriptor `log`; it ends with this process."""
    parent = os.getpid()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = data_bytes if hard == resource.RLIM_INFINITY else min(data_bytes, hard)

    def before_exec() -> None:
        # If this process is killed, the kernel stops Apache.
        end_with(parent, signal.SIGTERM)
        # The soft one only, which mod_wsgi can replace.
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # A pipe: Apache reopens /dev/stderr, which would truncate a log file and fails on a journal's socket.
        stderr=log,
        cwd=folder,
        env=environ,
        # Ctrl-C and a resized window (SIGWINCH means "stop" to Apache) reach only us.
        start_new_session=True,
        # Files that express writes must be readable by the run user.
        umask=0o022,
        preexec_fn=before_exec,
    )


def _finish(apache: int, ended: threading.Event) -> None:
    """Stop Apache once its current responses are sent, or have timed out; kill it if it hangs. Returns when it ended."""
    # Apache stops listening, and its children end as they finish. It checks for that once a second and then ends; checking
    # more often here lets an idle server end at once.
    os.kill(apache, signal.SIGWINCH)
    end = time.monotonic() + FINISH_SECONDS
    while _connections(apache) and time.monotonic() < end:
        if ended.wait(_LOOK_SECONDS):
            return
    end = time.monotonic() + STOP_SECONDS
    while time.monotonic() < end:
        # Repeated: Apache loses a signal that arrives just as it begins to wait for its children.
        os.kill(apache, signal.SIGTERM)
        if ended.wait(_AGAIN_SECONDS):
            return
    _kill_group(apache)


def _connections(apache: int) -> int:
    """Return the number of Apache's children that have, or wait for, a connection. Daemons do not count: children hand theirs to them."""
    count = 0
    with contextlib.suppress(OSError), open(f"/proc/{apache}/task/{apache}/children", encoding="ascii") as children:
        for pid in children.read().split():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as words:
                name = words.read(len(_DAEMON))
                # A child that has ended but was not reaped has no name.
                count += bool(name) and name != _DAEMON
    return count


def _kill_group(leader: int) -> None:
    """Kill every process in the group that `leader`, not reaped yet, has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _copy_log(source: int, end: bytearray) -> None:
    """Copy Apache's error log to our standard error until Apache and all it started have closed it; `end` has the last of it."""
    target = sys.stderr.fileno()
    with os.fdopen(source, "rb", buffering=0) as log:
        while block := log.read(1 << 16):
            end += block
            del end[:-_END]
            try:
                view = memoryview(block)
                while view:
                    view = view[os.write(target, view) :]
            except OSError:
                pass  # its reader is gone; keep Apache from blocking on a full pipe


def _print_table(sizes: Sizes) -> None:
    """Print the sizes and their reasons."""
    rows = sizes.rows()
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, why in rows:
        print(f"{name:<{wide[0]}}  {value:<{wide[1]}}  {why}")
