"""The renders that one client may have in progress: all processes of the group but one, which is left for others, and for brief work.

They are counted by locks on bytes of an empty file, which the kernel releases when a process ends.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mp3_slicer.web.problems import Problem

_NAME = "shares"
#: Locks that each client has in the file, at most; as many renders as any machine makes at a time.
_SLOTS = 1024
#: Bits of the number of a client.
_BITS = 48


class Shares:
    """The renders of each client in all processes of one group. For processes that make one render at a time."""

    def __init__(self, folder: str, processes: int) -> None:
        """`folder` is writable by all processes; `processes` is their number."""
        self._path = os.path.join(folder, _NAME)
        self._most = min(processes - 1, _SLOTS - 1)
        #: Kept open: locks go with the last descriptor of a process.
        self._fd: int | None = None

    @contextmanager
    def taken(self, client: str, *, is_brief: bool = False) -> Iterator[None]:
        """Hold a share of a client ("" if unknown) during a render. Raises Problem 429 if it has used its share.

        Brief work, of a few seconds, may take the last process, too.
        """
        offset = self._take(client, is_brief) if client and self._most > 0 else None
        try:
            yield
        finally:
            if offset is not None and self._fd is not None:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, offset)

    def _take(self, client: str, is_brief: bool) -> int | None:
        """Lock one of the client's bytes, and return its offset; None where the file cannot be opened."""
        try:
            if self._fd is None:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        number = int.from_bytes(hashlib.blake2b(client.encode(), digest_size=_BITS // 8).digest())
        first = number * _SLOTS
        # Brief work leaves the slots of other work free for as long as it can.
        for offset in reversed(range(first, first + self._most + 1)) if is_brief else range(first, first + self._most):
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
            except OSError:
                continue
            return offset
        raise Problem(
            429,
            "too-many-renders",
            f"this client has {self._most + is_brief} renders in progress, the limit; try again when one is finished",
            headers=(("Retry-After", "2"),),
        )
