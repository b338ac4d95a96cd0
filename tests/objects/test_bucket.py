"""A bucket of a real store (SeaweedFS), served by the real server: the same answers as those of a folder, and never of two versions."""

import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from os import environ, geteuid
from pathlib import Path

import pytest

from support.cutting import cut_bytes, index_of, span_of
from support.exposition import parse, value
from support.server import Server, folder, publish, serving, until
from support.store import Store, stored

ODD = "odd/ä b#?%+&=~.mp3"


@pytest.fixture(scope="module")
def show(store: Store, cbr: str) -> str:
    store.put("show.mp3", Path(cbr).read_bytes())
    return cbr


@pytest.fixture(scope="module")
def local(cbr: str) -> Iterator[Server]:
    """A server of a folder with the same file."""
    place = folder()
    publish(Path(cbr).read_bytes(), f"{place}/show.mp3")
    with serving(place, "--cpus", "1") as running:
        yield running


def numbers(server: Server) -> tuple[float, float]:
    """Requests that the store answered well, and bytes of media that it sent."""
    found = parse(server.get("/metrics")[2].decode())
    return (value(found, "slicer_store_requests_total", outcome="2xx"), value(found, "slicer_store_bytes_total"))


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/clips/show.mp3?t=3,13", {}),
        ("/clips/show.mp3?t=0,0.5", {}),
        ("/clips/show.mp3?t=11.5,20", {"Range": "bytes=100-40000"}),
        ("/clips/show.mp3?t=3,13", {"Range": "bytes=-10"}),
        ("/clips/show.mp3?t=3,13", {"Range": "bytes=99999999-"}),
        ("/clips/show.mp3?t=3,13", {"If-None-Match": "*"}),
        ("/clips/show.mp3?t=3,13", {"If-Match": '"other"'}),
        ("/clips/show.mp3", {}),
        ("/clips/show.mp3?t=30,40", {}),
        ("/clips/none.mp3?t=1,2", {}),
        ("/peaks/show.json?t=0,20&pixels=100", {}),
        ("/renders/show.wav?t=1,2&t=15,16", {}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_are_those_of_a_folder(
    server: Server, local: Server, show: str, target: str, fields: dict[str, str], method: str
) -> None:
    one, other = (each.get(target, method, **fields) for each in (server, local))
    assert one[0] == other[0]
    # An object's versions have other names.
    for _, headers, _ in (one, other):
        for name in ("date", "etag", "last-modified", "x-request-id"):
            headers.pop(name, None)
    if one[0] < 400 or one[0] == 404:
        assert one[1:] == other[1:]


def test_a_clip_of_a_known_source_is_one_request(server: Server, show: str) -> None:
    want = cut_bytes(show, span_of(index_of(show), 2, 12))[1]
    until(lambda: _reads(server, "/clips/show.mp3?t=2,12", want) <= 1, 60, "all processes know the source")
    before = numbers(server)
    for _ in range(10):
        status, headers, body = server.get("/clips/show.mp3?t=2,12")
        assert (status, body) == (200, want)
    after = numbers(server)
    assert after[0] - before[0] == 10
    assert after[1] - before[1] <= 1.25 * 10 * len(want)
    assert server.get("/clips/show.mp3?t=2,12", If_None_Match=headers["etag"])[0] == 304


def _reads(server: Server, target: str, want: bytes) -> float:
    before = numbers(server)[0]
    for _ in range(8):
        assert server.get(target)[2] == want
    return (numbers(server)[0] - before) / 8


def test_a_long_clip_streams(server: Server, store: Store, cbr: str) -> None:
    data = Path(cbr).read_bytes()
    path = f"{folder()}/long.mp3"
    publish(data + data[2000:] * 9, path)
    store.put("long.mp3", Path(path).read_bytes())
    want = cut_bytes(path, span_of(index_of(path), 1, 150))[1]
    assert len(want) > 2 << 20
    assert server.get("/clips/long.mp3?t=1,150")[2] == want
    assert server.get("/clips/long.mp3?t=1,150", Range="bytes=1500000-1600000")[2] == want[1_500_000:1_600_001]


def test_keys_are_exact_bytes(server: Server, store: Store, show: str) -> None:
    store.put(ODD, Path(show).read_bytes())
    path = urllib.parse.quote(ODD)
    assert server.get(f"/clips/{path}?t=3,13")[2] == cut_bytes(show, span_of(index_of(show), 3, 13))[1]
    assert server.get(f"/clips/{path.upper().replace('MP3', 'mp3')}?t=3,13")[0] == 404
    listed = json.loads(server.get("/library?prefix=odd/")[2])
    assert [each["path"] for each in listed["sources"]] == [ODD]
    assert server.get(listed["sources"][0]["info"])[0] == 200


def test_the_library_is_read_in_pages(server: Server, store: Store, show: str) -> None:
    names = [f"many/{number}.mp3" for number in (3, 10, 2, 1)]
    for name in (*names, "many/cover.jpg", "many/.hidden.mp3"):
        store.put(name, b"x")
    found, target = [], "/library?prefix=many/&limit=3"
    while target:
        page = json.loads(server.get(target)[2])
        found += [each["path"] for each in page["sources"]]
        target = page["next"]
    assert found == sorted(names)
    assert server.get("/readyz")[0] == 200


@pytest.mark.parametrize("replacements", [80, pytest.param(1000, marks=pytest.mark.long)])
def test_an_object_replaced_under_load_is_never_mixed(
    server: Server, store: Store, stream: Callable[[str], str], replacements: int
) -> None:
    """Each body is wholly of one version, and the last one is of the last version."""
    replacements = min(replacements, store.most_replacements)
    paths = [stream("mpeg1-44-stereo-cbr128"), stream("mpeg1-44-joint-vbr2")]
    versions = [Path(path).read_bytes() for path in paths]
    wanted = [cut_bytes(path, span_of(index_of(path), 4, 16))[1] for path in paths]
    store.put("swap.mp3", versions[0])
    done = threading.Event()
    #: Those that are no whole clip of one version: their statuses and lengths.
    wrong: list[tuple[int, int]] = []
    #: The version of each other.
    right: list[int] = []

    def ask() -> None:
        while not done.is_set():
            status, _, body = server.get("/clips/swap.mp3?t=4,16")
            if status == 200 and body in wanted:
                right.append(wanted.index(body))
            elif status != 503:
                wrong.append((status, len(body)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(replacements):
            store.put("swap.mp3", versions[(number + 1) % 2])
            if number % 10 == 9:
                # The store must not be so much faster that no clip is made between.
                before = len(right)
                until(lambda: len(right) > before, 60, "clips between replacements")  # noqa: B023 - called here only
        for number in (1, 0):
            store.put("swap.mp3", versions[number])
            before = len(right)
            until(lambda: number in right[before:], 60, "clips of each version")  # noqa: B023 - called here only
    finally:
        done.set()
        for thread in threads:
            thread.join()
    print(f"{replacements} replacements, {len(right)} bodies right, {len(wrong)} wrong")
    assert not wrong
    status, _, body = server.get("/clips/swap.mp3?t=4,16")
    assert (status, body) == (200, wanted[0])
    store.delete("swap.mp3")
    assert server.get("/clips/swap.mp3?t=4,16")[0] == 404


@pytest.mark.parametrize(
    ("media", "more", "lines"),
    [
        ("", {}, ["ok  store", "ok  ranges and ETags", "ok  If-Match"]),
        ("", {"AWS_SECRET_ACCESS_KEY": "other"}, ["403 SignatureDoesNotMatch"]),
        ("s3://nothing-here", {}, ["there is no such bucket"]),
        ("", {"SLICER_OBJECTS_ENDPOINT": "http://127.0.0.1:9"}, ["the store cannot be reached"]),
    ],
)
def test_the_doctor_asks_the_store(store: Store, show: str, media: str, more: dict[str, str], lines: list[str]) -> None:
    run = [sys.executable, "-m", "mp3_slicer", "doctor", media or store.media]
    done = subprocess.run(
        run, env={**environ, **store.environ, **more}, capture_output=True, text=True, timeout=60, check=False
    )
    said = " ".join(done.stdout.split())
    for line in lines:
        assert " ".join(line.split()) in said, done.stdout + done.stderr
    assert "other" not in said.replace("another", "")


def test_signed_folders_are_prefixes_of_keys(store: Store, show: str) -> None:
    store.put("members/a.mp3", Path(show).read_bytes())
    keys = f"{folder()}/keys"
    run = [sys.executable, "-m", "mp3_slicer", "sign", "--key-file", keys]
    subprocess.run([*run, "--new-key", "one"], check=True, timeout=60)
    url = "/clips/members/a.mp3?t=3,13"
    signed = subprocess.run([*run, url], check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    if geteuid() == 0:
        shutil.chown(keys, "www-data", "www-data")
    more = {"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/members"}
    with serving(store.media, "--cpus", "1", environ={**store.environ, **more}) as running:
        assert running.get(url)[0] == 403
        assert running.get(signed)[0] == 200
        assert running.get("/clips/show.mp3?t=3,13")[0] == 200
        listed = {each["path"] for each in json.loads(running.get("/library?limit=1000")[2])["sources"]}
        assert "show.mp3" in listed
        assert "members/a.mp3" not in listed


def test_a_bucket_is_indexed_beforehand(store: Store, show: str) -> None:
    files = {"a.mp3": Path(show).read_bytes(), "b/c.mp3": b"no audio", "d.txt": b""}
    with stored(files, type(store)) as other:
        place = {"SLICER_INDEX_DIR": f"{folder()}/index"}
        run = [sys.executable, "-m", "mp3_slicer", "index", other.media, "--jobs", "1"]
        done = subprocess.run(run, env={**environ, **other.environ, **place}, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stdout.startswith("1 indexed, 0 already indexed, 1 refused")
        assert "b/c.mp3: " in done.stderr
        _check_faults(other, show)


def _check_faults(store: Store, show: str) -> None:
    """Wrong credentials, a store that stands still, and one that is gone: clients hear it at once, and the log tells why."""
    wrong = {**store.environ, "AWS_SECRET_ACCESS_KEY": "other"}
    with serving(store.media, "--cpus", "1", environ=wrong) as running:
        status, headers, _ = running.get("/clips/a.mp3?t=3,13")
        assert (status, headers["retry-after"]) == (503, "5")
        said = "a.mp3: the store answers 403 SignatureDoesNotMatch"
        until(lambda: said in running.log(), 30, "the log tells why")
        assert "other" not in running.log()
    more = {"SLICER_OBJECTS_SECONDS": "0.5"}
    with serving(store.media, "--cpus", "1", environ={**store.environ, **more}) as running:
        want = cut_bytes(show, span_of(index_of(show), 3, 13))[1]
        assert running.get("/clips/a.mp3?t=3,13")[2] == want
        for stop, go_on in ((store.pause, store.go_on), (store.kill, store.start)):
            stop()
            until(lambda: _is_refused(running), 60, "requests are refused at once")
            assert running.get("/readyz")[0] == 503
            found = parse(running.get("/metrics")[2].decode())
            assert value(found, "slicer_store_requests_total", outcome="refused") > 0
            assert running.get("/healthz")[0] == 200
            go_on()
            until(lambda: running.get("/clips/a.mp3?t=3,13")[2] == want, 60, "clips are back")
        assert "the store" in running.log()


def _is_refused(server: Server) -> bool:
    began = time.monotonic()
    status, headers, _ = server.get("/clips/a.mp3?t=3,13")
    assert (status, "retry-after" in headers) == (503, True)
    return time.monotonic() - began < 0.4
