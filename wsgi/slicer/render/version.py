"""Which version of which source a result is of."""

from typing import NamedTuple, Self

from slicer.media.source import Identity
from slicer.mp3 import Index


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
