"""A lock on an open file, waited for with a bound."""

import fcntl
import time

_POLL_SECONDS = 0.003


def lock(fd: int, deadline: float) -> bool:
    """Lock the file open as `fd` against other descriptors of it, of this process too; False where `deadline` (time.monotonic) came first.

    flock(2) can wait for ever or not at all, so this asks again and again. The lock goes with the descriptor, however its process ends.
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
