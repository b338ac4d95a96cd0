"""The connection of a request, as the kernel has it: Apache's child does not look while it waits for an answer."""

import ipaddress
import socket
import struct
import sys
from collections.abc import Mapping

_TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
#: States of a connection (include/net/tcp_states.h): the other end has closed it, and a socket that takes connections.
_CLOSE_WAIT, _LISTEN = "08", "0A"
_ESTABLISHED = 1
#: sock_diag(7), for which Python has no names: the protocol of netlink, a request by family, of one socket, without a cookie.
_NETLINK_SOCK_DIAG, _BY_FAMILY, _REQUEST, _NO_COOKIE = 4, 20, 1, 0xFFFFFFFF
#: struct nlmsghdr, the first five fields of struct inet_diag_req_v2, and the last three of its socket, whose ports and addresses are
#: between them in the order of networks.
_HEADER, _ASKED, _REST = struct.Struct("=LHHLL"), struct.Struct("=BBBxL"), struct.Struct("=LLL")
#: Where an answer has the state: the second byte of struct inet_diag_msg.
_STATE = _HEADER.size + 1
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def has_gone(fields: Mapping[str, str], tables: tuple[str, ...] = _TABLES) -> bool:
    """Return whether the connection of a request was closed at its other end; False where that is unknown.

    A client that closes only its own half of the connection, having asked, has gone too: no browser and no proxy does that.
    The server's own port is mod_wsgi's, from the connection: `SERVER_PORT` is what the client's Host says.

    The tables list every connection of the last minute, and reading them takes milliseconds, or tens of them behind a busy proxy. So
    the kernel is first asked for this one connection; the tables are read only if it does not report it as established.
    """
    try:
        client = ipaddress.ip_address(fields.get("REMOTE_ADDR", "").partition("%")[0])
        port = int(fields.get("REMOTE_PORT", ""))
        own = int(fields.get("mod_wsgi.listener_port", ""))
    except ValueError:
        return False
    if _is_established(fields.get("SERVER_ADDR", ""), own, client, port):
        return False
    wanted = {f"{spelled}:{port:04X}" for spelled in _spellings(client)}
    states = _states(tables, own, wanted)
    if states == []:
        # Broken off rather than closed; or missed, since a table that changes while it is read can leave out a line.
        return _states(tables, own, wanted) == []
    return states is not None and all(state == _CLOSE_WAIT for state in states)


def _is_established(server: str, own: int, client: _Address, port: int) -> bool:
    """Return whether the kernel has this connection, open at both ends; False where it does not tell (sock_diag(7))."""
    try:
        address = ipaddress.ip_address(server)
        if address.version != client.version:
            return False
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        ends = struct.pack("!HH16s16s", own, port, address.packed, client.packed)
        asked = _ASKED.pack(family, socket.IPPROTO_TCP, 0, _NO_COOKIE) + ends + _REST.pack(0, _NO_COOKIE, _NO_COOKIE)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as kernel:
            # It answers within the call, or not at all.
            kernel.setblocking(False)
            kernel.send(_HEADER.pack(_HEADER.size + len(asked), _BY_FAMILY, _REQUEST, 0, 0) + asked)
            answer = kernel.recv(4096)
    except (OSError, ValueError):
        return False
    kind = _HEADER.unpack_from(answer)[1] if len(answer) > _STATE else 0
    return kind == _BY_FAMILY and answer[_STATE] == _ESTABLISHED


def _states(tables: tuple[str, ...], own: int, wanted: set[str]) -> list[str] | None:
    """The states of connections to the port `own` from an address of `wanted`; None where these can't be the right tables.

    Without the server's port an address is not enough: a client's system gives the same port to connections to other servers.
    """
    states, listens = [], False
    for table in tables:
        try:
            with open(table, encoding="ascii") as file:
                next(file, None)
                for line in file:
                    _, local, remote, state, *_ = line.split(maxsplit=4)
                    if int(local.rpartition(":")[2], 16) != own:
                        continue
                    listens = listens or state == _LISTEN
                    if remote in wanted:
                        states.append(state)
        except (OSError, ValueError):
            return None
    return states if states or listens else None


def _spellings(address: _Address) -> list[str]:
    """An address as these tables have it: words of 32 bits in the machine's own order."""
    found = [address.packed]
    if address.version == 4:
        found.append(ipaddress.IPv6Address(f"::ffff:{address}").packed)
    words = ([packed[offset : offset + 4] for offset in range(0, len(packed), 4)] for packed in found)
    return [
        "".join((word[::-1] if sys.byteorder == "little" else word).hex().upper() for word in parts) for parts in words
    ]
