"""What the catalogue stores of a file: read from the file, its tags, and its sidecars."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from mp3_slicer.catalogue.parts import pack, split, words
from mp3_slicer.media.library import Library
from mp3_slicer.media.protected import UNSIGNED
from mp3_slicer.media.sidecars import Sidecars
from mp3_slicer.media.source import Source
from mp3_slicer.tags import Names, read_tags
from mp3_slicer.transcripts import ENDINGS, MOST_BYTES, choose


class Part(NamedTuple):
    """Half an hour of a transcript."""

    cues: bytes  #: packed
    said: str  #: its words, folded


class Document(NamedTuple):
    """A file."""

    path: bytes
    inner: bytes  #: where it really lies, from the media folder
    sidecar: bytes  #: where its transcript really lies; empty without one
    stamp: str  #: differs after the file or a sidecar of it has changed
    size: int  #: bytes
    mtime_ns: int
    duration: int  #: milliseconds; 0 for one that cannot be cut
    names: Names
    cues: int
    parts: tuple[Part, ...]


class Stamps:
    """Tells files and sidecars that changed: each folder is listed once, and what lies beside a source is looked at."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._folder: bytes | None = None
        self._names: frozenset[bytes] = frozenset()

    def of(self, path: bytes, size: int, mtime_ns: int) -> str:
        """The stamp of a source."""
        folder, _, last = path.rpartition(b"/")
        if folder != self._folder:
            try:
                self._names = frozenset(os.listdir(self._library.full_path(folder)))
            except OSError:
                self._names = frozenset()
            self._folder = folder
        stem = last[: -len(b".mp3")]
        parts = [f"{size}.{mtime_ns}"]
        for ending in ENDINGS:
            there = [name for name in (stem + ending, last + ending) if name in self._names]
            parts += [self._one(folder + b"/" + name if folder else name) for name in there]
        return " ".join(parts)

    def _one(self, path: bytes) -> str:
        try:
            status = os.stat(self._library.full_path(path))
        except OSError:
            return "-"
        return f"{status.st_ino}.{status.st_size}.{status.st_mtime_ns}.{status.st_ctime_ns}"


def read_document(
    library: Library,
    sidecars: Sidecars,
    source: Source,
    path: bytes,
    stamp: str,
    encoding: str,
    seconds: float,
) -> Document:
    """All of an open source, which lasts so many `seconds`. Raises OSError where the media cannot be read."""
    names = read_tags(source.read, source.identity.size).names
    inner: dict[str, bytes] = {}

    def each() -> Iterable[tuple[str, bytes, bytes]]:
        for found in sidecars.read(path, ENDINGS, UNSIGNED, MOST_BYTES):
            inner[found.name] = found.inner
            yield found.name, found.ending, found.data

    choice = choose(each(), encoding)
    cues = choice.transcript.cues
    return Document(
        path=path,
        inner=library.inner_path(source),
        sidecar=inner[choice.name] if choice.name is not None else b"",
        stamp=stamp,
        size=source.identity.size,
        mtime_ns=source.identity.mtime_ns,
        duration=round(seconds * 1000),
        names=names,
        cues=len(cues),
        parts=tuple(Part(pack(part), words(part)) for part in split(cues)),
    )
