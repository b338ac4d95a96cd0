"""`slicer drain`: replace the daemons of a running server one after another, with the current code.

It reads only /proc/PID of the server's own processes, so that it works in a sandbox that hides all others.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from mp3_slicer.errors import SlicerError
from mp3_slicer.server import root

# Apache looks at its daemons once a second, and a new one takes a moment to import the application.
_SLACK_SECONDS = 5
_LOOK_SECONDS = 0.05
_DAEMON = re.compile(rb"\(wsgi:(clips|renders)\)")


class DrainError(SlicerError):
    """The daemons could not all be replaced; the message is one line."""


@dataclass(frozen=True, slots=True)
class _Server:
    """The processes of a `slicer serve`: Apache's parent, and the timeouts of its daemons, in seconds."""

    apache: int
    marker: str
    end_seconds: int
    start_seconds: int

    def daemons(self) -> dict[int, str]:
        """The group of each daemon, by its process number, oldest first. A process that was just forked does not count yet."""
        found = ((pid, _DAEMON.match(_read(f"/proc/{pid}/cmdline"))) for pid in _children(self.apache))
        return {pid: match[1].decode() for pid, match in found if match}

    def loaded(self, pid: int) -> bool:
        """Return whether a daemon has loaded the application: then it keeps a file open."""
        folder = f"/proc/{pid}/fd"
        try:
            for name in os.listdir(folder):
                try:
                    if os.readlink(os.path.join(folder, name)) == self.marker:
                        return True
                except FileNotFoundError:
                    continue
        except (FileNotFoundError, ProcessLookupError):
            pass
        except PermissionError:
            raise DrainError(f"process {pid} is not yours: run this as the user of the server, or as root") from None
        return False


def drain(pid: int) -> int:
    """Replace each daemon of the `slicer serve` with this process number, and return how many there were.

    Each finishes its requests, and its successor starts, before the next is replaced; Apache itself keeps running. Takes at most
    the server's timeouts for the work and the start of each. Raises DrainError at the first new daemon that does not load the
    application: the daemons not replaced by then keep the old code.
    """
    server = _server_of(pid)
    first = server.daemons()
    _wait(lambda: all(map(server.loaded, first)), server.start_seconds, "a daemon has not loaded the application")
    for old, group in first.items():
        _replace(server, old, group, list(first.values()).count(group))
    return len(first)


def _replace(server: _Server, old: int, group: str, count: int) -> None:
    """End one daemon, and wait until `count` of its group have loaded the application again."""
    try:
        os.kill(old, signal.SIGUSR1)
    except ProcessLookupError:
        pass  # gone already, and being replaced
    except PermissionError:
        raise DrainError(f"process {old} is not yours: run this as the user of the server, or as root") from None

    def there() -> bool:
        if not os.path.exists(f"/proc/{server.apache}"):
            raise DrainError("the server ended meanwhile")
        return sum(server.loaded(pid) for pid, of in server.daemons().items() if of == group) >= count

    _wait(lambda: old not in server.daemons(), server.end_seconds, f"daemon {old} of {group} does not end")
    _wait(there, server.start_seconds, f"the daemon of {group} in place of {old} has not loaded the application")


def _wait(true: Callable[[], bool], seconds: float, complaint: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise DrainError(f"{complaint}, after {seconds} s: the server's log says why")
        time.sleep(_LOOK_SECONDS)


def _server_of(pid: int) -> _Server:
    """Return the processes of the `slicer serve` with this process number. Raises DrainError if it is none."""
    for child in _children(pid):
        words = [os.fsdecode(word) for word in _read(f"/proc/{child}/cmdline").split(b"\0")]
        if "-f" not in words[:-1]:
            continue
        folder = os.path.dirname(words[words.index("-f") + 1])
        sizes = _read(os.path.join(folder, "sizes.conf")).decode(errors="replace")
        seconds = {
            name: int(text) for name, text in re.findall(r"^Define SLICER_(\w+)_TIMEOUT (\d+)$", sizes, re.MULTILINE)
        }
        if seconds:
            server = _Server(
                child,
                os.path.join(folder, root.LOADED),
                seconds["EVICTION"] + seconds["SHUTDOWN"] + _SLACK_SECONDS,
                seconds["STARTUP"] + _SLACK_SECONDS,
            )
            # Apache's parent process has such children too, but none of them has a daemon.
            if server.daemons():
                return server
    raise DrainError(f"process {pid} is no `slicer serve` that has started, or not yours")


def _children(pid: int) -> list[int]:
    return [int(word) for word in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _read(path: str) -> bytes:
    """The bytes of a file; empty if it is gone or cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
