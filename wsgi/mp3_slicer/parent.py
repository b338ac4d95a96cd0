"""Processes that must not outlive their parent."""

import ctypes
import os

#: prctl(2): the signal that the kernel sends when the parent has ended, for any reason.
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def end_with(parent: int, number: int) -> None:
    """Have the kernel send this process the signal `number` when `parent`, the process that started it, ends; at once if it has.

    The setting survives exec, and is not inherited by children. Fit for `preexec_fn`: nothing is imported or loaded here.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
