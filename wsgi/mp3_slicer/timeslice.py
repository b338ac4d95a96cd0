"""Time slices: who works in long ones is interrupted at once by whoever works in shorter ones, and gets no less of the CPU."""

import ctypes
import os
import struct
from contextlib import suppress

#: Nanoseconds, the longest that Linux takes (sched-eevdf; sched_setattr(2), sched_runtime: 100,000 to 100,000,000). A thread that wakes
#: up interrupts one with a longer slice than its own; among equals it waits until the other's slice is over.
LONGEST = 100_000_000

#: The numbers of sched_setattr and sched_getattr, for which Python has no names and older C libraries none either.
_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
#: struct sched_attr of sched_setattr(2): size, policy, flags, nice, priority, runtime, deadline, period.
_ATTR = struct.Struct("=IIQiIQQQ")
_LIBC = ctypes.CDLL(None)


def ask_for(nanoseconds: int, nice: int, thread: int = 0) -> bool:
    """Request time slices of `nanoseconds` for `thread` (its ID, 0 for the calling one) and all threads and processes that it starts later.

    `nice` is its priority, -20 to 19, which the same call sets. A kernel before Linux 6.12 sets only that. Returns False, with
    nothing changed, if that was refused, the scheduling policy is not SCHED_OTHER, or the number of this machine's call is unknown.
    """
    numbers = _CALLS.get(os.uname().machine)
    if numbers is None or not _is_usual(thread):
        return False
    wanted = _ATTR.pack(_ATTR.size, os.SCHED_OTHER, 0, nice, 0, nanoseconds, 0, 0)
    return bool(_LIBC.syscall(numbers[0], thread, ctypes.create_string_buffer(wanted, _ATTR.size), 0) == 0)


def of(thread: int = 0) -> int:
    """Return the time slice of a thread in nanoseconds; 0 if the kernel does not tell (before Linux 6.12)."""
    numbers = _CALLS.get(os.uname().machine)
    if numbers is None:
        return 0
    found = ctypes.create_string_buffer(_ATTR.size)
    if _LIBC.syscall(numbers[1], thread, found, _ATTR.size, 0) != 0:
        return 0
    return int(_ATTR.unpack(found.raw)[5])


def _is_usual(thread: int) -> bool:
    try:
        return os.sched_getscheduler(thread) == os.SCHED_OTHER
    except OSError:
        return False


def give_way(nicer: int) -> None:
    """Let all others go first: lower the priority of each thread of this process by `nicer`, to 19 at most, with the longest slices."""
    with suppress(OSError):
        # On Linux a priority is of a thread, and of those that it starts.
        for name in os.listdir("/proc/self/task"):
            thread = int(name)
            nice = min(os.getpriority(os.PRIO_PROCESS, thread) + nicer, 19)
            if not ask_for(LONGEST, nice, thread):
                os.setpriority(os.PRIO_PROCESS, thread, nice)
