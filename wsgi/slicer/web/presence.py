"""Whether the client of a request is still there, as the kernel has it: Apache's child does not look while it waits for an answer."""

import ipaddress
import sys
from collections.abc import Mapping

_TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
#: States of a connection (include/net/tcp_states.h): the other end has closed it, and a socket that takes connections.
_CLOSE_WAIT, _LISTEN = "08", "0A"


def has_gone(environ: Mapping[str, str], tables: tuple[str, ...] = _TABLES) -> bool:
    """Whether the connection of a request was closed at its other end; False where nobody can tell.

    A client that closes only its own half of the connection, having asked, has gone too: no browser and no proxy does that.
    """
    try:
        client = ipaddress.ip_address(environ.get("REMOTE_ADDR", "").partition("%")[0])
        port = int(environ.get("REMOTE_PORT", ""))
        own = int(environ.get("SERVER_PORT", "0"))
    except ValueError:
        return False
    wanted = {f"{spelled}:{port:04X}" for spelled in _spellings(client)}
    listens = False
    for table in tables:
        try:
            with open(table, encoding="ascii") as file:
                next(file, None)
                for line in file:
                    _, local, remote, state, *_ = line.split(maxsplit=4)
                    if remote in wanted:
                        return state == _CLOSE_WAIT
                    listens = listens or (state == _LISTEN and int(local.rpartition(":")[2], 16) == own)
        except (OSError, ValueError):
            return False
    # Broken off rather than closed. Only a table that has this very server's port is known to be the right one.
    return listens


def _spellings(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[str]:
    """An address as these tables have it: words of 32 bits in the machine's own order."""
    found = [address.packed]
    if address.version == 4:
        found.append(ipaddress.IPv6Address(f"::ffff:{address}").packed)
    words = ([packed[place : place + 4] for place in range(0, len(packed), 4)] for packed in found)
    return [
        "".join((word[::-1] if sys.byteorder == "little" else word).hex().upper() for word in parts) for parts in words
    ]
