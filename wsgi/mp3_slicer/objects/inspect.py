"""The doctor's questions to a store: does it answer, are its ranges and ETags right, If-Match, and what is shared there."""

import time
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple, cast

from mp3_slicer.media.source import SourceArchivedError, SourceMissingError, SourceUnavailableError
from mp3_slicer.mp3 import SourceChangedError
from mp3_slicer.objects.choose import library_of
from mp3_slicer.objects.client import Client
from mp3_slicer.objects.library import ObjectLibrary
from mp3_slicer.objects.results import bucket_results
from mp3_slicer.objects.shared import BucketIndexes, shared_indexes
from mp3_slicer.settings import Settings

#: A path that names no object, where there is no list to take one from.
_NOBODY = b"slicer-doctor.mp3"


class Finding(NamedTuple):
    """One thing that was asked: whether it is well, what was seen, and what to do where it is not."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def inspect(settings: Settings) -> list[Finding]:
    """Ask the stores that the settings name, for media, shared indexes and shared results."""
    found = _media(settings) if settings.is_remote else []
    if found and not found[0].ok:
        return found
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    if settings.shared_indexes:
        found += _indexes(shared_indexes(settings, threads=1, told=quiet, warn=quiet))
    if settings.shared_results:
        found.append(_place("shared results", bucket_results(settings, seconds=60, threads=1, told=quiet).check))
    return found


def _indexes(shared: BucketIndexes) -> list[Finding]:
    """Return what can be done with shared indexes, and whether the store lets one slicer build while others wait."""
    found = _place("shared indexes", shared.check)
    if not found.ok or shared.trouble:
        return [found]
    detail = "honoured" if shared.has_claims() else "not honoured; slicers that miss an index at once each build it"
    return [found, Finding("If-None-Match", True, detail)]


def _place(name: str, check: Callable[[], str]) -> Finding:
    """Return what can be done at a place that is shared."""
    try:
        trouble = check()
    except SourceUnavailableError as error:
        return Finding(name, False, error.strerror or "", "see docs/objects.md on what is shared")
    return Finding(name, True, f"read only: {trouble}" if trouble else "can be read and written")


def _media(settings: Settings) -> list[Finding]:
    """Ask the store of the media."""
    try:
        library = cast("ObjectLibrary", library_of(settings))
        began = time.monotonic()
        first = next(islice(library.list(), 1), None) if library.can_list else None
        path = _NOBODY if first is None else first.path
        found = [Finding("store", True, f"{library.client.address.netloc} answers")]
        version = library.client.open(path)
        found[0] = Finding("store", True, f"{found[0].detail} in {1000 * (time.monotonic() - began):.0f} ms")
        if version.size:
            library.client.fetch(path, version, version.size // 2, version.size // 2 + 1)
            found += [Finding("ranges and ETags", True, "as they must be"), _if_match(library.client, path)]
    except SourceMissingError:
        found += [Finding("ranges and ETags", True, "not looked at: there is no MP3 file to ask for")]
    except SourceArchivedError as error:
        found += [Finding("ranges and ETags", True, f"not looked at: {error}")]
    except SourceChangedError as error:
        return [Finding("ranges and ETags", False, str(error), "ask again: an object is being replaced")]
    except SourceUnavailableError as error:
        return [Finding("store", False, error.strerror or "", "see docs/objects.md on endpoint, credentials, ETags")]
    return found


def _if_match(client: Client, path: bytes) -> Finding:
    """Return what the store does with If-Match. Nothing of it is wrong: each answer is checked in any case."""
    if not client.matches:
        return Finding("If-Match", True, "refused where it is right, and so no longer sent")
    return Finding(
        "If-Match", True, "honoured" if client.honours_match(path) else "ignored; ETags are compared instead"
    )
