"""The priority of a process whose work can wait."""

import ctypes
import os
import time
from contextlib import suppress

#: prctl(2): whether others may look into this process. If not, as after setuid, its files in /proc belong to root.
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_LIBC = ctypes.CDLL(None)
#: Only one process in a tenth of a second may set the priority of its session.
_TRIES, _PAUSE_SECONDS = 30, 0.1


def give_way(nicer: int) -> None:
    """Let all others go first: become nicer by `nicer` (to 19 at most), with all processes started later, in a session of its own.

    Linux shares the CPU between sessions first, and a nice value counts only within one (sched(7), "The autogroup feature"). In one
    session with Apache, a render would keep Nginx and other clients of Apache waiting for the end of its time slice. So it leaves that
    session, and makes its own nicer, too. Where Linux has no such groups, the nice value alone counts. A process that already leads a
    session or a process group stays where it is.
    """
    with suppress(OSError):
        os.setsid()
        _lower_session(min(nicer, 19))
    with suppress(OSError):
        # On Linux a priority is of a thread, and of those that it starts.
        for name in os.listdir("/proc/self/task"):
            nice = min(os.getpriority(os.PRIO_PROCESS, int(name)) + nicer, 19)
            os.setpriority(os.PRIO_PROCESS, int(name), nice)


def of_session(process: int) -> int | None:
    """The nice value of the session that a process is in; None if Linux groups none."""
    try:
        with open(f"/proc/{process}/autogroup", encoding="ascii") as told:
            return int(told.read().split()[-1])
    except (OSError, IndexError):
        return None


def _lower_session(nice: int) -> None:
    """Set the nice value of the session that this process is in. Raises OSError."""
    before = _LIBC.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
    _LIBC.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    try:
        session = os.open("/proc/self/autogroup", os.O_WRONLY | os.O_CLOEXEC)
    finally:
        _LIBC.prctl(_PR_SET_DUMPABLE, int(before == 1), 0, 0, 0)
    try:
        for _ in range(_TRIES):
            try:
                os.write(session, b"%d" % nice)
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
            else:
                return
    finally:
        os.close(session)
