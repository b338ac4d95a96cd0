"""What the catalogue stores of a file: read from the file, its tags, and its sidecars."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from mp3_slicer.catalogue.parts import pack, split, words
from mp3_slicer.catalogue.schema import stored_time
from mp3_slicer.errors import parsed
from mp3_slicer.media.library import Catalog, Entry, Library, is_safe
from mp3_slicer.media.protected import UNSIGNED
from mp3_slicer.media.sidecars import Sidecars, names
from mp3_slicer.media.source import Source
from mp3_slicer.tags import Names, Tags, in_blocks, read_tags
from mp3_slicer.transcripts import ENDINGS, MOST_BYTES, choose


class Part(NamedTuple):
    """Half an hour of a transcript."""

    cues: bytes  #: packed
    said: str  #: its words, folded


class Seen(NamedTuple):
    """A source that is there now."""

    path: bytes
    stamp: str
    mtime_ns: int
    beside: frozenset[bytes] | None = None  #: the paths of its sidecars; None: they are looked for


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


class Unread(NamedTuple):
    """What cannot be read: a source, or a file beside it."""

    path: bytes
    detail: str  #: why
    is_source: bool  #: whether it is a source, which is then left out


class KeyStamps:
    """Tells objects and sidecars that changed, by what their store lists of them."""

    def __init__(self) -> None:
        self._beside: dict[bytes, str] = {}

    def hear(self, entry: Entry) -> None:
        """Note an object that is no source."""
        if entry.path.endswith(ENDINGS) and is_safe(entry.path):
            self._beside[entry.path] = _version(entry)

    def of(self, entry: Entry) -> tuple[str, frozenset[bytes]]:
        """The stamp of a source, and the paths of its sidecars. Everything is listed by now."""
        there = [name for name, _ in names(entry.path, ENDINGS) if name in self._beside]
        return " ".join((_version(entry), *(self._beside[name] for name in there))), frozenset(there)


def _version(entry: Entry) -> str:
    return f"{entry.size}.{entry.mtime_ns}.{entry.tag}"


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
    library: Catalog, sidecars: Sidecars, source: Source, seen: Seen, encoding: str, seconds: float
) -> tuple[Document, list[Unread]]:
    """All of an open source, which lasts so many `seconds`, and what of it and beside it cannot be read.

    Raises OSError where the media cannot be read.
    """
    path = seen.path
    tags, reason = parsed(lambda: read_tags(in_blocks(source.read), source.identity.size), Tags(Names(), ()))
    unread = [Unread(path, reason, False)] if reason else []
    inner: dict[str, bytes] = {}

    def each() -> Iterable[tuple[str, bytes, bytes]]:
        for found in sidecars.read(path, ENDINGS, UNSIGNED, MOST_BYTES, seen.beside):
            inner[found.name] = found.inner
            yield found.name, found.ending, found.data

    choice = choose(each(), encoding)
    cues = choice.transcript.cues
    folder = path[: path.rfind(b"/") + 1]
    # A file with cues and flaws is read; /info names the flaws.
    flaws = {name: flaw.detail for name, flaw in reversed(choice.flaws) if name != choice.name}
    unread += [Unread(folder + name.encode(), detail, False) for name, detail in reversed(flaws.items())]
    document = Document(
        path=path,
        inner=library.inner_path(source),
        sidecar=inner[choice.name] if choice.name is not None else b"",
        stamp=seen.stamp,
        size=source.identity.size,
        mtime_ns=stored_time(source.identity.mtime_ns),
        duration=round(seconds * 1000),
        names=tags.names,
        cues=len(cues),
        parts=tuple(Part(pack(part), words(part)) for part in split(cues)),
    )
    return document, unread
