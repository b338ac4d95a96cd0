"""The process of the application: its group and threads as mod_wsgi says, and its end when it may take no more memory."""

import logging
import os
import resource
import signal
from collections.abc import Mapping
from typing import Any

from slicer.signing import redacted
from slicer.timeslice import give_way

_LOG = logging.getLogger("slicer")
#: The daemon group that renders are made in.
_GROUP = "renders"
#: By how much these daemons and what they start are nicer than others: they get a tenth of the CPU time of one who wants it too.
_NICE = 10
#: What a process that is to go may still take.
_LAST_BYTES = 32 << 20


def make_room(fields: Mapping[str, Any]) -> None:
    """Have this process replaced once it has answered what it works on, if it is a daemon of mod_wsgi; log it in any case.

    `fields` are those of a request that found no memory.
    """
    _LOG.error("out of memory: %s", redacted(fields.get("REQUEST_URI") or fields["PATH_INFO"]))
    if not fields.get("mod_wsgi.process_group"):
        return
    # It ends in good order only with room for another thread, the one that would end it by force.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        more = soft + _LAST_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (more if hard == resource.RLIM_INFINITY else min(more, hard), hard))
    # To a daemon the signal means: finish, and go. Any other process it would end at once.
    os.kill(os.getpid(), signal.SIGUSR1)


def process_group() -> str:
    """The group of the mod_wsgi daemon that this is; empty for any other process."""
    try:
        import mod_wsgi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return ""
    return str(getattr(mod_wsgi, "process_group", ""))


def process_threads() -> int:
    """Return the number of threads of this process that answer requests: as mod_wsgi says, 1 for any other process."""
    try:
        import mod_wsgi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return 1
    return int(getattr(mod_wsgi, "threads_per_process", 1))


def process_count() -> int:
    """Return the number of processes in the group of this one: as mod_wsgi says, 1 for any other process."""
    try:
        import mod_wsgi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return 1
    return int(getattr(mod_wsgi, "maximum_processes", 1))


def is_for_renders() -> bool:
    """Return whether this is a daemon in which renders are made."""
    return process_group() == _GROUP


def give_way_to_others() -> None:
    """Take CPU time that nobody else wants, for good."""
    give_way(_NICE)
