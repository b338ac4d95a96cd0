"""Who may have what: the check of signatures, and where a proxy finds what it keeps behind that check."""

import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from slicer.media.protected import SIGNED, UNSIGNED, Permit, Protected
from slicer.settings import Settings
from slicer.signing import (
    NAMES,
    Keys,
    Signature,
    SignatureExpiredError,
    SignatureMissingError,
    SignatureWrongError,
    check,
    read_keys,
    signed_url,
)
from slicer.web.options import parse_pairs
from slicer.web.problems import Problem
from slicer.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: With this a proxy says that it asks about each request, and keeps what it is sent to where nobody gets without.
_CHECKS_FIELD = "HTTP_X_SLICER_CHECKS"
#: With this it says, from there, by which signature it asks.
_FILL_FIELD = "HTTP_X_SLICER_SIGNATURE"
#: Where it keeps, by whether a signature was asked for.
_SIGNED, _OPEN = "/.signed", "/.open"
_PASSED = "slicer.passed"


class _Passed(NamedTuple):
    """What is known of a request that was let through."""

    signature: Signature | None  #: None where none is needed
    left: int  #: seconds for which it is right
    filling: bool  #: whether a proxy asks, to keep it behind its own check


class Asked(NamedTuple):
    """A query that was let through."""

    pairs: list[tuple[str, str]]  #: its options, without the signature
    permit: Permit  #: for the source at the path that it came with


class Gate:
    """One object for all threads. Without keys everybody may have everything."""

    def __init__(self, settings: Settings) -> None:
        """Reads the keys. Raises KeysError."""
        self._keys: Keys | None = read_keys(settings.signing_keys) if settings.signing_keys else None
        #: What is for requests with a signature alone.
        self.protected = Protected(settings.media, settings.signed_folders if self._keys is not None else ())

    def ask(
        self,
        url: tuple[str, bytes],
        query: str,
        allowed: frozenset[str],
        repeatable: frozenset[str] = frozenset(),
        environ: "WSGIEnvironment | None" = None,
    ) -> Asked:
        """A query whose signature is right, where the path's names say that one is needed.

        `url` is what comes before the media path (/clips/) and that. Raises Problem, as `parse_pairs` does, 403 and 410.
        """
        pairs = parse_pairs(query, allowed | NAMES, repeatable)
        signature = None
        prefix, path = url
        field = environ.get(_FILL_FIELD, "") if environ else ""
        if self._keys is not None and self.protected.names(path):
            asked = [*pairs, *_fill(field)] if field else pairs
            signature = _checked(prefix.encode() + path, asked, self._keys)
        if environ is not None:
            left = signature.expires - int(time.time()) if signature else 0
            environ[_PASSED] = _Passed(signature, max(0, left), bool(field))
        return Asked([pair for pair in pairs if pair[0] not in NAMES], SIGNED if signature is not None else UNSIGNED)


def _checked(path: bytes, pairs: list[tuple[str, str]], keys: Keys) -> Signature:
    try:
        return check(path, pairs, keys, time.time())
    except SignatureMissingError:
        raise unsigned() from None
    except SignatureWrongError:
        raise Problem(403, "signature-wrong", "the signature is not one of this URL by a key of this server") from None
    except SignatureExpiredError as error:
        raise Problem(
            410,
            "signature-expired",
            "the time of the signed URL is over; ask for a new one",
            {"expires": error.expires},
        ) from None


def unsigned() -> Problem:
    """403 for what needs a signature, and for a name of it by which nobody signs."""
    return Problem(403, "signature-missing", "this is only for who has a signed URL of it")


def _fill(field: str) -> list[tuple[str, str]]:
    """The options of a signature in a proxy's own header: their values, with spaces between, in order of their names."""
    return list(zip(sorted(NAMES), field.split(" "), strict=False))


def is_behind_check(environ: "WSGIEnvironment") -> bool:
    """Whether who asks is a proxy that keeps things behind this check, and is to be sent there."""
    return _PASSED in environ and environ.get(_CHECKS_FIELD) == "1"


def is_signed(environ: "WSGIEnvironment") -> bool:
    """Whether the answer is for one client alone."""
    passed: _Passed | None = environ.get(_PASSED)
    return passed is not None and passed.signature is not None and not passed.filling


def place(environ: "WSGIEnvironment", path: bytes, query: str, url: str, max_age: int) -> str:
    """Where such a proxy keeps the answer to a canonical URL, whose decoded path and query are given too.

    The signature in it is of that URL, by the same key and to the same time: who has the one may have the other.
    """
    passed: _Passed = environ[_PASSED]
    if passed.signature is None:
        return _OPEN + url
    key, expires = passed.signature
    mac = signed_url(path, parse_qsl(query, keep_blank_values=True), key, expires).rpartition("=")[2]
    return f"{_SIGNED}/{min(max_age, passed.left)}/{expires}/{key.name}/{mac}{url}"


def finish(environ: "WSGIEnvironment", answer: Response) -> None:
    """Let no cache but the client's own keep what was signed for, and that one no longer than the signature is right."""
    if not is_signed(environ):
        return
    left = environ[_PASSED].left
    for number, (name, value) in enumerate(answer.headers):
        if name == "Cache-Control" and value.startswith("public, max-age="):
            answer.headers[number] = (name, f"private, max-age={min(left, int(value.rpartition('=')[2]))}")
