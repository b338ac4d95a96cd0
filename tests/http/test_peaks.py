"""Waveforms from the real server."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import mp3_slicer
from mp3_slicer.mp3 import FileReader
from mp3_slicer.render import Limits, PeaksRequest
from mp3_slicer.render.drawing import PARTS_FROM
from mp3_slicer.render.options import PARTS
from mp3_slicer.render.peaks import peaks
from support import streams
from support.cutting import index_of, opened
from support.server import folder, serving

#: So long that drawing it takes several times as long as a request may.
COPIES = 270


@pytest.fixture(scope="module")
def place(media, stream_folder):
    """show.mp3, 20 s; and hours.mp3, an hour and a half of it."""
    path = os.path.join(media, "peaks")
    os.makedirs(path, mode=0o755, exist_ok=True)
    data = pathlib.Path(streams.make("mpeg1-44-stereo-cbr128", stream_folder, seconds=20)).read_bytes()
    pathlib.Path(path, "show.mp3").write_bytes(data)
    with open(os.path.join(path, "hours.mp3"), "wb") as file:
        file.writelines(data for _ in range(COPIES))
    return path


def drawn(path, form, *pairs):
    request = PeaksRequest.parse(form, pairs)
    with opened(path) as fd:
        return peaks(request, FileReader(fd), index_of(path), Limits(work_seconds=300)).encode(
            request.form, request.bits
        )


def problem(answer, code, kind):
    got, headers, body = answer
    assert (got, headers["content-type"]) == (code, "application/problem+json"), body
    members = json.loads(body)
    assert members["type"] == f"urn:slicer:problem:{kind}"
    return members


@pytest.mark.parametrize("form", ["json", "dat"])
@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", "t=0&pixels=1000&bits=8"),
        ("t=1,2.50&pixels=100", "t=1,2.5&pixels=100&bits=8"),
        ("bits=16&zoom=256&t=0:00:03,9", "t=3,9&zoom=256&bits=16"),
        ("pixels=1&t=19", "t=19&pixels=1&bits=8"),
        ("coarse=1&pixels=20", "t=0&pixels=20&bits=8&coarse=1"),
        ("coarse=0&pixels=20", "t=0&pixels=20&bits=8"),
        ("part=3&pixels=200", "t=0&pixels=200&bits=8&part=3"),
    ],
)
def test_a_waveform_is_what_the_renderer_draws(form, query, canonical, server, place):
    code, headers, body = server.get(f"/peaks/peaks/show.{form}?{query}")
    pairs = [tuple(part.split("=")) for part in canonical.split("&")]
    assert (code, body) == (200, drawn(os.path.join(place, "show.mp3"), form, *pairs))
    assert headers["content-type"] == {"json": "application/json", "dat": "application/octet-stream"}[form]
    assert headers["content-location"] == f"/peaks/peaks/show.{form}?{canonical}"
    assert headers["cache-control"] == "public, max-age=86400"
    assert int(headers["content-length"]) == len(body)
    if form == "json":
        members = json.loads(body)
        assert (members["version"], members["channels"], members["sample_rate"]) == (2, 1, 44_100)
        assert len(members["data"]) == 2 * members["length"]


def test_the_sources_own_name_is_json(either, place):
    one, other = either.get("/peaks/peaks/show.mp3?t=1,2"), either.get("/peaks/peaks/show.json?t=1,2")
    assert one[0] == 200
    assert one[2] == other[2]
    assert (
        one[1]["content-location"] == other[1]["content-location"] == "/peaks/peaks/show.json?t=1,2&pixels=1000&bits=8"
    )
    code, headers, body = either.get(
        "/peaks/peaks/show.mp3?t=1,2&pixels=1000&bits=8", X_Sendfile_Type="X-Accel-Redirect"
    )
    assert (code, body, headers["x-accel-redirect"]) == (200, b"", other[1]["content-location"])
    code, headers, body = either.get(other[1]["content-location"], X_Sendfile_Type="X-Accel-Redirect")
    assert (code, body) == (200, other[2])


def test_conditions_ranges_and_head(either, place):
    target = "/peaks/peaks/show.dat?t=5,6"
    _, headers, body = either.get(target)
    assert either.get(target, If_None_Match=headers["etag"])[0] == 304
    assert either.get(target, Range="bytes=4-7")[2] == body[4:8]
    head = either.get(target, "HEAD")
    assert (head[0], head[2], head[1]["content-length"]) == (200, b"", str(len(body)))
    assert either.get(target, "OPTIONS")[0] == 204
    problem(either.get(target, If_Match='"x"'), 412, "precondition-failed")
    problem(either.get(target, Range="bytes=9999999-"), 416, "range-outside")


@pytest.mark.parametrize(
    ("target", "code", "kind", "option"),
    [
        ("show.png", 400, "option-refused", "format"),
        ("show", 400, "option-refused", "format"),
        ("show.json?pixels=0", 400, "option-refused", "pixels"),
        ("show.json?pixels=1000001", 400, "option-refused", "pixels"),
        ("show.json?zoom=1", 400, "option-refused", "zoom"),
        ("show.json?zoom=256&pixels=10", 400, "option-refused", "zoom"),
        ("show.json?bits=12", 400, "option-refused", "bits"),
        ("show.json?t=3,2", 400, "option-refused", "t"),
        ("show.json?t=1,2&t=3,4", 400, "option-repeated", "t"),
        ("show.json?gain=1", 400, "option-unknown", "gain"),
        ("show.json?part=17", 400, "option-refused", "part"),
        ("show.json?part=1&coarse=1", 400, "option-refused", "part"),
        ("show.json?t=20", 400, "span-outside", "t"),
        ("show.json?t=1,1.00001", 400, "span-too-short", "t"),
        ("none.json", 404, "not-found", None),
        ("hours.json?zoom=2", 413, "render-too-large", None),
    ],
)
def test_refusals(target, code, kind, option, server, place):
    members = problem(server.get(f"/peaks/peaks/{target}"), code, kind)
    assert members.get("option") == option


def test_work_goes_on_where_the_time_was_up(start, place):
    server = start("--cpus", "1", "--memory", "1G", environ={"SLICER_RENDER_SECONDS": "0.8"})
    (daemon,) = server.daemons("renders")
    target = "/peaks/peaks/hours.dat?zoom=4096"
    progress = []
    for _ in range(60):
        began = time.monotonic()
        answer = server.get(target)
        if answer[0] == 200:
            break
        members = problem(answer, 503, "try-again")
        assert (answer[1]["retry-after"], answer[1]["cache-control"]) in [("1", "no-store"), ("2", "no-store")]
        # The first request may have made the index, and no more.
        if "progress" in members:
            assert time.monotonic() - began < 10
            progress.append(members["progress"])
    assert answer[2] == drawn(os.path.join(place, "hours.mp3"), "dat", ("zoom", "4096"))
    assert len(progress) >= 2
    assert progress == sorted(set(progress))
    assert progress[0] > 0
    assert progress[-1] < 1
    # What was done is not needed any more, and the other form is drawn anew or was never begun.
    assert len(set(os.listdir(server.folders["SLICER_RESULTS_DIR"])) - {"account"}) == 1
    assert server.get(target)[2] == answer[2]
    assert server.daemons("renders") == [daemon]


def test_parts_side_by_side_become_the_whole(start, place):
    server = start("--cpus", "2", "--memory", "1G")
    assert len(server.daemons("renders")) == 2
    query = "t=0&pixels=20000&bits=8"
    name = "parts.mp3"
    with open(os.path.join(place, name), "wb") as file:
        file.writelines([pathlib.Path(place, "show.mp3").read_bytes()] * 60)
    # The index is made once, before.
    assert server.get(f"/info/peaks/{name}")[0] == 200
    target = f"/peaks/peaks/{name[:-4]}.dat?{query}"

    def part(number):
        return server.get(f"{target}&part={number}")

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(part, range(1, PARTS + 1)))
    # One client has both processes at work: none is refused.
    assert [answer[0] for answer in answers] == [200] * PARTS
    wanted = drawn(os.path.join(place, name), "dat", *(tuple(each.split("=")) for each in query.split("&")))
    assert b"".join(answer[2][24:] for answer in answers) == wanted[24:]
    assert len(set(os.listdir(server.folders["SLICER_RESULTS_DIR"])) - {"account"}) == 1
    whole = server.get(target)
    assert (whole[0], whole[2]) == (200, wanted)
    assert server.get(f"{target}&part=7")[1]["etag"] == answers[6][1]["etag"]


def test_without_a_place_for_what_is_done_it_is_said_to_take_too_long(start, place):
    server = start(environ={"SLICER_RENDER_SECONDS": "0.8", "SLICER_RESULTS_BYTES": "0"})
    for _ in range(30):
        answer = server.get("/peaks/peaks/hours.dat?zoom=4096")
        if "indexed" not in json.loads(answer[2])["detail"]:
            break
    problem(answer, 504, "overstayed")


def first_of_the_studio():
    """The query that the studio begins with."""
    program = (pathlib.Path(mp3_slicer.__file__).parent / "studio/peaks.js").read_text()
    (pixels,) = re.findall(r"const WHOLE_PIXELS = ([0-9_]+);", program)
    assert [re.findall(rf"const {name} = ([0-9]+);", program) for name in ("PARTS", "PARTS_FROM")] == [
        [str(PARTS)],
        [str(PARTS_FROM)],
    ]
    (query,) = re.findall(r"`([^`]*)\$\{WHOLE_PIXELS\}([^`]*)`", program)
    assert query[1].endswith("${part}")
    return pixels.replace("_", "").join(query).removesuffix("${part}")


@pytest.fixture
def archive(place):
    """A media folder of one file and one that is none, and a server of its own."""
    path = folder()
    try:
        shutil.copy(os.path.join(place, "show.mp3"), path)
        pathlib.Path(path, "text.mp3").write_text("no audio " * 1000)
        with serving(path, "--cpus", "1") as server:
            yield server
    finally:
        shutil.rmtree(path)


def test_waveforms_made_in_advance_are_those_that_the_studio_asks_for(archive):
    command = [sys.executable, "-m", "mp3_slicer", "index", "--peaks", archive.media]

    def index(*options):
        return subprocess.run(
            [*command, *options], env=os.environ | archive.folders, capture_output=True, text=True, timeout=120
        )

    def stored():
        with os.scandir(archive.folders["SLICER_RESULTS_DIR"]) as found:
            return {(each.name, each.inode()) for each in found if each.name != "account"}

    first, second = index(), index()
    assert (first.returncode, first.stderr) == (1, "text.mp3: the file holds no MP3 audio\n")
    assert first.stdout.splitlines()[-1] == "waveforms: 1 made, 0 already made, 0 refused"
    assert second.stdout.splitlines()[-1] == "waveforms: 0 made, 1 already made, 0 refused"
    before = stored()
    assert len(before) == 1
    # The parts of a long file are made by all processes, and become the whole.
    long = os.path.join(archive.media, "long.mp3")
    with open(long, "wb") as file:
        file.writelines([pathlib.Path(archive.media, "show.mp3").read_bytes()] * 31)
    third, fourth = index("--jobs", "2"), index()
    assert third.stdout.splitlines()[-1] == "waveforms: 1 made, 1 already made, 0 refused"
    assert fourth.stdout.splitlines()[-1] == "waveforms: 0 made, 2 already made, 0 refused"
    before = stored()
    assert len(before) == 2
    query = first_of_the_studio()
    answer = archive.get(f"/peaks/show.dat?{query}")
    pairs = [tuple(each.split("=")) for each in query.split("&")]
    assert (answer[0], answer[2]) == (200, drawn(os.path.join(archive.media, "show.mp3"), "dat", *pairs))
    answer = archive.get(f"/peaks/long.dat?{query}")
    assert (answer[0], answer[2]) == (200, drawn(long, "dat", *pairs))
    assert stored() == before
