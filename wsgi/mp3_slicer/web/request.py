"""A request, as the views get it: built once from WSGI's environ, which stays unchanged."""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from mp3_slicer.media.protected import SIGNED, UNSIGNED, Permit
from mp3_slicer.settings import Settings
from mp3_slicer.signing import Signature
from mp3_slicer.web.connection import has_gone
from mp3_slicer.web.ledger import Record

#: The field in which a trusted proxy names its client, by address or network.
FIELD = "HTTP_X_SLICER_ADDRESS"
#: With this a trusted proxy names the trace that a request is part of (W3C Trace Context, version 00).
_TRACE_FIELD = "HTTP_TRACEPARENT"
_TRACE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
#: Bits of an IPv6 address that one client has.
_NETWORK_BITS = 64

Pairs = list[tuple[str, str]]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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
    def client(self) -> str:
        """The client's address, of IPv6 its network of 64 bits; empty if a proxy does not name it."""
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
        """Read `length` bytes of the body."""
        data: bytes = self.fields["wsgi.input"].read(length)
        return data

    def inner(self, query: str) -> "Request":
        """Return a GET of another URL of this server, which this request names; it has only its query yet."""
        return Request({"REQUEST_METHOD": "GET", "QUERY_STRING": query}, self.record, self._clients)


class Clients:
    """Tells clients apart. One object for all threads."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = tuple(ipaddress.ip_network(text) for text in settings.trusted_proxies)
        self._of = lru_cache(maxsize=1024)(self._name)

    def of(self, fields: Mapping[str, str]) -> str:
        """The client's address, of IPv6 its network of 64 bits; empty if a proxy does not name it."""
        return self._of(fields.get("REMOTE_ADDR", ""), fields.get(FIELD, ""))

    def trace_of(self, fields: Mapping[str, str]) -> str:
        """The traceparent that a trusted proxy sends; empty for anyone else's, and where it is malformed."""
        found = fields.get(_TRACE_FIELD, "")
        if not found or not _TRACE.fullmatch(found):
            return ""
        asks = parse_address(fields.get("REMOTE_ADDR", ""))
        return found if asks is not None and self._trusts(asks) else ""

    def _trusts(self, asks: _Address) -> bool:
        return any(asks in network for network in self._proxies)

    def _name(self, address: str, named: str) -> str:
        asks = parse_address(address)
        if asks is None:
            return ""
        if not self._trusts(asks):
            return _short(asks)
        client = parse_address(named.partition("/")[0])
        return "" if client is None else _short(client)


def parse_address(text: str) -> _Address | None:
    """Return the address that a text names, without its zone; None if it is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket reports an IPv4 address as one of IPv6.
    return getattr(found, "ipv4_mapped", None) or found


def _short(address: _Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
