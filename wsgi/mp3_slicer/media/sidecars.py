"""Sidecars: the files beside a source that say more of it. They follow the rules of their source."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mp3_slicer.media.library import Library
from mp3_slicer.media.protected import Permit, Protected
from mp3_slicer.media.source import SourceMissingError


class Sidecar(NamedTuple):
    """One of them, read."""

    name: str  #: its last name, for people
    ending: bytes  #: what was added to the source's path, with its own ending or in place of it
    data: bytes  #: at most one byte more than was asked for
    mtime_ns: int
    inner: bytes  #: where it really lies, from the media folder, without symbolic links


class Sidecars:
    """Reads them. Safe for any number of threads."""

    def __init__(self, library: Library | None, protected: Protected) -> None:
        """Without a `library` in a folder there are none."""
        self._library = library
        self._protected = protected

    def read(self, path: bytes, endings: Sequence[bytes], permit: Permit, most: int) -> Iterator[Sidecar]:
        """The sidecars of the source at a path with these endings, in their order: show.vtt, then show.mp3.vtt.

        Of each at most `most` + 1 bytes are read, so that a larger one shows. One behind a link into a protected folder is for a
        request with a signature. What is missing, forbidden or cannot be read is left out; raises SourceUnavailableError where nobody
        can tell.
        """
        stem = path[: -len(b".mp3")]
        for ending in endings:
            for name in (stem + ending, path + ending):
                found = self._one(name, ending, permit, most)
                if found is not None:
                    yield found

    def _one(self, name: bytes, ending: bytes, permit: Permit, most: int) -> Sidecar | None:
        if self._library is None:
            return None
        try:
            source = self._library.open_beside(name, ending)
        except SourceMissingError:
            return None
        with source:
            inner = self._library.inner_path(source)
            if not permit.signed and self._protected.holds(inner):
                return None
            size = min(source.identity.size, most + 1)
            data = b""
            while len(data) < size:
                piece = source.read(size - len(data), len(data))
                if not piece:
                    break
                data += piece
            last = name.rpartition(b"/")[2].decode("utf-8", "replace")
            return Sidecar(last, ending, data, source.identity.mtime_ns, inner)
