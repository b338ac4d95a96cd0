"""The versions of a source and of a result: what a result is of, and the ETag of its bytes."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple, Self

from mp3_slicer.media.source import Identity
from mp3_slicer.mp3 import Index


class Version(NamedTuple):
    """A source and its bytes: the same for every server with the same media, and for every copy that kept its time, on whatever disk.

    The path counts, for the proof is no more than a sample: a file made to look like another gets no result of that one.
    """

    path: bytes  #: from the media folder
    size: int  #: bytes
    mtime_ns: int  #: time of last modification, in nanoseconds since 1970
    proof: int  #: checksum of samples of its bytes

    @classmethod
    def of(cls, path: bytes, identity: Identity, index: Index) -> Self:
        """That of an open source, which is found at `path` from the media folder."""
        return cls(path, identity.size, identity.mtime_ns, index.proof)


class Digest:
    """A strong ETag, of the bytes themselves, since other versions of an encoder make others of the same request."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=15)

    def update(self, piece: bytes) -> None:
        """Add some more bytes."""
        self._digest.update(piece)

    @property
    def etag(self) -> str:
        """The ETag of all of them, in quotes."""
        return f'"{self._digest.hexdigest()}"'


def etag_of(pieces: Iterable[bytes]) -> str:
    """The ETag of these bytes, in quotes."""
    digest = Digest()
    for piece in pieces:
        digest.update(piece)
    return digest.etag
