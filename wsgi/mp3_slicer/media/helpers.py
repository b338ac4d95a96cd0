"""Helper threads with small stacks, for work that requests do not wait for to its end."""

import threading
from collections.abc import Callable

#: Bytes of a helper's stack, mapped for each: the system's 8 MiB count against a process's limit of memory.
_STACK_BYTES = 512 << 10
#: The size of stacks is the process's, so only one thread may change it at a time.
_LOCK = threading.Lock()


def start(name: str, work: Callable[[], object]) -> None:
    """Start a thread that ends with the process. Raises RuntimeError where there is no room for one."""
    with _LOCK:
        before = threading.stack_size(_STACK_BYTES)
        try:
            threading.Thread(target=work, name=name, daemon=True).start()
        finally:
            threading.stack_size(before)
