"""Which version of which source a result is of."""

from typing import NamedTuple, Self

from slicer.media.source import Identity
from slicer.mp3 import Index


class Version(NamedTuple):
    """What changes with a file's bytes, and is the same for every copy that kept its time, on whatever machine and disk."""

    size: int  #: bytes
    mtime_ns: int  #: time of last modification, in nanoseconds since 1970
    proof: int  #: checksum of samples of its bytes

    @classmethod
    def of(cls, identity: Identity, index: Index) -> Self:
        """That of an open source."""
        return cls(identity.size, identity.mtime_ns, index.proof)
