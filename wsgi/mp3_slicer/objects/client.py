"""Requests to a store: each within deadlines, and each answer checked before a byte of it counts."""

import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import BinaryIO, NamedTuple, TypeVar

import urllib3
from urllib3.exceptions import EmptyPoolError, HTTPError
from urllib3.response import BaseHTTPResponse

from mp3_slicer.media.source import SourceArchivedError, SourceMissingError
from mp3_slicer.mp3 import SourceChangedError
from mp3_slicer.objects.address import Address
from mp3_slicer.objects.breaker import Breaker
from mp3_slicer.objects.errors import StoreError
from mp3_slicer.objects.signer import Signer

_RANGE = re.compile(r"bytes (?:([0-9]{1,19})-([0-9]{1,19})|\*)/([0-9]{1,19})", re.ASCII)
#: A strong ETag (RFC 9110 section 8.8.3): a weak one may be the same for other bytes.
_ETAG = re.compile(r'"[\x21\x23-\x7e]*"', re.ASCII)
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")
#: Codes of S3 that say that credentials have ended, and that an object has to be restored first.
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"})
_ARCHIVED = "InvalidObjectState"
_NO_BUCKET = "NoSuchBucket"
#: Bytes of an error, and of a page of a listing, that are read.
_MOST_ERROR, _MOST_PAGE = 1 << 14, 16 << 20
_PIECE = 1 << 18
#: Seconds to a connection; seconds after which a pool that nobody used is thrown away, before the other side closes its connections.
_CONNECT_SECONDS, _IDLE_SECONDS = 2.0, 15.0
#: How many times the seconds of a wait an answer may take as a whole.
_WHOLE = 4
#: Answers to what is stored or removed, and those that say that another was first: S3 gives 409 while both are on their way.
_STORED, _CONFLICTS = frozenset({200, 204}), frozenset({409, 412})
_NO_FIELDS: dict[str, str] = {}
_SERVER_ERRORS = frozenset({429, 500, 502, 503, 504})
_EPOCH_NS = 1_000_000_000

_T = TypeVar("_T")
#: Is told of each request: what came of it, its seconds, the bytes of its body.
Told = Callable[[str, float, int], None]
#: What is stored: bytes, or a file, whole.
Data = bytes | BinaryIO


class Version(NamedTuple):
    """One version of an object."""

    size: int  #: bytes
    mtime_ns: int  #: time of last modification, in nanoseconds since 1970, 0 where nobody says
    tag: str  #: its ETag verbatim, and behind a space its version id where there is one

    @property
    def etag(self) -> str:
        """The ETag alone."""
        return self.tag.partition(" ")[0]


class Body:
    """The body of an answer that was checked; its end is known, and it is never of two versions."""

    def __init__(
        self,
        response: BaseHTTPResponse,
        length: int,
        end: float | None,
        breaker: Breaker,
        close: Callable[[int], None],
    ) -> None:
        """`length` is in bytes; `end` is by the monotonic clock."""
        self._response = response
        self._breaker = breaker
        self._left = self._length = length
        self._end = end
        self._close = close

    def read(self) -> bytes:
        """Some more bytes, none behind the last. Raises StoreError where the store ends it early, or too late."""
        if not self._left:
            return b""
        try:
            data = self._response.read1(min(_PIECE, self._left))
        except (HTTPError, OSError) as error:
            raise self._fault(f"the store stopped within an answer: {type(error).__name__}") from None
        if not data:
            raise self._fault("the store ended an answer early")
        self._left -= len(data)
        if not self._left:
            self._breaker.succeeded()
        elif self._end is not None and time.monotonic() > self._end:
            raise self._fault("the store took too long for an answer")
        return data

    def _fault(self, text: str) -> StoreError:
        self._breaker.failed()
        return StoreError(text, is_fault=True)

    @property
    def age(self) -> float | None:
        """Seconds since the object was stored, by the store's own clock; None where it does not say."""
        stored, now = (_seconds_of(self._response, name) for name in ("Last-Modified", "Date"))
        return None if stored is None or now is None else now - stored

    def close(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end; twice is harmless."""
        close, self._close = self._close, _nothing
        close(self._length - self._left)


def _nothing(_: int) -> None:
    """Do nothing."""


def _untold(*_: object) -> None:
    """Is told and does nothing."""


class Client:
    """Asks one store. Safe for any number of threads."""

    def __init__(
        self,
        address: Address,
        signer: Signer,
        *,
        seconds: float,
        threads: int,
        ca: str = "",
        told: Told = _untold,
    ) -> None:
        """`seconds` is how long a request waits for the next bytes of its answer; `threads` are those that ask."""
        self.address = address
        self._signer = signer
        self._seconds = seconds
        # Two for each: a render reads several spans by turns.
        self._connections = max(8, 2 * threads)
        self._ca = ca
        self._told = told
        self.breaker = Breaker(max(1, threads // 2))
        #: Whether If-Match is sent: until the store refuses a right one.
        self.matches = True
        self._lock = threading.Lock()
        self._held: urllib3.HTTPConnectionPool | None = None
        self._used = 0.0

    def url(self, path: bytes) -> bytes:
        """The URL of the object at a path, by which it is known; those of all begin with that of an empty path."""
        return self.address.url(self.address.target(path)).encode("ascii", "replace")

    def open(self, path: bytes) -> Version:
        """What is under a path now, by asking for its first byte.

        Raises SourceMissingError, SourceArchivedError, and StoreError where nobody can tell.
        """
        return self._twice(lambda: self._open(path))

    def _open(self, path: bytes) -> Version:
        response, close = self._ask(self.address.target(path), {"Range": "bytes=0-0"})
        try:
            version = _version_of(response)
            self._drain(response)
        finally:
            close(0)
        self.breaker.succeeded()
        return version

    def fetch(self, path: bytes, version: Version, low: int, high: int) -> bytes:
        """The bytes low..high-1 of this version of an object, whole.

        Raises SourceChangedError where there is another version or none, and StoreError.
        """
        return self._twice(lambda: self._fetch(path, version, low, high))

    def _fetch(self, path: bytes, version: Version, low: int, high: int) -> bytes:
        body = self.body(path, version, low, high, seconds=self._seconds * _WHOLE)
        try:
            return b"".join(iter(body.read, b""))
        finally:
            body.close()

    def body(self, path: bytes, version: Version, low: int, high: int, seconds: float | None = None) -> Body:
        """The same as it arrives, within `seconds` as a whole if that is given, and not tried twice. The caller closes it."""
        end = None if seconds is None else time.monotonic() + seconds
        fields = {"Range": f"bytes={low}-{high - 1}"}
        if self.matches:
            fields["If-Match"] = version.etag
        try:
            response, close = self._ask(self.address.target(path), fields)
            if response.status == 412:
                close(0)
                # Some servers refuse a right ETag: it is compared here in any case.
                del fields["If-Match"]
                response, close = self._ask(self.address.target(path), fields)
                self.matches = response.headers.get("ETag") != version.etag
        except SourceMissingError:
            raise SourceChangedError("the object is gone") from None
        try:
            _check(response, version, low, high)
        except BaseException:
            close(0)
            raise
        return Body(response, high - low, end, self.breaker, close)

    def honours_match(self, path: bytes) -> bool:
        """Return whether the store refuses a wrong If-Match. Raises as `open`."""
        fields = {"Range": "bytes=0-0", "If-Match": '"slicer-doctor"'}
        response, close = self._ask(self.address.target(path), fields)
        close(0)
        return response.status == 412

    def whole(self, path: bytes, most: int) -> bytes:
        """All bytes of an object, `most` of them at most. Raises SourceMissingError, SourceArchivedError, and StoreError."""
        return self.aged(path, most)[0]

    def aged(self, path: bytes, most: int) -> tuple[bytes, float | None]:
        """The same, and the seconds since it was stored, by the store's own clock, where that says them."""
        return self._twice(lambda: self._get_whole(path, most))

    def _get_whole(self, path: bytes, most: int) -> tuple[bytes, float | None]:
        body = self.stream(path, most, self._seconds * _WHOLE)
        try:
            return b"".join(iter(body.read, b"")), body.age
        finally:
            body.close()

    def stream(self, path: bytes, most: int, seconds: float) -> Body:
        """The same as it arrives, within `seconds` as a whole, and not tried twice. The caller closes it."""
        end = time.monotonic() + seconds
        response, close = self._ask(self.address.target(path), {})
        length = response.length_remaining
        try:
            if response.status != 200 or length is None or length > most:
                raise StoreError("the store answers with another length")
            _check_plain(response)
        except BaseException:
            close(0)
            raise
        return Body(response, length, end, self.breaker, close)

    def put(self, path: bytes, data: Data) -> None:
        """Store an object, which is there whole or not at all. Raises StoreError, and OSError where a file cannot be read."""
        try:
            self._twice(lambda: self._write("PUT", path, data))
        except SourceMissingError:
            raise StoreError("the store takes no objects") from None

    def create(self, path: bytes, data: bytes) -> bool:
        """Store an object where there is none; returns whether it is stored. Not tried twice: the first try may have stored it.

        A store that ignores If-None-Match replaces what is there. Raises StoreError.
        """
        try:
            return self._write("PUT", path, data, {"If-None-Match": "*"}) in _STORED
        except SourceMissingError:
            raise StoreError("the store takes no objects") from None

    def delete(self, path: bytes) -> None:
        """Remove an object, if it exists. Raises StoreError."""
        with suppress(SourceMissingError):
            self._twice(lambda: self._write("DELETE", path, b""))

    def _write(self, method: str, path: bytes, data: Data, conditions: dict[str, str] = _NO_FIELDS) -> int:
        """Send bytes; the status of the answer, of which others than success are for requests with conditions alone."""
        fields = {} if isinstance(data, bytes) else {"Content-Length": str(os.fstat(data.fileno()).st_size)}
        response, close = self._ask(self.address.target(path), {**fields, **conditions}, method, data)
        try:
            if response.status not in (_STORED | _CONFLICTS if conditions else _STORED):
                raise StoreError(f"the store answers {response.status}")
            self._drain(response)
        finally:
            close(0)
        self.breaker.succeeded()
        return response.status

    def page(self, query: str) -> bytes:
        """A page of a listing of the bucket. Raises StoreError."""
        return self._twice(lambda: self._page(query))

    def _page(self, query: str) -> bytes:
        try:
            response, close = self._ask(f"{self.address.root}?{query}", {})
        except SourceMissingError:
            raise StoreError("there is no such bucket") from None
        data = b""
        try:
            if response.status != 200:
                raise StoreError(f"the store answers {response.status} to a list")
            data = response.read(_MOST_PAGE)
        except (HTTPError, OSError) as error:
            self.breaker.failed()
            raise StoreError(f"the store stopped within a list: {type(error).__name__}", is_fault=True) from None
        finally:
            close(len(data))
        self.breaker.succeeded()
        return data

    def _twice(self, work: Callable[[], _T]) -> _T:
        """Do work, and after a fault of the store once more, on new connections. Raises what the work raises."""
        try:
            return work()
        except StoreError as error:
            if not error.is_fault or self.breaker.is_open:
                raise
        with self._lock:
            self._used = 0.0
        self._told("retried", 0.0, 0)
        return work()

    def _ask(
        self, target: str, fields: dict[str, str], method: str = "GET", data: Data = b""
    ) -> tuple[BaseHTTPResponse, Callable[[int], None]]:
        """An answer that is no error, its body not yet read, and what ends it. Raises as `open` does."""
        response, close = self._send(target, fields, method, data)
        if response.status in (200, 204, 206, 304, 412, 416) or (response.status == 409 and "If-None-Match" in fields):
            return response, close
        code = _code_of(response)
        close(0)
        if code in _EXPIRED:
            self._signer.renew()
            response, close = self._send(target, fields, method, data)
            if response.status in (200, 204, 206, 412, 416):
                return response, close
            code = _code_of(response)
            close(0)
        if response.status in _SERVER_ERRORS:
            self.breaker.failed()
            raise StoreError(f"the store answers {response.status} {code}".rstrip(), is_fault=True)
        self.breaker.succeeded()
        if code == _NO_BUCKET:
            raise StoreError("there is no such bucket")
        if response.status in (404, 410):
            raise SourceMissingError
        if code == _ARCHIVED:
            raise SourceArchivedError("the object is in an archive and must be restored before it can be read")
        if 300 <= response.status < 400:
            raise StoreError(f"the store answers {response.status}: redirects are not followed")
        raise StoreError(f"the store answers {response.status} {code}".rstrip())

    def _send(
        self, target: str, fields: dict[str, str], method: str, data: Data
    ) -> tuple[BaseHTTPResponse, Callable[[int], None]]:
        """Send a request; the head of its answer, and what ends it. Raises StoreError."""
        began = time.monotonic()
        try:
            with self.breaker.passed():
                if not isinstance(data, bytes):
                    data.seek(0)
                plain = {"Accept-Encoding": "identity", **fields}
                sent = self._signer.sign(self.address.url(target), plain, method, data)
                response = self._request(target, sent, method, data)
        except StoreError as error:
            if error.is_fault or error.is_repeat:
                self._told("failed" if error.is_fault else "refused", time.monotonic() - began, 0)
            raise
        outcome = f"{response.status // 100}xx"

        def close(count: int) -> None:
            # A connection with bytes left is of no use; one without is given back once its end was read.
            if response.length_remaining == 0:
                response.drain_conn()
            else:
                response.close()
            response.release_conn()
            self._told(outcome, time.monotonic() - began, count)

        return response, close

    def _request(self, target: str, fields: dict[str, str], method: str, data: Data) -> BaseHTTPResponse:
        try:
            return self._pool().urlopen(
                method,
                target,
                body=data or None,
                headers=fields,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                assert_same_host=False,
                pool_timeout=max(1, int(self._seconds)),
            )
        except EmptyPoolError:
            raise StoreError("all connections to the store are in use") from None
        except (HTTPError, OSError) as error:
            self.breaker.failed()
            # Without the text: it may hold what it should not.
            raise StoreError(f"the store cannot be reached: {type(error).__name__}", is_fault=True) from None

    def _drain(self, response: BaseHTTPResponse) -> None:
        try:
            if (response.length_remaining or 0) <= _MOST_ERROR:
                response.read(_MOST_ERROR)
        except (HTTPError, OSError):
            response.close()

    def _pool(self) -> urllib3.HTTPConnectionPool:
        now = time.monotonic()
        with self._lock:
            pool = self._held
            if pool is None or now - self._used > _IDLE_SECONDS:
                if pool is not None:
                    pool.close()
                pool = self._held = self._new_pool()
            self._used = now
            return pool

    def _new_pool(self) -> urllib3.HTTPConnectionPool:
        timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, self._seconds), read=self._seconds)
        address = self.address
        if address.scheme == "https":
            return urllib3.HTTPSConnectionPool(
                address.host,
                address.port,
                maxsize=self._connections,
                block=True,
                timeout=timeout,
                ca_certs=self._ca or None,
                cert_reqs="CERT_REQUIRED",
            )
        return urllib3.HTTPConnectionPool(
            address.host, address.port, maxsize=self._connections, block=True, timeout=timeout
        )


def _code_of(response: BaseHTTPResponse) -> str:
    """The code of an error of S3; empty where it has none."""
    try:
        found = _CODE.search(response.read(_MOST_ERROR))
    except (HTTPError, OSError):
        response.close()
        return ""
    return found[1].decode("ascii") if found else ""


def _tag_of(response: BaseHTTPResponse) -> str:
    """The tag of the version that an answer is of. Raises StoreError where it has none that is strong."""
    etag = response.headers.get("ETag", "")
    if not _ETAG.fullmatch(etag):
        raise StoreError("the store gives no strong ETag")
    number = response.headers.get("x-amz-version-id", "null")
    return etag if number == "null" else f"{etag} {number}"


def _version_of(response: BaseHTTPResponse) -> Version:
    """The version that the answer to a GET of the first byte is of. Raises StoreError."""
    if response.status == 200:
        raise StoreError("the store ignores ranges")
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        raise StoreError("the store gives no total in Content-Range")
    size = int(found[3])
    if response.status == 416:
        if size:
            raise StoreError("the store refuses a right range")
        return Version(0, 0, '""')
    _check_plain(response)
    modified = int(_seconds_of(response, "Last-Modified") or 0)
    return Version(size, modified * _EPOCH_NS, _tag_of(response))


def _seconds_of(response: BaseHTTPResponse, name: str) -> float | None:
    """The time in a field, in seconds since 1970; None without one."""
    try:
        return parsedate_to_datetime(response.headers.get(name, "")).timestamp()
    except ValueError:
        return None


def _check_plain(response: BaseHTTPResponse) -> None:
    if response.headers.get("Content-Encoding", "identity").lower() not in {"identity", "aws-chunked", ""}:
        raise StoreError("the store encodes its answers")


def _check(response: BaseHTTPResponse, version: Version, low: int, high: int) -> None:
    """Raise SourceChangedError unless an answer is of this version, StoreError unless it is the range that was asked for."""
    if response.status == 416:
        raise SourceChangedError("the object became shorter")
    if response.status == 412:
        raise SourceChangedError("the object was replaced")
    # What names another version is no fault of the store, whatever else its answer is.
    if _tag_of(response) != version.tag:
        raise SourceChangedError("the object was replaced")
    if response.status != 206:
        raise StoreError("the store ignores ranges")
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or found[1] is None:
        raise StoreError("the store gives no range in Content-Range")
    if int(found[3]) != version.size:
        raise SourceChangedError("the object has another size")
    if (int(found[1]), int(found[2])) != (low, high - 1):
        raise StoreError("the store answers with another range")
    _check_plain(response)
    if response.length_remaining != high - low:
        raise StoreError("the store answers with another length")
