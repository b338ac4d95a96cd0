"""The client of a request: its address, or the one that a trusted proxy names."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache

from slicer.settings import Settings

#: With this a trusted proxy names its client, by its address or its network.
FIELD = "HTTP_X_SLICER_ADDRESS"
#: Bits of an IPv6 address that one client has.
_NETWORK_BITS = 64


class Clients:
    """Tells clients apart. One object for all threads."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = tuple(ipaddress.ip_network(text) for text in settings.trusted_proxies)
        self._of = lru_cache(maxsize=1024)(self._name)

    def of(self, environ: Mapping[str, str]) -> str:
        """The client's address, of IPv6 its network of 64 bits; empty where a proxy asks and names nobody."""
        return self._of(environ.get("REMOTE_ADDR", ""), environ.get(FIELD, ""))

    def _name(self, address: str, named: str) -> str:
        asks = _parsed(address)
        if asks is None:
            return ""
        if not any(asks in network for network in self._proxies):
            return _short(asks)
        client = _parsed(named.partition("/")[0])
        return "" if client is None else _short(client)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # To a socket of both kinds an IPv4 address is one of IPv6.
    return getattr(found, "ipv4_mapped", None) or found


def _short(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
