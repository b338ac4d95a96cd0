"""Access: the hosts that this server answers to, and the check of signatures. It reads no options."""

import ipaddress
import socket
import time
from collections.abc import Mapping

from mp3_slicer.media.protected import Protected, ProtectedKeys
from mp3_slicer.settings import Settings
from mp3_slicer.signing import (
    NAMES,
    Keys,
    Signature,
    SignatureExpiredError,
    SignatureMissingError,
    SignatureWrongError,
    check,
    read_keys,
)
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.request import Pairs, Passed, Request

#: The field in which a proxy that caches behind a check of signatures names the signature of its request.
_FILL_FIELD = "HTTP_X_SLICER_SIGNATURE"


class Access:
    """The check of signatures. One object for all threads; without keys every request is authorised."""

    def __init__(self, settings: Settings) -> None:
        """Reads the keys. Raises KeysError."""
        self._keys: Keys | None = read_keys(settings.signing_keys) if settings.signing_keys else None
        folders = settings.signed_folders if self._keys is not None else ()
        #: Sources that need a signature.
        self.protected = ProtectedKeys(folders) if settings.is_remote else Protected(settings.media, folders)

    def authorise(self, request: Request) -> None:
        """Set `passed` of a request, after checking its signature if its path needs one.

        Raises Problem 403 and 410.
        """
        signature = None
        field = request.fields.get(_FILL_FIELD, "")
        if self._keys is not None and self.protected.names(request.path):
            pairs = request.options + request.credentials + (_fill(field) if field else [])
            signature = _checked(request.prefix.encode() + request.path, pairs, self._keys)
        left = max(0, signature.expires - int(time.time())) if signature else 0
        request.passed = Passed(signature, left, bool(field))


def _checked(path: bytes, pairs: Pairs, keys: Keys) -> Signature:
    try:
        return check(path, pairs, keys, time.time())
    except SignatureMissingError:
        raise Problem(403, "signature-missing", "this source needs a signed URL") from None
    except SignatureWrongError:
        raise Problem(403, "signature-wrong", "the signature is not one of this URL by a key of this server") from None
    except SignatureExpiredError as error:
        raise Problem(
            410,
            "signature-expired",
            "the time of the signed URL is over; ask for a new one",
            {"expires": error.expires},
        ) from None


def _fill(field: str) -> Pairs:
    """The options of a signature in a proxy's own header: their values, with spaces between, in order of their names."""
    return list(zip(sorted(NAMES), field.split(" "), strict=False))


class Hosts:
    """The names that this server answers to: a page whose own name resolves to this server (DNS rebinding) is refused.

    One object for all threads.
    """

    def __init__(self, settings: Settings) -> None:
        self._named = frozenset(settings.host_names)
        self.are_named = bool(self._named)  #: whether other names are refused
        own = socket.gethostname().lower()
        self._own = self._named | {"localhost", own, own.partition(".")[0]}

    def check(self, fields: Mapping[str, str]) -> None:
        """Raise Problem 421 for a name that is neither this machine's nor one of the settings'."""
        if not self.is_own(fields):
            raise Problem(
                421,
                "host-unknown",
                "this server does not answer to that host name; its operator can add it to SLICER_HOSTS",
            )

    def is_own(self, fields: Mapping[str, str]) -> bool:
        """Return whether a request names an address, this machine, or a name of the settings. No browser omits the Host."""
        host = fields.get("HTTP_HOST")
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
