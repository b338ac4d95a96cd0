"""Indexes of many files, before they are asked for."""

from collections.abc import Callable
from typing import NamedTuple

from mp3_slicer.errors import reason_of
from mp3_slicer.media.library import Catalog
from mp3_slicer.media.source import Source, SourceMissingError
from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import UnsupportedMp3Error

#: Seconds of a try, and tries for a file.
TRY_SECONDS, _TRIES = 3600, 24


class Indexed(NamedTuple):
    """What became of a file."""

    path: bytes
    complaint: str  #: why it cannot be indexed; empty for nothing
    is_new: bool  #: whether it had no index before
    unshared: str | None = None  #: why its index is not shared; empty where it is, None where none are


def index_batch(
    library_of: Callable[[], Catalog], indexes_of: Callable[[], IndexStore], largest: int, paths: list[bytes]
) -> list[Indexed]:
    """Index files of a library, of at most `largest` bytes each. Errors are part of the result."""
    library, store = library_of(), indexes_of()
    found: list[Indexed] = []
    for path in paths:
        try:
            found.append(_indexed(library, store, path, largest))
        except SourceMissingError:
            found.append(Indexed(path, "it is gone or cannot be read", False))
        except Exception as error:  # of any kind: one file never ends the work on the others
            found.append(Indexed(path, reason_of(error), False))
    return found


def _share(store: IndexStore, source: Source) -> str | None:
    """Share the index of a source; returns as `unshared` has it."""
    if store.shared is None:
        return None
    return "" if store.share(source) else store.shared.trouble or "it changes at the moment"


def _indexed(library: Catalog, store: IndexStore, path: bytes, largest: int) -> Indexed:
    with library.open(path) as source:
        if source.identity.size > largest:
            return Indexed(path, f"it is larger than {largest} bytes", False)
        known = store.is_indexed(source)
        if not known:
            _index_to_the_end(store, source)
            # The store also answers without writing; here an index must be written.
            if not store.is_indexed(source):
                return Indexed(path, "its index cannot be stored", False)
        return Indexed(path, "", not known, _share(store, source))


def _index_to_the_end(store: IndexStore, source: Source) -> None:
    """Index a file however long that takes, within a day. Raises UnsupportedMp3Error after that."""
    for _ in range(_TRIES):
        try:
            store.get(source)
            return
        except IndexPendingError:
            continue  # with what was walked, where that could be stored
    raise UnsupportedMp3Error("it could not be read to its end within a day")
