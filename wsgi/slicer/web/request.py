"""A request, as the views get it: built from WSGI's environ once, and nothing is written back into that."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from slicer.media.protected import SIGNED, UNSIGNED, Permit
from slicer.settings import Settings
from slicer.signing import Signature
from slicer.web.connection import has_gone
from slicer.web.ledger import Record

#: With this a trusted proxy names its client, by its address or its network.
FIELD = "HTTP_X_SLICER_ADDRESS"
#: Bits of an IPv6 address that one client has.
_NETWORK_BITS = 64

Pairs = list[tuple[str, str]]


class Passed(NamedTuple):
    """The result of authorising a request."""

    signature: Signature | None  #: None where none is needed
    left: int  #: seconds for which that is right; 0 without one
    filling: bool  #: whether a proxy asks, to keep the response behind its own check


class Request:
    """One request. Its route sets prefix and path, parsing the options, authorising what was passed."""

    __slots__ = (
        "_clients",
        "credentials",
        "fields",
        "method",
        "options",
        "passed",
        "path",
        "prefix",
        "query",
        "record",
    )

    def __init__(self, fields: Mapping[str, Any], record: Record, clients: "Clients") -> None:
        self.fields = (
            fields  #: header fields and what the server knows of the connection, under WSGI's names; read-only
        )
        self.method: str = fields["REQUEST_METHOD"]
        self.query: str = fields.get("QUERY_STRING", "")  #: as it was sent, each byte a character (PEP 3333)
        self.record = record  #: for the ledger
        self.prefix = ""  #: of the route: the fixed part of the path, like "/clips/"
        self.path = b""  #: behind the prefix, decoded: names on disk are bytes, and need not be UTF-8
        self.options: Pairs = []  #: of the query, decoded, in their order, without those of a signature
        self.credentials: Pairs = []  #: the options of a signature, right or wrong
        self.passed: Passed | None = None  #: None until it is authorised
        self._clients = clients

    @property
    def conditions(self) -> Mapping[str, Any]:
        """The fields of RFC 9110 sections 13 and 14, and others."""
        return self.fields

    @property
    def client(self) -> str:
        """The client's address, of IPv6 its network of 64 bits; empty where a proxy asks and names nobody."""
        return self._clients.of(self.fields)

    @property
    def permit(self) -> Permit:
        """The permit for the source at its path."""
        return SIGNED if self.passed is not None and self.passed.signature is not None else UNSIGNED

    @property
    def is_signed(self) -> bool:
        """Return whether the response is for one client alone."""
        return self.passed is not None and self.passed.signature is not None and not self.passed.filling

    @property
    def has_gone(self) -> bool:
        """Return whether its client closed the connection; False where that is unknown."""
        return has_gone(self.fields)

    def option(self, name: str) -> str | None:
        """The value of an option that comes once, None where it is not given."""
        for each, value in self.options:
            if each == name:
                return value
        return None

    def read(self, length: int) -> bytes:
        """So many bytes of the body."""
        data: bytes = self.fields["wsgi.input"].read(length)
        return data

    def inner(self, query: str) -> "Request":
        """A GET of another URL of this server that is named in this request, with nothing but its query yet."""
        return Request({"REQUEST_METHOD": "GET", "QUERY_STRING": query}, self.record, self._clients)


class Clients:
    """Tells clients apart. One object for all threads."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = tuple(ipaddress.ip_network(text) for text in settings.trusted_proxies)
        self._of = lru_cache(maxsize=1024)(self._name)

    def of(self, fields: Mapping[str, str]) -> str:
        """The client's address, of IPv6 its network of 64 bits; empty where a proxy asks and names nobody."""
        return self._of(fields.get("REMOTE_ADDR", ""), fields.get(FIELD, ""))

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
