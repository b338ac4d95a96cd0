"""Fields that prove who asks: SigV4 for a bucket, by botocore; for an origin those of a file, or none."""

import threading
from typing import Any, BinaryIO, Protocol

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from mp3_slicer.objects.errors import StoreError

_SERVICE = "s3"


class Signer(Protocol):
    """The fields of each request of a client, by its credentials."""

    def sign(
        self, url: str, fields: dict[str, str], method: str = "GET", body: bytes | BinaryIO = b""
    ) -> dict[str, str]:
        """The fields of a request with those that prove who asks. Raises StoreError."""

    def renew(self) -> None:
        """Forget what was refused as expired."""


class FieldSigner:
    """The same fields for every request."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def sign(
        self, url: str, fields: dict[str, str], method: str = "GET", body: bytes | BinaryIO = b""
    ) -> dict[str, str]:
        """The fields with those of the file."""
        del url, method, body
        return {**fields, **self._fields}

    def renew(self) -> None:
        """Nothing expires."""


class S3Signer:
    """Credentials from where botocore finds them: environment, shared files and profile, web identity, roles of containers and instances.

    It refreshes them before they end. Without any, requests are anonymous.
    """

    def __init__(self, session: Session, region: str) -> None:
        self._session = session
        self._region = region
        self._lock = threading.Lock()
        self._found = False
        self._held: Any = None

    def sign(
        self, url: str, fields: dict[str, str], method: str = "GET", body: bytes | BinaryIO = b""
    ) -> dict[str, str]:
        """The signed fields. Raises StoreError where credentials cannot be had."""
        try:
            credentials = self._credentials()
            if credentials is None:
                return fields
            request = AWSRequest(method, url, headers=fields, data=body)
            S3SigV4Auth(credentials.get_frozen_credentials(), _SERVICE, self._region).add_auth(request)
        except BotoCoreError as error:
            raise StoreError(f"the credentials cannot be had: {type(error).__name__}") from None
        return dict(request.headers.items())

    def _credentials(self) -> Any:
        with self._lock:
            if not self._found:
                self._held = self._session.get_credentials()
                self._found = True
            return self._held

    def renew(self) -> None:
        """Look for credentials again."""
        with self._lock:
            self._session = Session(profile=self._session.profile)
            self._found = False


def s3_signer(region: str) -> tuple[S3Signer, str]:
    """Return the signer, and the region: that of the settings, of the environment or profile, or us-east-1."""
    session = Session()
    found = region or session.get_config_variable("region") or "us-east-1"
    return S3Signer(session, found), found


def field_signer(path: str) -> FieldSigner:
    """Return the fields in the file at `path`, with lines like "Authorization: Bearer …". Raises StoreError."""
    fields = {}
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                name, colon, text = line.strip().partition(":")
                if colon:
                    fields[name.strip()] = text.strip()
    except (OSError, ValueError) as error:
        raise StoreError(f"the file of fields cannot be read: {type(error).__name__}") from None
    return FieldSigner(fields)
