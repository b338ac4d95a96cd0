"""`slicer drain`: new daemons for a running server, one after another, with whatever code is there by now.

Looks at nothing but /proc/PID of the server's own processes, so that it works in a sandbox that hides all others.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from slicer.errors import SlicerError
from slicer.server import root

# Apache looks at its daemons once a second, and a new one takes a moment to import the application.
_SLACK_SECONDS = 5
_LOOK_SECONDS = 0.05
_DAEMON = re.compile(rb"\(wsgi:(clips|renders)\)")


class DrainError(SlicerError):
    """The daemons could not all be replaced; the message is one line."""


@dataclass(frozen=True, slots=True)
class _Server:
    """What a `slicer serve` runs: Apache's parent process, and what it says of how long its daemons may take, in seconds."""

    apache: int
    marker: str
    end_seconds: int
    start_seconds: int

    def daemons(self) -> dict[int, str]:
        """The group of each daemon, by its process number, oldest first. A process that has only just been forked is none yet."""
        found = ((pid, _DAEMON.match(_read(f"/proc/{pid}/cmdline"))) for pid in _children(self.apache))
        return {pid: match[1].decode() for pid, match in found if match}

    def loaded(self, pid: int) -> bool:
        """Return whether a daemon has loaded the application: then it keeps a file open, and the kernel knows that at any time."""
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

    Each finishes what it works on and makes place for a new one before the next is asked to; Apache itself goes on as it is. Takes
    as long as the server allows each for its work and its start, at most. Raises DrainError, at the first new daemon that does
    not load the application at the latest: those not replaced by then go on with the old code.
    """
    server = _server_of(pid)
    first = server.daemons()
    _wait(lambda: all(map(server.loaded, first)), server.start_seconds, "a daemon has not loaded the application")
    for old, group in first.items():
        _replace(server, old, group, list(first.values()).count(group))
    return len(first)


def _replace(server: _Server, old: int, group: str, count: int) -> None:
    """Ask one daemon to go, and wait until it has, and until `count` of its group have the application again."""
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
    """What the `slicer serve` with this process number runs. Raises DrainError if it is none."""
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
    """The bytes of a file; none where it is gone or cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
