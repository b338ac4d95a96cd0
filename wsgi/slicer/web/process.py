"""What a process does that may take no more memory: it makes place for a new one."""

import logging
import os
import resource
import signal
from typing import TYPE_CHECKING

from slicer.signing import redacted

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LOG = logging.getLogger("slicer")
# What a process that is to go may still take.
_LAST_BYTES = 32 << 20


def make_place(environ: "WSGIEnvironment") -> None:
    """Have this process replaced once it has answered what it works on, if it is a daemon of mod_wsgi; log it in any case."""
    _LOG.error("out of memory: %s", redacted(environ.get("REQUEST_URI") or environ["PATH_INFO"]))
    if not environ.get("mod_wsgi.process_group"):
        return
    # It ends in good order only with room for another thread, the one that would end it by force.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        more = soft + _LAST_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (more if hard == resource.RLIM_INFINITY else min(more, hard), hard))
    # To a daemon the signal means: finish, and go. Any other process it would end at once.
    os.kill(os.getpid(), signal.SIGUSR1)
