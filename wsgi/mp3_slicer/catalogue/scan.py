"""Finds what the catalogue must hold: what is there now, and what is in it. Done by the command that indexes, never in a request."""

from collections.abc import Iterable
from typing import NamedTuple

from mp3_slicer.catalogue.build import Seen
from mp3_slicer.catalogue.documents import Document, Stamps, Unread, read_document
from mp3_slicer.errors import parsed, reason_of
from mp3_slicer.media.library import Entry, Library
from mp3_slicer.media.protected import Protected
from mp3_slicer.media.sidecars import Sidecars
from mp3_slicer.media.source import Source, SourceMissingError
from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import Mp3Error

#: Seconds that the index of a file may take where it is missing.
_SECONDS = 60


class Scan(NamedTuple):
    """Where to look. It can be sent to other processes."""

    media: str
    index_dir: str
    encoding: str  #: of transcripts that are not UTF-8
    protected: tuple[bytes, ...]  #: folders whose files need signed URLs


def seen(scan: Scan, entries: Iterable[Entry]) -> list[Seen]:
    """The sources that are there, by a list of them."""
    stamps = Stamps(Library(scan.media))
    return [Seen(each.path, stamps.of(each.path, each.size, each.mtime_ns), each.mtime_ns) for each in entries]


class Batch(NamedTuple):
    """What became of some sources."""

    documents: list[Document]
    unread: list[Unread]


def read_batch(scan: Scan, batch: list[Seen]) -> Batch:
    """What the catalogue stores of some sources. Those that cannot be read are left out, and read by the next run."""
    library = Library(scan.media)
    sidecars = Sidecars(library, Protected(scan.media, scan.protected))
    store = IndexStore(scan.index_dir, seconds=_SECONDS)
    made = Batch([], [])
    for each in batch:
        try:
            with library.open(each.path) as source:
                seconds = _seconds(store, source)
                document, unread = read_document(
                    library, sidecars, source, each.path, each.stamp, scan.encoding, seconds
                )
        except SourceMissingError:
            continue  # it is gone since it was listed
        except Exception as error:  # of any kind: one file never ends the work on the others
            made.unread.append(Unread(each.path, reason_of(error), is_source=True))
            continue
        made.documents.append(document)
        made.unread.extend(unread)
    return made


def _seconds(store: IndexStore, source: Source) -> float:
    """The duration of a source; 0 for one that cannot be cut."""
    try:
        return parsed(lambda: float(store.get(source).seconds), 0.0)[0]
    except (Mp3Error, IndexPendingError):
        return 0.0
