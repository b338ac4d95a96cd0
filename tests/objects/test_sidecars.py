"""Transcripts, chapters, titles and the search of a bucket: what lies beside an object, found by lists and read by few requests."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mp3_slicer.signing import add_key, read_keys, signed_url
from support.exposition import parse, value
from support.server import Server, folder, serving
from support.store import Store, stored
from unit.tags.test_cover import JPEG, PNG, WEBP, apic
from unit.tags.test_tags import chapter, frame, tag

VTT = "WEBVTT\n\n00:01.000 --> 00:03.000\n<v Ann>Good morning, {}.\n"
CHAPTERS = {"version": "1.2.0", "chapters": [{"startTime": 0, "title": "One"}, {"startTime": 7.25, "title": "Two"}]}
ODD = "odd/ä b#?%+&=~"


class Bucket:
    """A store with shows and what lies beside them, a server of it, and the command that indexes it."""

    def __init__(self, store: Store, keys: str) -> None:
        self.store = store
        self.index = os.path.join(folder(), "index")
        os.chmod(os.path.dirname(self.index), 0o777)
        self.keys = keys
        self.environ = {
            **store.environ,
            "SLICER_SIGNING_KEYS": keys,
            "SLICER_SIGNED": "/members",
            "SLICER_INDEX_DIR": self.index,
        }
        self.server: Server

    def run(self) -> str:
        words = [sys.executable, "-m", "mp3_slicer", "index", self.store.media, "--jobs", "1"]
        environ = os.environ | self.store.environ | {"SLICER_INDEX_DIR": self.index}
        done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def get(self, target: str) -> tuple[int, object]:
        status, _, body = self.server.get(target)
        return status, json.loads(body) if body[:1] == b"{" else body.decode()

    def requests(self) -> float:
        found = parse(self.server.get("/metrics")[2].decode())
        return sum(value(found, "slicer_store_requests_total", outcome=name) for name in ("2xx", "4xx"))


@pytest.fixture(scope="module")
def bucket(cbr: str) -> Iterator[Bucket]:
    data = Path(cbr).read_bytes()
    named = tag(
        frame(b"TIT2", b"\3The Lighthouse") + frame(b"APIC", apic(PNG)) + chapter(b"first", 1000, 2500, "In the tag")
    )
    keys = os.path.join(folder(), "keys")
    add_key(keys, "one")
    if os.geteuid() == 0:
        shutil.chown(keys, "www-data", "www-data")
    with stored() as store:
        for name in ("show", "plain", "show-2", "broken", "members/secret", ODD):
            store.put(f"{name}.mp3", data)
        store.put("tagged.mp3", named + data)
        for name in ("show.vtt", "members/secret.vtt", f"{ODD}.mp3.vtt"):
            store.put(name, VTT.format("zebra" if "secret" in name else "harbour").encode())
        for name, picture in (("show.jpg", JPEG), ("odd/cover.webp", WEBP), ("plain.jpg", b"<script>")):
            store.put(name, picture)
        store.put("broken.vtt", b"nothing")
        store.put("show.chapters.json", json.dumps(CHAPTERS).encode())
        store.put("show.mp3/odd.vtt", b"not beside it")
        bucket = Bucket(store, keys)
        with serving(store.media, "--cpus", "1", environ=bucket.environ) as bucket.server:
            yield bucket


def test_sidecars_and_tags_of_objects(bucket: Bucket) -> None:
    assert bucket.get("/transcripts/show.txt") == (200, "Ann: Good morning, harbour.\n")
    assert bucket.get("/transcripts/show.txt?t=2,4")[0] == 200
    assert bucket.get("/transcripts/odd/%C3%A4%20b%23%3F%25%2B%26%3D~.txt")[0] == 200
    for name in ("plain", "show-2", "broken"):
        status, problem = bucket.get(f"/transcripts/{name}.vtt")
        assert (status, problem["type"]) == (404, "urn:slicer:problem:transcript-missing")  # type: ignore[index]
    chapters = bucket.get("/chapters/show.json")[1]["chapters"]  # type: ignore[index]
    assert [each["title"] for each in chapters] == ["One", "Two"]
    assert bucket.get("/chapters/tagged.json")[1]["chapters"][0]["title"] == "In the tag"  # type: ignore[index]
    info = bucket.get("/info/show.mp3")[1]
    assert info["transcript"]["file"] == "show.vtt"  # type: ignore[index]
    assert bucket.get("/info/broken.mp3")[1]["unreadable"][0]["file"] == "broken.vtt"  # type: ignore[index]
    clip = bucket.server.get("/clips/show.mp3?t=2,2.5&snap=cue")
    assert (clip[0], clip[1]["content-location"]) == (200, "/clips/show.mp3?t=1,3")


def test_covers_of_objects(bucket: Bucket) -> None:
    """Of a tag, beside the object, and of its folder."""
    for name, data in (("tagged", PNG), ("show", JPEG), ("odd/%C3%A4%20b%23%3F%25%2B%26%3D~", WEBP)):
        target = f"/covers/{name}.mp3"
        assert bucket.server.get(target)[2] == data
        assert bucket.get(f"/info/{name}.mp3")[1]["cover"] == target  # type: ignore[index]
    assert bucket.get("/covers/plain.mp3")[0] == 404
    assert bucket.get("/covers/members/secret.mp3")[0] == 403


def test_a_request_is_few_requests_to_the_store(bucket: Bucket) -> None:
    """One to see that the source is current, one list, and two for each sidecar that is read.

    A tag is two more, and a list for the cover of the folder.
    """
    for target, most in (
        ("/transcripts/show.vtt", 4),
        ("/chapters/show.json", 4),
        ("/info/broken.mp3", 7),
        ("/covers/show.mp3", 4),
    ):
        for _ in range(8):
            bucket.server.get(target)
        before = bucket.requests()
        assert bucket.server.get(target)[0] == 200
        assert bucket.requests() - before <= most, target


def test_a_signed_folder_keeps_what_is_beside_its_objects(bucket: Bucket) -> None:
    for target in ("/transcripts/members/secret.txt", "/chapters/members/secret.json", "/info/members/secret.mp3"):
        assert bucket.get(target)[0] == 403
    url = signed_url(b"/transcripts/members/secret.txt", [], read_keys(bucket.keys).newest, 4_000_000_000)
    assert bucket.get(url) == (200, "Ann: Good morning, zebra.\n")


def test_a_bucket_is_searched(bucket: Bucket) -> None:
    said = bucket.run()
    assert "catalogue: 7 files, 7 of them read, 0 removed, 1 unreadable" in said
    assert "broken.vtt: no line names the times of a cue" in said

    def paths(query: str) -> list[str]:
        return sorted(each["path"] for each in bucket.get(f"/search?{query}")[1]["results"])  # type: ignore[index]

    assert paths("q=harbour") == [f"{ODD}.mp3", "show.mp3"]
    assert paths("q=lighthouse") == ["tagged.mp3"]
    assert paths("q=zebra") == paths("q=secret") == []
    listed = bucket.get("/library?q=lightho*")[1]["sources"]  # type: ignore[index]
    assert [(each["path"], each["title"]) for each in listed] == [("tagged.mp3", "The Lighthouse")]
    titles = {each["path"]: each["title"] for each in bucket.get("/library")[1]["sources"]}  # type: ignore[index]
    assert titles["tagged.mp3"] == "The Lighthouse"
    covers = {each["path"] for each in bucket.get("/library")[1]["sources"] if each["cover"]}  # type: ignore[index]
    assert covers == {"tagged.mp3", "show.mp3", f"{ODD}.mp3"}
    assert "7 files, 0 of them read, 0 removed" in bucket.run()
    # The same size, in the same second perhaps.
    bucket.store.put("show.vtt", VTT.format("country").encode())
    bucket.store.delete("plain.mp3")
    bucket.store.delete(f"{ODD}.mp3.vtt")
    assert "6 files, 2 of them read, 1 removed" in bucket.run()
    assert paths("q=harbour") == []
    assert paths("q=country") == ["show.mp3"]


def test_a_store_that_stands_still_costs_no_catalogue(bucket: Bucket) -> None:
    bucket.run()
    words = [sys.executable, "-m", "mp3_slicer", "index", bucket.store.media, "--jobs", "1"]
    environ = os.environ | bucket.store.environ | {"SLICER_INDEX_DIR": bucket.index, "SLICER_OBJECTS_SECONDS": "1"}
    bucket.store.pause()
    try:
        done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert bucket.get("/transcripts/show.txt")[0] == 503
        assert bucket.get("/search?q=morning")[1]["files"] >= 1  # type: ignore[index]
    finally:
        bucket.store.go_on()
