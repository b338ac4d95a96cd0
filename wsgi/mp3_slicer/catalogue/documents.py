"""What the catalogue stores of a file: read from the file, its tags, and its sidecars."""

from collections.abc import Iterable
from typing import NamedTuple

from mp3_slicer.catalogue.parts import pack, split, words
from mp3_slicer.errors import parsed
from mp3_slicer.media.library import Catalog
from mp3_slicer.media.protected import UNSIGNED
from mp3_slicer.media.sidecars import Sidecars
from mp3_slicer.media.source import Source
from mp3_slicer.pictures import Pictures
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
    beside: frozenset[bytes] | None = (
        None  #: the paths of its sidecars, and of its folder's pictures; None: they are looked for
    )


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
    cover: bytes  #: where the picture really lies; empty without one
    cues: int
    parts: tuple[Part, ...]


class Unread(NamedTuple):
    """What cannot be read: a source, or a file beside it."""

    path: bytes
    detail: str  #: why
    is_source: bool  #: whether it is a source, which is then left out


def read_document(
    library: Catalog, sidecars: Sidecars, source: Source, seen: Seen, encoding: str, seconds: float
) -> tuple[Document, list[Unread]]:
    """All of an open source, which lasts so many `seconds`, and what of it and beside it cannot be read.

    Raises OSError where the media cannot be read.
    """
    path = seen.path
    read = in_blocks(source.read)
    tags, reason = parsed(lambda: read_tags(read, source.identity.size), Tags(Names(), ()))
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
    pictured = Pictures(sidecars).look(path, source, UNSIGNED, read, seen.beside, seen.beside)
    document = Document(
        path=path,
        inner=library.inner_path(source),
        sidecar=inner[choice.name] if choice.name is not None else b"",
        stamp=seen.stamp,
        size=source.identity.size,
        mtime_ns=source.identity.mtime_ns,
        duration=round(seconds * 1000),
        names=tags.names,
        cover=b"" if pictured is None else pictured.inner or library.inner_path(source),
        cues=len(cues),
        parts=tuple(Part(pack(part), words(part)) for part in split(cues)),
    )
    return document, unread
