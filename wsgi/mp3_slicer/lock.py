"""A lock on an open file, with a timeout."""

import fcntl
import time

_POLL_SECONDS = 0.003


def lock(fd: int, deadline: float) -> bool:
    """Lock the file open as `fd` against its other descriptors, in this process too; False at `deadline` (time.monotonic).

    flock(2) waits for ever or not at all, so this polls. The lock ends with the descriptor, even if its process is killed.
    """
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
