"""Pictures: that of a source is the first beside it, or that of its tag, or the first of its folder."""

from collections.abc import Collection
from typing import NamedTuple

from mp3_slicer.errors import parsed
from mp3_slicer.media.protected import Permit
from mp3_slicer.media.sidecars import Sidecars, names
from mp3_slicer.media.source import Source
from mp3_slicer.tags import COVER_ENDINGS, MOST_COVER, SNIFFED, Cover, content_type_of, has_cover, in_blocks, read_cover
from mp3_slicer.tags.id3 import Read


class Pictured(NamedTuple):
    """The picture of a source."""

    cover: Cover
    mtime_ns: int  #: of the file that it is in
    inner: bytes  #: where that really lies, from the media folder; empty for the tag of the source itself


class Place(NamedTuple):
    """Where the picture of a source is."""

    mtime_ns: int  #: of that file
    inner: bytes  #: where it really lies, from the media folder; empty for the tag of the source itself


class Pictures:
    """Finds them. Safe for any number of threads."""

    def __init__(self, sidecars: Sidecars) -> None:
        self._sidecars = sidecars

    def read(self, path: bytes, source: Source, permit: Permit) -> Pictured | None:
        """The picture of an open source; None without one. It raises what `Sidecars.read` raises."""
        beside = self._first(path, permit, MOST_COVER)
        if beside is not None:
            return beside
        found, _ = parsed(lambda: read_cover(in_blocks(source.read), source.identity.size), None)
        if found is not None:
            return Pictured(found, source.identity.mtime_ns, b"")
        return self._first(_of_folder(path), permit, MOST_COVER)

    def look(
        self,
        path: bytes,
        source: Source,
        permit: Permit,
        read: Read,
        beside: Collection[bytes] | None = None,
        of_folder: Collection[bytes] | None = None,
    ) -> Place | None:
        """Where the picture of an open source is; None without one. Of a picture only the beginning is read.

        `beside` and `of_folder` are the paths that are known to be there, where they are.
        """
        found = self._first(path, permit, SNIFFED, beside)
        if found is None and parsed(lambda: has_cover(read, source.identity.size), False)[0]:
            return Place(source.identity.mtime_ns, b"")
        found = found or self._first(_of_folder(path), permit, SNIFFED, of_folder)
        return None if found is None else Place(found.mtime_ns, found.inner)

    def _first(self, path: bytes, permit: Permit, most: int, there: Collection[bytes] | None = None) -> Pictured | None:
        """The first picture beside a path, or its first `most` + 1 bytes."""
        for found in self._sidecars.read(path, COVER_ENDINGS, permit, most, there):
            kind = content_type_of(found.data)
            if kind is not None and found.size <= MOST_COVER:
                return Pictured(Cover(kind, found.data), found.mtime_ns, found.inner)
        return None


def picture_names(path: bytes) -> list[bytes]:
    """The paths of all files that may hold the picture of a source, apart from itself."""
    return [name for each in (path, _of_folder(path)) for name, _ in names(each, COVER_ENDINGS)]


def _of_folder(path: bytes) -> bytes:
    """The path whose sidecars are for all sources of a folder."""
    return path[: path.rfind(b"/") + 1] + b"cover.mp3"
