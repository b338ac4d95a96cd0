"""Checks before Apache starts. Each failure is one line that says what to do."""

import errno
import os
import re
import socket
from collections.abc import Iterable
from importlib.util import find_spec

from mp3_slicer import distribution
from mp3_slicer.errors import SlicerError
from mp3_slicer.server import checks, privileges, reach
from mp3_slicer.server.checks import Check
from mp3_slicer.server.sizes import MIB, RESERVED_CLIPS_MEMORY
from mp3_slicer.settings import CACHES, PREFIX, Settings

#: The log of requests that is the standard output of the server.
STDOUT = "/dev/stdout"

# Apache's words where the form of modules has changed, or a library that mod_wsgi is linked with has gone.
_NOT_LOADED = re.compile(rb"(?:Module \"\S*mod_wsgi\.c\" is |Cannot load \S*/mod_wsgi-\S+ into server: )([^\n]*)")
_HOST = re.compile(r"[A-Za-z0-9.:_%-]{1,255}", re.ASCII)


class PreflightError(SlicerError):
    """The server cannot start; the message is one line that names the cause and what to do."""


def port_number(port: int) -> int:
    """The port, if Apache can listen on it: 1..65535. Raises PreflightError."""
    if not 1 <= port <= 65535:
        raise PreflightError(f"port {port} is not from 1 to 65535: name the port to listen on")
    return port


def host_name(host: str) -> str:
    """The host, if it looks like an address or a name: it goes into Apache's configuration as it is. Raises PreflightError."""
    if not _HOST.fullmatch(host):
        raise PreflightError(f"host {host!r} is no address and no name")
    return host


def address_free(host: str, port: int) -> None:
    """Raise PreflightError unless this process can listen on `port` of every address that `host` means."""
    port_number(port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise PreflightError(
            f"host {host!r} resolves to no address: name an address of this machine or localhost"
        ) from None
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as listener:
                # As Apache does, so that connections which are still closing do not count.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen(1)
        except OSError as error:
            raise PreflightError(f"cannot listen on {host} port {port}: {_why(error, port)}") from None


def _why(error: OSError, port: int) -> str:
    """Return the reason why a port cannot be used, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "another program uses it; choose another with --port"
    if error.errno == errno.EACCES:
        return f"only root may use a port below 1024; choose another than {port} with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; choose another with --host"
    return os.strerror(error.errno or 0)


def program_present(path: str) -> None:
    """Raise PreflightError unless mod_wsgi-express is at `path` and can be run."""
    if not os.access(path, os.X_OK):
        install = distribution.pip_install("apache")
        raise PreflightError(f"{path} is missing: install it beside this Python with: {install}")


def module_loaded(log: bytes) -> None:
    """Raises PreflightError where the end of Apache's log says that it could not load mod_wsgi: then it was built for another one."""
    found = _NOT_LOADED.search(log)
    if found:
        reason = found[1].decode(errors="replace").strip()
        again = "PATH=/usr/sbin:/usr/bin:/sbin:/bin pip install --force-reinstall --no-cache-dir mod_wsgi"
        raise PreflightError(
            f"Apache does not load mod_wsgi, which was built for another Apache or Python ({reason}): build it again beside this Python "
            f"with {again}; where the playbook installed it, docs/upgrades.md says how"
        )


def require(check: Check) -> None:
    """Raise PreflightError unless a check is well."""
    if not check.ok:
        raise PreflightError(f"{check.name}: {check.detail}; {check.advice}")


def can_read(settings: Settings, user: str | None) -> None:
    """Raise PreflightError unless `user` (None: the caller) can read the media and the Python that Slicer runs on.

    Where a store of objects is needed, check the packages, and the files that the settings name.
    """
    if settings.needs_store:
        if find_spec("urllib3") is None or find_spec("botocore") is None:
            install = distribution.pip_install("objects")
            raise PreflightError(f"packages for object storage are missing: install them with: {install}")
        for name, path in (("CA file", settings.objects_ca), ("header file", settings.objects_header)):
            if path:
                require(checks.readable(name, path, user))
    if not settings.is_remote:
        require(checks.readable("media folder", settings.media, user))
    for part in reach.interpreter_parts():
        require(checks.readable("Python", part, user))


def keys_usable(path: str, user: str | None) -> None:
    """Raise PreflightError unless the file of keys is one, is closed to others, and `user` (None: the caller) can read it."""
    # Few servers have keys, and what signs takes longer to load than all else of a start.
    from mp3_slicer.signing import KeysError, read_keys

    try:
        read_keys(path)
    except KeysError as error:
        raise PreflightError(str(error)) from None
    blocked = reach.obstacle(path, user)
    if blocked is not None:
        raise PreflightError(
            f"{user or 'this user'} cannot read the key file {path}: {blocked} keeps them out; "
            f"give the file to {user or 'them'}, with mode 600"
        )


def indexes_fit(index_memory: int, clips_memory: int, reserved: int = RESERVED_CLIPS_MEMORY) -> None:
    """Raise PreflightError unless a clips process may take enough memory for its indexes beside what is reserved (all in bytes)."""
    most = clips_memory - reserved
    if index_memory > most:
        raise PreflightError(
            f"SLICER_INDEX_MEMORY_BYTES={index_memory} is more than the {most} bytes that the limit of each clips process leaves for "
            f"indexes: raise that with --clips-memory {-(-(index_memory + reserved) // MIB)}M or more"
        )


def own_caches(settings: Settings, user: str | None, names: Iterable[str] = tuple(CACHES)) -> None:
    """Make those of the folders in `names` (fields of CACHES) that are missing, and see that `user` (None: the caller) can write all.

    Raises PreflightError.
    """
    for name in names:
        own_folder(f"{CACHES[name]} folder", getattr(settings, name), PREFIX + name.upper(), user)


def request_log(path: str, user: str | None) -> str:
    """Return the path by which daemons of `user` (None: the caller) write the log of requests; empty where there is none.

    Their own standard output leads nowhere, so /dev/stdout becomes that of this process. Raises PreflightError where it cannot be opened
    by its path, as a socket, or by another user; and as own_folder does for any other path.
    """
    if path != STDOUT:
        if path:
            own_folder("folder of the log of requests", os.path.dirname(path), f"{PREFIX}REQUEST_LOG", user)
        return path
    own = f"/proc/{os.getpid()}/fd/1"
    try:
        if user is not None:
            raise PermissionError(errno.EACCES, f"the server runs as {user}, and this is root's")
        os.close(os.open(own, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))
    except OSError as error:
        raise PreflightError(
            f"log of requests: {STDOUT}: {error.strerror}; name a file in {PREFIX}REQUEST_LOG"
        ) from None
    return own


def own_folder(what: str, path: str, variable: str, user: str | None) -> None:
    """Make the folder called `what` if it is missing, owned by `user` (None: the caller), and see that it can be written.

    Raises PreflightError. A folder that exists keeps its owner and mode.
    """
    try:
        if not os.path.isdir(path):
            privileges.make_folder(path, user)
    except OSError as error:
        raise PreflightError(f"{what}: {path} cannot be made ({error.strerror}); name another in {variable}") from None
    require(checks.writable(what, path, user, variable))
