"""The ETag of a finished result, made of its bytes."""

import hashlib
from collections.abc import Iterable


def etag_of(pieces: Iterable[bytes]) -> str:
    """A strong ETag, in quotes: of the bytes themselves, since other versions of an encoder make others of the same request."""
    digest = hashlib.blake2b(digest_size=15)
    for piece in pieces:
        digest.update(piece)
    return f'"{digest.hexdigest()}"'
