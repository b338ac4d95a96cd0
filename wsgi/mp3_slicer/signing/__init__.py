"""Signed URLs: the file of keys, signing and checking. docs/signing.md has the format."""

from mp3_slicer.signing.keys import Key, Keys, KeysError, add_key, read_keys
from mp3_slicer.signing.signature import (
    NAMES,
    Signature,
    SignatureExpiredError,
    SignatureMissingError,
    SignatureWrongError,
    check,
    redacted,
    signed_url,
    split_url,
)

__all__ = [
    "NAMES",
    "Key",
    "Keys",
    "KeysError",
    "Signature",
    "SignatureExpiredError",
    "SignatureMissingError",
    "SignatureWrongError",
    "add_key",
    "check",
    "read_keys",
    "redacted",
    "signed_url",
    "split_url",
]
