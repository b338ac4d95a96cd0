"""CPU of a ranged GET of 160 KB by this client (urllib3, botocore's signer) and by obstore, by turns, on SeaweedFS on loopback.

obstore is no dependency: install it beside the tests first (`pip install obstore`). Ratios of one run.
"""

import os
import random
import sys
import time
from collections.abc import Callable

import obstore
from obstore.store import S3Store
from report import Report

from mp3_slicer.objects.choose import library_of
from mp3_slicer.objects.library import ObjectLibrary
from mp3_slicer.settings import Settings
from support.store import BUCKET, SECRET, Store, stored

GETS, TURNS, BYTES, SIZE = 500, 5, 160_000, 32 << 20


def own(store: Store) -> Callable[[int], bytes]:
    """Return what reads a range by this client, which checks each answer."""
    os.environ.update(store.environ)
    library = library_of(Settings.from_environ({**store.environ, "SLICER_MEDIA": store.media}))
    assert isinstance(library, ObjectLibrary)
    version = library.client.open(b"show.mp3")
    return lambda low: library.client.fetch(b"show.mp3", version, low, low + BYTES)


def theirs(store: Store) -> Callable[[int], bytes]:
    """Return what reads a range by obstore, with If-Match and a look at the ETag."""
    options = {"endpoint": store.url, "access_key_id": store.key, "secret_access_key": SECRET, "region": "us-east-1"}
    place = S3Store(BUCKET, **options, client_options={"allow_http": True})
    tag = obstore.head(place, "shows/show.mp3")["e_tag"]

    def read(low: int) -> bytes:
        found = obstore.get(place, "shows/show.mp3", options={"range": (low, low + BYTES), "if_match": tag})
        assert found.meta["e_tag"] == tag
        return bytes(found.bytes())

    return read


def measure(read: Callable[[int], bytes], starts: list[int]) -> tuple[float, float]:
    """Milliseconds of CPU and of time for each range."""
    before, began = os.times(), time.perf_counter()
    for low in starts:
        assert len(read(low)) == BYTES
    after, count = os.times(), len(starts)
    cpu = after.user + after.system - before.user - before.system
    return 1000 * cpu / count, 1000 * (time.perf_counter() - began) / count


def main() -> None:
    report = Report("clients")
    starts = random.Random(1).sample(range(SIZE - BYTES), GETS)
    with stored({"show.mp3": random.Random(2).randbytes(SIZE)}) as store:
        ways = {"urllib3 and botocore": own(store), "obstore": theirs(store)}
        assert len({read(starts[0]) for read in ways.values()}) == 1
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(TURNS):
            for name, read in ways.items():
                found[name].append(measure(read, starts[turn::TURNS]))
        for name, values in found.items():
            report.row(f"a ranged GET of 160 KB, {name}: CPU", [cpu for cpu, _ in values], "ms")
            report.row(f"a ranged GET of 160 KB, {name}: time", [taken for _, taken in values], "ms")
    report.write()


if __name__ == "__main__":
    sys.exit(main())
