"""Work on media that may stand still, done by helper threads: no request thread is lost to a read that never ends.

A read from a file system of the network or of FUSE may wait for ever, and cannot always be interrupted. Work on such media is done by
helper threads, and the request waits with a timeout. Work on disks is done at once, by the thread that asks.
"""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from mp3_slicer.errors import SlicerError
from mp3_slicer.media import helpers

_T = TypeVar("_T")

#: File systems whose reads end: on disks of this machine, or in memory.
LOCAL = frozenset(
    (
        *("bcachefs", "btrfs", "cramfs", "devtmpfs", "ecryptfs", "erofs", "exfat", "ext2", "ext3", "ext4"),
        *("f2fs", "hfs", "hfsplus", "iso9660", "jfs", "msdos", "nilfs2", "ntfs", "ntfs3", "overlay"),
        *("ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "ubifs", "udf", "ufs", "vfat", "xfs", "zfs"),
    )
)
#: Seconds that any request waits; that some go on waiting; from then on one in each process does.
ANY_SECONDS, SHORT_SECONDS = 0.25, 1.0
#: Pieces of work that have taken longer than that, at most: in one folder, and in all.
MOST_IN_FOLDER, MOST = 4, 32
#: An exception that mod_wsgi throws into a thread waits for the end of a wait.
_LOOK_SECONDS = 0.25
_MOUNTS_SECONDS = 2.0
_IDLE = 4
_OCTAL = re.compile(rb"\\([0-7]{3})")


class StandstillError(SlicerError):
    """The media did not answer in time, or others wait for them already."""


class _Task(Generic[_T]):
    """One piece of work."""

    __slots__ = ("_error", "_result", "_work", "began", "done", "path")

    def __init__(self, path: bytes, work: Callable[[], _T]) -> None:
        self.path = path
        self.began = time.monotonic()
        self.done = threading.Event()
        self._work = work
        self._result: _T | None = None
        self._error: BaseException | None = None

    def do(self) -> None:
        """Do it, once."""
        try:
            self._result = self._work()
        except BaseException as error:  # whatever it is, it is for the thread that asked
            self._error = error

    def result(self) -> _T:
        """Return the result, or raise the error that the work ended with."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Aside:
    """Does work on the media below a folder. One object for all threads of a process."""

    def __init__(
        self, root: str, *, seconds: float, waiting: int = 1, mounts: Callable[[], bytes] | None = None
    ) -> None:
        """`root` is a real path. `seconds` is the timeout of the one request of a process that waits long; `waiting` others wait a moment.

        `mounts` gives the mounts of this process as /proc/PID/mountinfo has them.
        """
        self._root = os.fsencode(root).rstrip(b"/")
        self._seconds = seconds
        self._mountinfo = mounts or _mountinfo
        self._lock = threading.Condition()
        self._waiting: deque[_Task[Any]] = deque()
        self._tasks: set[_Task[Any]] = set()
        self._idle = 0
        self._long = threading.Lock()
        self._short = threading.Semaphore(waiting)
        self._mounts: list[tuple[bytes, bool]] = []
        self._looked = float("-inf")

    def run(self, path: bytes, work: Callable[[], _T]) -> _T:
        """Return the result of work on the file or folder at `path`, from the media folder.

        Raises StandstillError where that takes too long, and whatever the work raises. The work may go on afterwards.
        """
        if not self.may_stand_still(path):
            return work()
        task = _Task(path, work)
        with self._lock:
            self._admit(task)
            self._tasks.add(task)
            self._waiting.append(task)
            if self._idle >= len(self._waiting):
                self._lock.notify()
            else:
                try:
                    self._start()
                except RuntimeError:
                    # There is no room for a thread. Nobody else does this, and it must not count as slow for ever.
                    self._tasks.discard(task)
                    self._waiting.remove(task)
                    raise StandstillError(path) from None
        if not (task.done.wait(ANY_SECONDS) or self._wait_short(task) or self._wait_long(task)):
            raise StandstillError(path)
        return task.result()

    def _wait_short(self, task: "_Task[_T]") -> bool:
        if not self._short.acquire(blocking=False):
            return False
        try:
            return task.done.wait(SHORT_SECONDS - ANY_SECONDS)
        finally:
            self._short.release()

    def _wait_long(self, task: "_Task[_T]") -> bool:
        if not self._long.acquire(blocking=False):
            return False
        try:
            end = task.began + self._seconds
            while not task.done.wait(_LOOK_SECONDS):
                if time.monotonic() > end:
                    return False
            return True
        finally:
            self._long.release()

    def _admit(self, task: "_Task[_T]") -> None:
        """Raise StandstillError where as much work stands still as may. The lock is held."""
        slow = [each.path for each in self._tasks if task.began - each.began > SHORT_SECONDS]
        folder = os.path.dirname(task.path)
        if (
            len(slow) >= MOST
            or task.path in slow
            or sum(os.path.dirname(each) == folder for each in slow) >= MOST_IN_FOLDER
        ):
            raise StandstillError(task.path)

    def _start(self) -> None:
        """Start a helper. The lock is held."""
        helpers.start("aside", self._help)

    def _help(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                while not self._waiting:
                    if self._idle > _IDLE:
                        self._idle -= 1
                        return
                    self._lock.wait()
                self._idle -= 1
                task = self._waiting.popleft()
            task.do()
            with self._lock:
                self._tasks.discard(task)
            task.done.set()
            del task

    def may_stand_still(self, path: bytes) -> bool:
        """Return whether the mount that holds a path is none of this machine's disks."""
        now = time.monotonic()
        if now - self._looked > _MOUNTS_SECONDS:
            self._mounts = mounts_of(self._root, self._mountinfo())
            self._looked = now
        if not self._mounts:
            return False
        whole = self._root + b"/" + path
        for place, remote in self._mounts:
            if whole.startswith(place):
                return remote
        return False


def mounts_of(root: bytes, mountinfo: bytes) -> list[tuple[bytes, bool]]:
    """The mounts that hold what is below `root`, with a slash at their ends, longest first, and whether each may stand still.

    Empty where none of them may.
    """
    found: dict[bytes, bool] = {}
    for line in mountinfo.splitlines():
        front, _, back = line.partition(b" - ")
        words, kinds = front.split(b" "), back.split(b" ")
        if len(words) < 5:
            continue
        place = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), words[4]).rstrip(b"/") + b"/"
        if place.startswith(root + b"/") or (root + b"/").startswith(place):
            # Of several at one place the last one counts.
            found[place] = kinds[0].decode("ascii", "replace") not in LOCAL
    holding = max((place for place in found if (root + b"/").startswith(place)), key=len, default=b"")
    mounts = sorted(
        ((place, remote) for place, remote in found.items() if len(place) >= len(holding)),
        key=lambda each: -len(each[0]),
    )
    return mounts if any(remote for _, remote in mounts) else []


def _mountinfo() -> bytes:
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            return file.read()
    except OSError:
        return b""
