"""The names that this server answers to: a page whose own name was made to lead here (DNS rebinding) is told nothing."""

import ipaddress
import socket
from collections.abc import Mapping

from slicer.settings import Settings
from slicer.web.problems import Problem


class Hosts:
    """Looks at the Host of requests. One object for all threads."""

    def __init__(self, settings: Settings) -> None:
        self._named = frozenset(settings.host_names)
        self.are_named = bool(self._named)  #: whether other names are refused
        own = socket.gethostname().lower()
        self._own = self._named | {"localhost", own, own.partition(".")[0]}

    def check(self, environ: Mapping[str, str]) -> None:
        """Raise Problem 421 for a name that is neither this machine's nor one of the settings'."""
        if not self.is_own(environ):
            raise Problem(
                421,
                "host-unknown",
                "this server does not answer to that name; SLICER_HOSTS has those that it answers to",
            )

    def is_own(self, environ: Mapping[str, str]) -> bool:
        """Whether a request names an address, this machine, or a name of the settings. One without a Host is no browser's."""
        host = environ.get("HTTP_HOST")
        if not host:
            return True
        name = _without_port(host).lower().rstrip(".")
        return name in self._own or _is_address(name)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
