"""Finds what the catalogue must hold: what is there now, and what is in it. Done by the command that indexes, never in a request."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mp3_slicer.catalogue.documents import Document, Seen, Unread, read_document
from mp3_slicer.errors import parsed, reason_of
from mp3_slicer.media.library import Catalog, Entry
from mp3_slicer.media.protected import Protected
from mp3_slicer.media.sidecars import Sidecars, names
from mp3_slicer.media.source import Source, SourceMissingError
from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import Mp3Error
from mp3_slicer.pictures import picture_names
from mp3_slicer.tags import COVER_ENDINGS
from mp3_slicer.transcripts import ENDINGS

#: Seconds that the index of a file may take where it is missing.
_SECONDS = 60


class Scan(NamedTuple):
    """Where to look. It can be sent to other processes."""

    library: Callable[[], Catalog]
    protected: Callable[[], Protected]  #: folders whose files need signed URLs
    index_dir: str
    encoding: str  #: of transcripts that are not UTF-8


class Listed:
    """The sources of a library, and what lies beside them. In memory, each takes half a kilobyte."""

    def __init__(self, library: Catalog) -> None:
        self._inventory = library.inventory((*ENDINGS, *COVER_ENDINGS))
        self._entries: list[Entry] = []

    def sources(self) -> Iterator[Entry]:
        """List them, once."""
        for entry in self._inventory.sources():
            self._entries.append(entry)
            yield entry

    def seen(self) -> list[Seen]:
        """All that was listed, as it is now."""
        return [self._one(entry) for entry in self._entries]

    def _one(self, entry: Entry) -> Seen:
        beside = [name for name, _ in names(entry.path, ENDINGS)]
        there = self._inventory.versions([*beside, *picture_names(entry.path)])
        stamp = " ".join((f"{entry.size}.{entry.mtime_ns}.{entry.tag}", *there.values()))
        return Seen(entry.path, stamp, entry.mtime_ns, frozenset(there))


class Batch(NamedTuple):
    """What became of some sources."""

    documents: list[Document]
    unread: list[Unread]


def read_batch(scan: Scan, batch: list[Seen]) -> Batch:
    """What the catalogue stores of some sources. Those that cannot be read are left out, and read by the next run."""
    library = scan.library()
    sidecars = Sidecars(library, scan.protected())
    store = IndexStore(scan.index_dir, seconds=_SECONDS)
    made = Batch([], [])
    for each in batch:
        try:
            with library.open(each.path) as source:
                seconds = _seconds(store, source)
                document, unread = read_document(library, sidecars, source, each, scan.encoding, seconds)
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
