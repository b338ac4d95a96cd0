"""Lines of JSON, one for each request or each turn of a job, in a file that all processes append to and that may be renamed at any time."""

import logging
import os
import threading
import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

_LOG = logging.getLogger("slicer")
#: Seconds between two checks whether the file still has its name.
_LOOK_SECONDS = 1.0


class LineLog:
    """A file of lines. One object for all threads; a line is written whole or not at all, and a full disk loses only the line."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._fd = -1
        self._looked = -_LOOK_SECONDS
        self._complained = False

    def write(self, line: str) -> None:
        """Append a line, given without its end."""
        data = line.encode("ascii") + b"\n"
        try:
            # One call: with O_APPEND lines of several processes never mix.
            os.write(self._opened(), data)
            self._complained = False
        except OSError as error:
            if not self._complained:
                self._complained = True
                _LOG.error("the log of requests cannot be written: %s", error)

    def _opened(self) -> int:
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            with self._lock:
                self._look(now)
        return self._fd

    def _look(self, now: float) -> None:
        """Open the file, at first and whenever another one has its name. The old one is closed."""
        if now - self._looked < _LOOK_SECONDS:
            return
        if self._fd >= 0:
            try:
                there, own = os.stat(self._path), os.fstat(self._fd)
                if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino):
                    self._looked = now
                    return
            except FileNotFoundError:
                pass
        # Where it is a pipe and nobody reads, a line is lost and no request waits.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        new = os.open(self._path, flags, 0o640)
        if self._fd < 0:
            self._fd = new
        else:
            # Under the same number, so that no thread that writes just now finds it closed.
            os.dup2(new, self._fd, inheritable=False)
            os.close(new)
        self._looked = now


def moment(seconds: float) -> str:
    """A time as in RFC 3339, in UTC and to the millisecond."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def trace_id(traceparent: str) -> str:
    """The trace's part of a traceparent (W3C Trace Context, version 00): 32 hexadecimal digits."""
    return traceparent[3:35]


def text(value: str) -> str:
    """A string in JSON's notation, in ASCII. WSGI's strings, a character for each byte, are read as UTF-8."""
    if not value.isascii():
        value = value.encode("latin-1", "replace").decode("utf-8", "replace")
    return quoted(value)
