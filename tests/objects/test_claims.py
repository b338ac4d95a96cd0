"""Slicers that miss the shared index of an object at the same moment: one builds it, and no dead one holds the others up for long."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import Mp3Error
from mp3_slicer.objects.choose import indexes_of, library_of
from mp3_slicer.objects.claims import ALIVE_SECONDS, LEAST_BYTES, walked_of
from mp3_slicer.objects.shared import BucketIndexes
from mp3_slicer.settings import Settings
from support.cutting import index_of
from support.server import folder
from support.store import Store

SLICERS, OBJECTS = 2, 4
CLAIM = b"slicer claim %d\n"
#: Seconds within which all slicers have an index, on a busy machine.
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def data(cbr: str) -> bytes:
    """An MP3 file that is worth a claim."""
    whole = Path(cbr).read_bytes()
    return whole * (2 * LEAST_BYTES // len(whole) + 1)


@pytest.fixture
def settings(store: Store, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, text in store.environ.items():
        monkeypatch.setenv(name, text)
    return Settings.from_environ(
        {**store.environ, "SLICER_MEDIA": store.media, "SLICER_SHARED_INDEXES": "s3://audio/claimed"}
    )


def machine(settings: Settings, seconds: float = WAIT_SECONDS) -> IndexStore:
    """The indexes of one more machine."""
    made = indexes_of(Settings.from_environ({**settings.to_environ(), "SLICER_INDEX_DIR": folder()}), seconds=seconds)
    made.prepare()
    return made


def shared_of(indexes: IndexStore) -> BucketIndexes:
    assert isinstance(indexes.shared, BucketIndexes)
    return indexes.shared


def _slicer(
    environ: Mapping[str, str], names: list[bytes], barrier: Barrier, said: "Queue[list[tuple[str, int]]]"
) -> None:
    """One slicer: find each index when all others do; say where each came from, and the bytes of media that were read for it."""
    settings = Settings.from_environ(environ)
    read = [0]

    def told(_: str, __: float, count: int) -> None:
        read[0] += count

    library, indexes = library_of(settings, told=told), machine(settings)
    found = []
    for name in names:
        source = library.open(name)
        read[0] = 0
        barrier.wait(WAIT_SECONDS)
        found.append((indexes.find(source)[1], read[0]))
    said.put(found)


def test_of_slicers_that_miss_it_at_once_one_reads_the_object(store: Store, settings: Settings, data: bytes) -> None:
    names = [b"claimed/%d.mp3" % number for number in range(OBJECTS)]
    for name in names:
        store.put(name.decode(), data)
    context = multiprocessing.get_context("spawn")
    barrier, said = context.Barrier(SLICERS), context.Queue()
    arguments = (settings.to_environ(), names, barrier, said)
    slicers = [context.Process(target=_slicer, args=arguments) for _ in range(SLICERS)]
    for each in slicers:
        each.start()
    found = [said.get(timeout=WAIT_SECONDS) for _ in slicers]
    for each in slicers:
        each.join(WAIT_SECONDS)
    for both in zip(*found, strict=True):
        if not store.has_claims:
            assert {origin for origin, _ in both} <= {"built", "shared"}
            continue
        assert sorted(origin for origin, _ in both) == ["built"] + ["shared"] * (SLICERS - 1)
        # The whole object once, and nothing by those that waited.
        assert len(data) <= sum(count for _, count in both) < 1.5 * len(data)


def test_a_claim_is_waited_for_as_long_as_it_is_young(store: Store, settings: Settings, data: bytes, cbr: str) -> None:
    store.put("dead.mp3", data)
    source = library_of(settings).open(b"dead.mp3")
    hasty, patient = machine(settings, seconds=1), machine(settings)
    shared, name = shared_of(hasty), hasty.name_of(source.identity.path)
    shared._client.put(shared._key(name), CLAIM % (len(data) // 2))
    began = time.monotonic()
    with pytest.raises(IndexPendingError) as caught:
        hasty.find(source)
    assert time.monotonic() - began < ALIVE_SECONDS, "no longer than a request may take"
    assert caught.value.progress == pytest.approx(0.5, abs=0.01)
    # Its slicer is gone: the claim is not put again.
    assert patient.find(source)[1] == "built"
    assert ALIVE_SECONDS - 2 < time.monotonic() - began < 10 * ALIVE_SECONDS
    assert machine(settings).find(source)[1] == "shared"
    assert index_of(cbr).segments[0].header == machine(settings).find(source)[0].segments[0].header


def test_an_object_that_cannot_be_indexed_leaves_no_claim(store: Store, settings: Settings) -> None:
    store.put("noise.mp3", bytes(LEAST_BYTES + 1))
    source = library_of(settings).open(b"noise.mp3")
    indexes = machine(settings)
    with pytest.raises(Mp3Error):
        indexes.find(source)
    assert shared_of(indexes).get(indexes.name_of(source.identity.path)) is None


def test_a_build_that_runs_out_of_time_keeps_its_claim_and_goes_on(
    store: Store, settings: Settings, data: bytes
) -> None:
    store.put("slow.mp3", data)
    source = library_of(settings).open(b"slow.mp3")
    indexes = machine(settings, seconds=0.001)
    with pytest.raises(IndexPendingError):
        indexes.find(source)
    shared, name = shared_of(indexes), indexes.name_of(source.identity.path)
    claim = shared.get(name)
    assert (claim is not None and walked_of(claim) is not None) == store.has_claims
    indexes._seconds = WAIT_SECONDS
    began = time.monotonic()
    assert indexes.find(source)[1] == "built"
    assert time.monotonic() - began < ALIVE_SECONDS - 1, "its own claim is not waited for"
    assert machine(settings).find(source)[1] == "shared"


def test_the_doctor_says_whether_claims_work(store: Store, settings: Settings, cbr: str) -> None:
    store.put("show.mp3", Path(cbr).read_bytes())
    run = [sys.executable, "-m", "mp3_slicer", "doctor", store.media]
    done = subprocess.run(
        run, env={**os.environ, **settings.to_environ()}, capture_output=True, text=True, timeout=60, check=False
    )
    said = "honoured" if store.has_claims else "not honoured"
    assert f"ok If-None-Match {said}" in " ".join(done.stdout.split()), done.stdout + done.stderr
