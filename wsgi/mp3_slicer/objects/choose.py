"""The library that the settings name: a folder, a bucket or an origin. Whatever asks for sources asks here."""

import logging
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from mp3_slicer.media.library import Catalog, Library
from mp3_slicer.media.store import IndexStore
from mp3_slicer.settings import Settings

if TYPE_CHECKING:
    from mp3_slicer.objects.results import BucketResults

_LOG = logging.getLogger("slicer")


def _untold(*_: object) -> None:
    """Is told and does nothing."""


def library_of(
    settings: Settings,
    names_dir: str | None = None,
    *,
    threads: int = 1,
    told: Callable[[str, float, int], None] = _untold,
) -> Catalog:
    """The library. `names_dir` is for a folder; `threads` ask a store, and `told` hears of each request to it.

    Raises StoreError where a file that a store needs cannot be read.
    """
    if not settings.is_remote:
        return Library(settings.media, names_dir)
    # With media in a folder no HTTP client is loaded.
    from mp3_slicer.objects.address import Address
    from mp3_slicer.objects.client import Client
    from mp3_slicer.objects.library import ObjectLibrary
    from mp3_slicer.objects.signer import FieldSigner, Signer, field_signer, s3_signer

    signer: Signer
    if settings.media.startswith("s3:"):
        signer, region = s3_signer(settings.objects_region)
        address = Address.of(settings, region)
    else:
        address = Address.of(settings)
        signer = field_signer(settings.objects_header) if settings.objects_header else FieldSigner({})
    client = Client(
        address, signer, seconds=float(settings.objects_seconds), threads=threads, ca=settings.objects_ca, told=told
    )
    return ObjectLibrary(client)


def indexes_of(
    settings: Settings,
    *,
    seconds: Fraction | float,
    whole_bytes: int | None = None,
    threads: int = 1,
    told: Callable[[str, float, int], None] = _untold,
    warn: Callable[[str], object] = _LOG.warning,
) -> IndexStore:
    """The indexes on disk, and those that are shared where the settings name a place. `told` hears of each request to that.

    `seconds` and `whole_bytes` are those of IndexStore; `warn` is told once of each trouble with shared indexes.
    """
    shared = None
    if settings.shared_indexes:
        from mp3_slicer.objects.shared import shared_indexes

        shared = shared_indexes(settings, threads=threads, told=told, warn=warn)
    return IndexStore(settings.index_dir, seconds=seconds, whole_bytes=whole_bytes, shared=shared)


def results_place_of(
    settings: Settings,
    *,
    seconds: Fraction,
    threads: int = 1,
    told: Callable[[str, float, int], None] = _untold,
) -> "BucketResults | None":
    """The place of shared results, None where the settings name none. A result may take `seconds` to come from there."""
    if not settings.shared_results:
        return None
    from mp3_slicer.objects.results import bucket_results

    return bucket_results(settings, seconds=float(seconds), threads=threads, told=told)
