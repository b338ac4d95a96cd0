"""The process of the application: its group and threads by mod_wsgi, and its end when it runs out of memory."""

import logging
import os
import resource
import signal
from collections.abc import Mapping
from typing import Any

from mp3_slicer.signing import redacted
from mp3_slicer.timeslice import give_way

_LOG = logging.getLogger("slicer")
#: The daemon group that renders are made in.
_GROUP = "renders"
#: The nice value of these daemons and their children: they get a tenth of the CPU time of a competing process.
_NICE = 10
#: Memory that a process may still take before it ends, in bytes.
_LAST_BYTES = 32 << 20


def make_room(fields: Mapping[str, Any]) -> None:
    """Log the lack of memory, and have this process replaced after its requests, if it is a daemon of mod_wsgi.

    `fields` are those of a request that found no memory.
    """
    _LOG.error("out of memory: %s", redacted(fields.get("REQUEST_URI") or fields["PATH_INFO"]))
    if not fields.get("mod_wsgi.process_group"):
        return
    # A clean end needs room for another thread, which would end it by force.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        more = soft + _LAST_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (more if hard == resource.RLIM_INFINITY else min(more, hard), hard))
    # A daemon finishes its requests and ends. Any other process would end at once.
    os.kill(os.getpid(), signal.SIGUSR1)


def process_group() -> str:
    """Return the daemon group of this process; empty outside mod_wsgi."""
    return str(_daemon("process_group", ""))


def process_threads() -> int:
    """Return the number of threads of this process that answer requests; 1 outside mod_wsgi."""
    return int(_daemon("threads_per_process", 1))


def process_count() -> int:
    """Return the number of processes in the group of this one; 1 outside mod_wsgi."""
    return int(_daemon("maximum_processes", 1))


def renders_processes() -> int:
    """Return the number of processes for renders, in any process of the server; 1 outside of one."""
    text = os.environ.get("SLICER_RENDERS_PROCESSES", "")
    return int(text) if text.isascii() and text.isdigit() else 1


def _daemon(name: str, otherwise: str | int) -> Any:
    """A value of mod_wsgi about this process; `otherwise` outside mod_wsgi."""
    try:
        import mod_wsgi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return otherwise
    return getattr(mod_wsgi, name, otherwise)


def is_for_renders() -> bool:
    """Return whether this is a daemon in which renders are made."""
    return process_group() == _GROUP


def give_way_to_others() -> None:
    """Lower this process's priority for good."""
    give_way(_NICE)
