"""Sidecars: the files beside a source that say more of it. They follow the rules of their source."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from mp3_slicer.media.library import Catalog
from mp3_slicer.media.protected import Permit, Protected
from mp3_slicer.media.source import SourceArchivedError, SourceMissingError


class Sidecar(NamedTuple):
    """One of them, read."""

    name: str  #: its last name, for people
    ending: bytes  #: what was added to the source's path, with its own ending or in place of it
    data: bytes  #: at most one byte more than was asked for
    mtime_ns: int
    size: int  #: bytes of all of it
    inner: bytes  #: where it really lies, from the media folder, without symbolic links


class Sidecars:
    """Reads them. Safe for any number of threads."""

    def __init__(self, library: Catalog, protected: Protected) -> None:
        self._library = library
        self._protected = protected

    def there(self, path: bytes, endings: Sequence[bytes]) -> Collection[bytes]:
        """The paths of sidecars of a source with these endings, as far as the library knows. Raises SourceUnavailableError."""
        return self._library.beside(_stem(path), [name for name, _ in names(path, endings)])

    def read(
        self,
        path: bytes,
        endings: Sequence[bytes],
        permit: Permit,
        most: int,
        there: Collection[bytes] | None = None,
    ) -> Iterator[Sidecar]:
        """The sidecars of the source at a path with these endings, in their order: show.vtt, then show.mp3.vtt.

        `there` are the paths that are known to be there, where they are; no others are looked for.
        Of each at most `most` + 1 bytes are read, so that a larger one shows. One behind a link into a protected folder is for a
        request with a signature. What is missing, forbidden or cannot be read is left out; raises SourceUnavailableError where nobody
        can tell, and SourceChangedError where one is replaced meanwhile.
        """
        there = self.there(path, endings) if there is None else there
        for name, ending in names(path, endings):
            found = self._one(name, ending, permit, most) if name in there else None
            if found is not None:
                yield found

    def _one(self, name: bytes, ending: bytes, permit: Permit, most: int) -> Sidecar | None:
        try:
            source = self._library.open_beside(name, ending)
        except (SourceMissingError, SourceArchivedError):
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
            return Sidecar(last, ending, data, source.identity.mtime_ns, source.identity.size, inner)


def names(path: bytes, endings: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The paths that sidecars of a source may have, each with its ending, in the order in which they are read."""
    for ending in endings:
        yield _stem(path) + ending, ending
        yield path + ending, ending


def _stem(path: bytes) -> bytes:
    return path[: -len(b".mp3")]
