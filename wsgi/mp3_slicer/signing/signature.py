"""Signatures of URLs: their canonical form, signing and checking.

A signature is the HMAC-SHA256 (RFC 2104, FIPS 180-4) of the rest of its URL in canonical form, in lower-case hexadecimal. The rest is
the path and every option, the time of expiry and the key's name among them, so none of it can be changed. Spellings of one URL have
one signature: percent signs, the order of options and the notation of `t` make no difference.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

from mp3_slicer.errors import SlicerError
from mp3_slicer.signing.keys import Key, Keys
from mp3_slicer.timespan import TimeSpan, TimeSpanError

EXPIRES, KEY, SIGNATURE = "expires", "key", "signature"
#: The options that a signature consists of.
NAMES = frozenset({EXPIRES, KEY, SIGNATURE})
#: The latest expiry, in seconds since 1970: what has no more digits.
MOST_EXPIRES = 99_999_999_999
_EXPIRES = re.compile(r"[1-9][0-9]{0,10}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SPAN = "t"
#: Options that logs must not have: a signature gives access, and a token cancels a job.
_SECRET = (SIGNATURE, "token")
#: Each with any letter of its name percent-encoded, in either case.
_READABLE = re.compile(
    r"([?&](?:"
    + "|".join(
        "".join(f"(?:{letter}|%{ord(letter):02x}|%{ord(letter.upper()):02x})" for letter in name) for name in _SECRET
    )
    + r")(?:=|%3d))[^&]*",
    re.IGNORECASE,
)
#: A key for unknown names, so that the comparison takes as long as for a known one.
_NOBODY = Key("", bytes(32))

Pairs = Sequence[tuple[str, str]]


class SignatureError(SlicerError):
    """Base of what `check` raises."""


class SignatureMissingError(SignatureError):
    """The URL has no signature."""


class SignatureWrongError(SignatureError):
    """The signature is wrong, or of another URL; the message does not tell which."""


class SignatureExpiredError(SignatureError):
    """The signature is right but has expired, at `expires` in seconds since 1970."""

    def __init__(self, expires: int) -> None:
        super().__init__(f"it expired at {expires}")
        self.expires = expires


class UrlError(SlicerError):
    """A text that is no URL."""


class Url(NamedTuple):
    """The parts of a URL that are signed."""

    origin: str  #: scheme and host with its port; empty where the URL begins with its path
    path: bytes  #: decoded
    pairs: list[tuple[str, str]]  #: the options, decoded


class Signature(NamedTuple):
    """A signature that was found right."""

    key: Key
    expires: int  #: seconds since 1970


def redacted(target: str) -> str:
    """A request target as logs may have it: without its signature, or the token of a job."""
    # Nearly all of them have none, and no percent sign in the query.
    if "%" not in target and not any(name in target.lower() for name in _SECRET):
        return target
    return _READABLE.sub(r"\1-", target)


def canonical(path: bytes, pairs: Pairs) -> str:
    """The one form of a path (decoded, from the first slash on) and its options: what is signed.

    Options are sorted by name, and those of one name keep their order, which means something for spans. Bytes beyond RFC 3986's
    unreserved ones are percent-encoded, except the slash in a path and comma and colon in options.
    """
    options = sorted(
        ((name, _span(value) if name == _SPAN else value) for name, value in pairs), key=lambda pair: pair[0]
    )
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in options)
    return f"{quote(path)}?{query}"


def _span(text: str) -> str:
    try:
        return TimeSpan.parse(text).canonical
    except TimeSpanError:
        # The application will say what is wrong with it.
        return text


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=",:")


def _mac(key: Key, message: str) -> str:
    return hmac.new(key.secret, message.encode(), hashlib.sha256).hexdigest()


def split_url(text: str) -> Url:
    """Take a URL apart, or its path and query alone. Raises UrlError."""
    try:
        parts = urlsplit(text)
        path = unquote_to_bytes(parts.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    except ValueError as error:
        raise UrlError(f"{text[:100]!r} is no URL: {error}") from None
    return Url(f"{parts.scheme}://{parts.netloc}" if parts.netloc else "", path, pairs)


def signed_url(path: bytes, pairs: Iterable[tuple[str, str]], key: Key, expires: int) -> str:
    """The canonical URL of a path and its options, signed; a signature among the options is replaced."""
    rest = [pair for pair in pairs if pair[0] not in NAMES]
    message = canonical(path, [*rest, (EXPIRES, str(expires)), (KEY, key.name)])
    return f"{message}&{SIGNATURE}={_mac(key, message)}"


def check(path: bytes, pairs: Pairs, keys: Keys, now: float) -> Signature:
    """Return the signature among the options of a path. `now` is seconds since 1970.

    Raises SignatureMissingError, SignatureWrongError, and SignatureExpiredError only if all else is right.
    """
    given = {name: value for name, value in pairs if name in NAMES}
    if not given:
        raise SignatureMissingError
    mac, expires = given.get(SIGNATURE, ""), given.get(EXPIRES, "")
    key = keys.get(given.get(KEY, "")) or _NOBODY
    expected = _mac(key, canonical(path, [pair for pair in pairs if pair[0] != SIGNATURE]))
    same = hmac.compare_digest(expected.encode(), mac.encode("utf-8", "surrogateescape"))
    if not (same and key is not _NOBODY and _EXPIRES.fullmatch(expires) and _MAC.fullmatch(mac)):
        raise SignatureWrongError
    if now >= int(expires):
        raise SignatureExpiredError(int(expires))
    return Signature(key, int(expires))
