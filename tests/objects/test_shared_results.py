"""Results that servers and workers share in a bucket of a real store (SeaweedFS): made once, and found by every machine."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mp3_slicer.jobs.work import Maker, NoRoomError
from mp3_slicer.objects.choose import results_place_of
from mp3_slicer.render import PeaksRequest, Results
from mp3_slicer.render.shared import SharedResults, store_of
from mp3_slicer.render.version import etag_of
from mp3_slicer.settings import Settings
from support.exposition import parse, value
from support.jobs import broker_of, place_of
from support.server import Server, folder, publish, serving, until
from support.store import Store

SHARED = "s3://audio/results"
KEY = hashlib.sha1(b"a result", usedforsecurity=False).hexdigest()


@pytest.fixture
def media(cbr: str) -> str:
    """A folder with one file, whose name no other test has."""
    place = folder()
    publish(Path(cbr).read_bytes(), f"{place}/{os.path.basename(place)}.mp3")
    return place


@pytest.fixture
def machine(store: Store, media: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Make the settings of one more machine, with folders of its own."""

    def new(**more: str) -> Settings:
        for name, text in {**store.environ, **more}.items():
            monkeypatch.setenv(name, text)
        place = folder()
        folders = {f"SLICER_{name}_DIR": f"{place}/{name.lower()}" for name in ("INDEX", "RESULTS", "SCRATCH")}
        return Settings.from_environ(
            {**store.environ, "SLICER_MEDIA": media, "SLICER_SHARED_RESULTS": SHARED, **folders, **more}
        )

    return new


def results(settings: Settings, *, strict: bool = False) -> SharedResults:
    place = results_place_of(settings, seconds=settings.render_seconds)
    made = store_of(settings.results_dir, max_bytes=settings.results_bytes, place=place, strict=strict)
    made.prepare()
    assert isinstance(made, SharedResults)
    return made


def pieces(data: bytes) -> Iterator[bytes]:
    return (data[begin : begin + 70_000] for begin in range(0, len(data), 70_000))


def outcomes(server: Server) -> tuple[float, float]:
    """Results that were found, and that were made."""
    found = parse(server.get("/metrics")[2].decode())
    kept, made = (value(found, "slicer_results_total", outcome=each) for each in ("kept", "made"))
    return kept, made


def until_counted(server: Server, expected: tuple[float, float]) -> None:
    until(lambda: outcomes(server) == expected, 30, "results are counted")


@pytest.mark.parametrize("target", ["/renders/NAME.wav?t=1,2", "/peaks/NAME.json?t=0,20&pixels=100"])
def test_what_one_server_made_another_finds(store: Store, media: str, target: str) -> None:
    target = target.replace("NAME", os.path.basename(media))
    answers = []
    for number in range(2):
        environ = {**store.environ, "SLICER_SHARED_RESULTS": SHARED}
        with serving(media, "--cpus", "1", environ=environ) as running:
            status, headers, body = running.get(target)
            assert status == 200
            answers.append((headers["etag"], headers["content-type"], body))
            until_counted(running, (number, 1 - number))
            assert running.get(target, Range="bytes=10-99")[::2] == (206, body[10:100])
            # Then it lies on local disk.
            before = value(parse(running.get("/metrics")[2].decode()), "slicer_shared_requests_total")
            assert running.get(target)[2] == body
            assert value(parse(running.get("/metrics")[2].decode()), "slicer_shared_requests_total") == before
    assert answers[0] == answers[1]


def test_a_worker_elsewhere_makes_what_the_server_sends(store: Store, media: str) -> None:
    url = f"/renders/{os.path.basename(media)}.opus?t=0,20"
    environ = {**store.environ, "SLICER_SHARED_RESULTS": SHARED}
    elsewhere = folder()
    apart = {f"SLICER_{name}_DIR": f"{elsewhere}/{name.lower()}" for name in ("INDEX", "RESULTS", "SCRATCH")}
    if os.geteuid() == 0:
        shutil.chown(elsewhere, "www-data", "www-data")
    with broker_of() as broker, place_of(media, broker) as place:
        place.worker("--short", "1", "--long", "1", **environ, **apart)
        with serving(media, "--cpus", "1", environ={**place.environ, **environ}) as running:
            status, headers, _ = running.get(url, Prefer="respond-async")
            assert status == 202
            job = headers["location"]
            until(lambda: running.get(job)[0] == 303, 60, "the job is done")
            status, _, body = running.get(url)
            assert (status, body[:4]) == (200, b"OggS")
            until(lambda: outcomes(running)[0] > 0, 30, "the result was found")
            assert outcomes(running)[1] == 0
            assert os.listdir(f"{elsewhere}/results")


@pytest.mark.parametrize("size", [0, 1, 4095, 70_000, 3_000_000])
def test_a_result_is_the_same_elsewhere(machine: Callable[..., Settings], size: int) -> None:
    data = os.urandom(size)
    key = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    stored = results(machine()).put(key, {"content_type": "audio/x", "etag": etag_of([data])}, pieces(data))
    assert stored is not None
    there = results(machine())
    for _ in range(2):
        found = there.get(key)
        assert found is not None
        assert (found.read(), found.facts) == (data, stored.facts)
        found.close()
    stored.close()
    there.drop(key)
    assert there.partials.get(key) is None


def _damage(how: str, data: bytes) -> bytes:
    return {
        "cut short": data[:-1],
        "longer": data + b"x",
        "changed": data[:-1] + bytes([data[-1] ^ 1]),
        "empty": b"",
        "of another name": data.replace(KEY.encode(), KEY[::-1].encode()),
        "foreign": b"<html>" * 1000,
        "no facts": b"%019d\n[]\n" % 3 + b"abc",
    }[how]


@pytest.mark.parametrize("how", ["cut short", "longer", "changed", "empty", "of another name", "foreign", "no facts"])
def test_what_is_wrong_is_made_again(
    store: Store, machine: Callable[..., Settings], caplog: pytest.LogCaptureFixture, how: str
) -> None:
    data = b"a result" * 9000
    facts = {"etag": etag_of([data])}
    one, two = results(machine()), results(machine())
    stored = one.put(KEY, facts, pieces(data))
    assert stored is not None
    stored.close()
    local = Path(one.partials.path(KEY)).read_bytes()
    assert store.ask("PUT", f"/audio/results/{KEY}", _damage(how, local)) == 200
    assert two.get(KEY) is None
    assert "a shared result is made again" in caplog.text
    assert [name for name in os.listdir(os.path.dirname(two.partials.path(KEY))) if name != "account"] == []
    # A worker that has it on its own disk stores it once more.
    found = SharedResults(one.partials, one._place, strict=True).get(KEY)
    assert found is not None
    found.close()
    found = two.get(KEY)
    assert found is not None
    assert found.read() == data
    found.close()


def test_of_a_worker_that_may_not_write_no_job_is_done(
    store: Store, reader: Mapping[str, str], machine: Callable[..., Settings], media: str
) -> None:
    settings = machine(**reader)
    strict, lenient = results(settings, strict=True), results(settings)
    key = hashlib.sha1(os.urandom(9), usedforsecurity=False).hexdigest()
    assert strict.put(key, {"etag": etag_of([b"x"])}, [b"x"]) is None
    # A server has it on its own disk and sends it; to a worker it is not made.
    found = lenient.get(key)
    assert found is not None
    assert found.read() == b"x"
    found.close()
    assert strict.get(key) is None
    maker = Maker(settings)
    maker.prepare()
    with pytest.raises(NoRoomError):
        maker.draw(os.fsencode(f"{os.path.basename(media)}.mp3"), _overview())
    # Once it may, what it has is stored without being made again.
    again = Maker(machine(SLICER_RESULTS_DIR=settings.results_dir))
    assert again.draw(os.fsencode(f"{os.path.basename(media)}.mp3"), _overview()) is False


def _overview() -> PeaksRequest:
    return PeaksRequest.parse("dat", (("t", "0"), ("pixels", "20000"), ("bits", "8")))


def test_what_was_stored_before_results_were_shared_is_made_again_by_workers(machine: Callable[..., Settings]) -> None:
    settings = machine()
    local = Results(settings.results_dir, max_bytes=settings.results_bytes)
    local.prepare()
    key = hashlib.sha1(os.urandom(9), usedforsecurity=False).hexdigest()
    stored = local.put(key, {"etag": etag_of([b"x"])}, [b"x"])
    assert stored is not None
    stored.close()
    assert results(settings, strict=True).get(key) is None
    found = results(settings).get(key)
    assert found is not None
    found.close()


def test_a_server_that_may_not_write_logs_one_line(store: Store, reader: Mapping[str, str], media: str) -> None:
    name = os.path.basename(media)
    environ = {**store.environ, "SLICER_SHARED_RESULTS": SHARED, **reader}
    with serving(media, "--cpus", "1", environ=environ) as running:
        for end in (2, 3, 4):
            assert running.get(f"/renders/{name}.wav?t=1,{end}")[0] == 200
            assert running.get(f"/renders/{name}.wav?t=1,{end}")[0] == 200
        said = "shared results cannot be stored, going on without: the store answers 403 AccessDenied"
        until(lambda: said in running.log(), 30, "the log tells it")
        assert running.log().count("shared results") == 1
        until_counted(running, (3, 3))


def test_a_store_that_is_down_costs_a_render(machine: Callable[..., Settings]) -> None:
    down = results(machine(SLICER_OBJECTS_ENDPOINT="http://127.0.0.1:9"))
    began = time.monotonic()
    for _ in range(8):
        assert down.get(KEY) is None
    stored = down.put(KEY, {"etag": etag_of([b"x"])}, [b"x"])
    assert stored is not None
    stored.close()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("who", "line"),
    [
        ("owner", "shared results can be read and written"),
        ("reader", "shared results read only: the store answers 403"),
    ],
)
def test_the_doctor_asks_for_them(
    store: Store, media: str, who: str, line: str, request: pytest.FixtureRequest
) -> None:
    more = request.getfixturevalue("reader") if who == "reader" else {}
    run = [sys.executable, "-m", "mp3_slicer", "doctor", media]
    environ = {**os.environ, **store.environ, "SLICER_SHARED_RESULTS": SHARED, **more}
    done = subprocess.run(run, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert f"ok {line}" in " ".join(done.stdout.split()), done.stdout + done.stderr
