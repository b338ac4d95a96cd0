"""Transcripts and chapters from the real server, and clips that are named by them."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mp3_slicer.signing import add_key, read_keys, signed_url
from support.server import folder, publish, serving
from unit.tags.test_cover import WEBP
from unit.tags.test_tags import chapter, frame, tag

VTT = """WEBVTT

00:01.000 --> 00:03.000
<v Ann>Good morning.

00:03.000 --> 00:05.500
And welcome to the show.

00:09.000 --> 00:12.000
<v Bob>Thank you.
"""
CHAPTERS = {"version": "1.2.0", "chapters": [{"startTime": 0, "title": "One"}, {"startTime": 7.25, "title": "Two"}]}
INDEX = """<ROOT><record><index><point><time>4</time><title>War &amp;amp; peace</title></point>
<point><time>0</time><title>Childhood</title></point></index></record></ROOT>"""


@pytest.fixture(scope="module")
def place(media, stream):
    place = Path(media, "moments")
    place.mkdir()
    data = Path(stream("mpeg1-44-stereo-cbr128")).read_bytes()
    named = tag(frame(b"TIT2", b"\3A title") + frame(b"TPE1", b"\3Ann") + chapter(b"first", 1000, 2500, "In the tag"))
    for name in ("show", "plain", "broken", "other", "endless", "oral"):
        (place / f"{name}.mp3").write_bytes(data)
    (place / "tagged.mp3").write_bytes(named + data)
    (place / "show.vtt").write_text(VTT, encoding="utf-8")
    (place / "show.chapters.json").write_text(json.dumps(CHAPTERS), encoding="utf-8")
    (place / "broken.vtt").write_text("nothing\n", encoding="utf-8")
    (place / "broken.json").write_text("{", encoding="utf-8")
    (place / "long.mp3").write_bytes(data)
    (place / "long.vtt").write_text(
        "WEBVTT\n\n00:01.000 --> 03:00:00.000\non and on\n\n00:50.000 --> 00:55.000\nnever heard\n", encoding="utf-8"
    )
    (place / "long.chapters.json").write_bytes('{"chapters": [{"startTime": 0, "title": "Äpfel"}]}'.encode("latin-1"))
    (place / "oral.xml").write_text(INDEX, encoding="utf-8")
    # More digits than Python converts.
    (place / "endless.vtt").write_text(VTT.replace("Thank", f"&#{'1' * 5000};"), encoding="utf-8")
    (place / "other.mp3.srt").write_bytes("1\n00:00:01,000 --> 00:00:02,000\nÄpfel\n".encode("latin-1"))
    (place / ".hidden.vtt").write_text(VTT, encoding="utf-8")
    (place / "plain.vtt").symlink_to("/etc/passwd")
    return place


def problem(answer, status, kind):
    assert answer[0] == status
    assert json.loads(answer[2])["type"] == f"urn:slicer:problem:{kind}"


def test_a_transcript_in_every_form(either, place):
    status, headers, body = either.get("/transcripts/moments/show.vtt")
    assert (status, headers["content-type"]) == (200, "text/vtt; charset=utf-8")
    assert headers["cache-control"] == "public, max-age=60"
    assert headers["content-location"] == "/transcripts/moments/show.vtt"
    assert body.decode().count("-->") == 3
    assert either.get("/transcripts/moments/show.txt")[2] == (
        b"Ann: Good morning.\nAnd welcome to the show.\nBob: Thank you.\n"
    )
    assert b"00:00:01,000 --> 00:00:03,000\nAnn: Good morning.\n" in either.get("/transcripts/moments/show.srt")[2]
    assert either.get("/transcripts/moments/show.vtt", If_None_Match=headers["etag"])[0] == 304
    assert either.get("/transcripts/moments/show.vtt", Range="bytes=0-5")[2] == body


def test_a_reference_without_end_is_a_character_that_is_none(server, place):
    assert "Bob: \ufffd you.\n" in server.get("/transcripts/moments/endless.txt")[2].decode()
    assert json.loads(server.get("/info/moments/endless.mp3")[2])["transcript"]["cues"] == 3


def test_a_span_counts_from_its_start(server, place):
    status, headers, body = server.get("/transcripts/moments/show.json?t=00:02,10")
    assert status == 200
    assert headers["content-location"] == "/transcripts/moments/show.json?t=2,10"
    assert json.loads(body) == {
        "version": "1.0.0",
        "segments": [
            {"speaker": "Ann", "startTime": 0.0, "endTime": 1.0, "body": "Good morning."},
            {"startTime": 1.0, "endTime": 3.5, "body": "And welcome to the show."},
            {"speaker": "Bob", "startTime": 7.0, "endTime": 8.0, "body": "Thank you."},
        ],
    }
    assert server.get("/transcripts/moments/show.vtt?t=6,8")[2] == b"WEBVTT\n"


def test_chapters_that_are_not_utf8_are_read_and_named(either, place):
    (only,) = json.loads(either.get("/chapters/moments/long.json")[2])["chapters"]
    assert only["title"] == "Äpfel"
    (flaw,) = json.loads(either.get("/info/moments/long.mp3")[2])["unreadable"]
    assert "it is not UTF-8; it is read as windows-1252" in json.dumps(flaw)


def test_cues_behind_the_audio_are_in_no_span(either, place):
    """The audio has 20 s, and its cues go on for hours."""
    for span in ("0,60", "0", "10,", "0,21"):
        url = f"/transcripts/moments/long.json?t={span.rstrip(',')}"
        (only,) = json.loads(either.get(url)[2])["segments"]
        assert (only["body"], only["endTime"]) == ("on and on", 10.0 if span == "10," else 20.0)
    assert either.get("/transcripts/moments/long.txt")[2] == b"on and on\nnever heard\n"
    for snap in ("", "&snap=cue"):
        problem(either.get(f"/clips/moments/long.mp3?t=100,110{snap}"), 400, "span-outside")
    assert either.get("/clips/moments/long.mp3?t=2,3&snap=cue")[0] == 200


def test_what_is_no_transcript(server, place):
    problem(server.get("/transcripts/moments/tagged.vtt"), 404, "transcript-missing")
    problem(server.get("/transcripts/moments/plain.vtt"), 404, "transcript-missing")
    problem(server.get("/transcripts/moments/none.vtt"), 404, "not-found")
    problem(server.get("/transcripts/moments/.hidden.vtt"), 404, "not-found")
    problem(server.get("/transcripts/moments/show.mp3"), 400, "option-refused")
    problem(server.get("/transcripts/moments/show.vtt?t=2,1"), 400, "span-malformed")
    problem(server.get("/transcripts/moments/show.vtt?t=9999"), 400, "span-outside")
    problem(server.get("/transcripts/moments/show.vtt?snap=cue"), 400, "option-unknown")
    assert server.get("/transcripts/moments/show.vtt", "POST")[0] == 405


@pytest.mark.parametrize("kind", ["pipe", "folder", "zero", "outside", "circle", "environ", "large"])
def test_what_is_named_like_a_sidecar_and_is_none(server, place, stream, kind):
    """It neither holds a request up nor gives anything away, and the next sidecar is read."""
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), place / f"{kind}.mp3")
    (place / f"{kind}.txt").write_text("[00:00:05] instead\n", encoding="utf-8")
    for ending in ("vtt", "chapters.json", "jpg"):
        odd = place / f"{kind}.{ending}"
        if kind == "pipe":
            os.mkfifo(odd)
        elif kind == "folder":
            odd.mkdir()
        elif kind == "large":
            with odd.open("wb") as file:
                file.truncate(100 << 20)
        else:
            odd.symlink_to(
                {"zero": "/dev/zero", "outside": "/etc/passwd", "circle": odd.name}.get(kind, "/proc/self/environ")
            )
    assert server.get(f"/transcripts/moments/{kind}.txt")[2] == b"instead\n"
    problem(server.get(f"/chapters/moments/{kind}.json"), 404, "chapters-missing")
    problem(server.get(f"/covers/moments/{kind}.mp3"), 404, "cover-missing")
    unreadable = json.loads(server.get(f"/info/moments/{kind}.mp3")[2])["unreadable"]
    assert [each["file"] for each in unreadable] == (["large.vtt", "large.chapters.json"] if kind == "large" else [])


def test_a_new_transcript_is_read_at_once(server, place, stream):
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), place / "fresh.mp3")
    publish(VTT.encode(), str(place / "fresh.vtt"))
    first = server.get("/transcripts/moments/fresh.txt")
    publish(VTT.replace("Thank", "Bless").encode(), str(place / "fresh.vtt"))
    second = server.get("/transcripts/moments/fresh.txt", If_None_Match=first[1]["etag"])
    assert (second[0], b"Bless" in second[2]) == (200, True)


def test_chapters_of_a_sidecar_and_of_a_tag(either, place):
    status, headers, body = either.get("/chapters/moments/show.json")
    assert (status, headers["content-type"]) == (200, "application/json+chapters")
    assert [(each["id"], each["title"], each.get("endTime")) for each in json.loads(body)["chapters"]] == [
        ("chapter-1", "One", 7.25),
        ("chapter-2", "Two", None),
    ]
    (only,) = json.loads(either.get("/chapters/moments/tagged.json")[2])["chapters"]
    assert only == {"startTime": 1.0, "endTime": 2.5, "title": "In the tag", "id": "chapter-1"}
    problem(either.get("/chapters/moments/plain.json"), 404, "chapters-missing")
    problem(either.get("/chapters/moments/show.vtt"), 400, "option-refused")


def test_chapters_of_an_index(server, place):
    status, _, body = server.get("/chapters/moments/oral.json")
    assert status == 200
    assert [(each["title"], each["startTime"], each.get("endTime")) for each in json.loads(body)["chapters"]] == [
        ("Childhood", 0, 4),
        ("War & peace", 4, None),
    ]
    headers = server.get("/clips/moments/oral.mp3?id=chapter-2")[1]
    assert headers["content-location"] == "/clips/moments/oral.mp3?t=4"
    info = json.loads(server.get("/info/moments/oral.mp3")[2])
    assert (info["chapters"], info["unreadable"]) == (2, [])


def test_the_clip_of_a_chapter(either, place):
    status, headers, body = either.get("/clips/moments/show.mp3?id=chapter-1")
    assert (status, headers["content-location"]) == (200, "/clips/moments/show.mp3?t=0,7.25")
    assert body == either.get("/clips/moments/show.mp3?t=0,7.25")[2]
    assert either.get("/clips/moments/show.mp3?id=chapter-2")[1]["content-location"] == "/clips/moments/show.mp3?t=7.25"
    by_name = either.get("/clips/moments/tagged.mp3?id=first&download")
    assert by_name[1]["content-location"] == "/clips/moments/tagged.mp3?t=1,2.5"
    assert "tagged_1-2.5.mp3" in by_name[1]["content-disposition"]
    problem(either.get("/clips/moments/show.mp3?id=chapter-3"), 404, "chapter-unknown")
    problem(either.get("/clips/moments/show.mp3?id=chapter-1&t=1,2"), 400, "option-refused")


def test_a_span_snaps_to_cues(either, place):
    for span, moved in (("2,10", "1,12"), ("1,3", "1,3"), ("6.000000001,8", "6.000000001,8"), ("4", "3")):
        headers = either.get(f"/clips/moments/show.mp3?t={span}&snap=cue")[1]
        assert headers["content-location"] == f"/clips/moments/show.mp3?t={moved}"
    headers = either.get("/clips/moments/show.mp3?id=chapter-2&snap=cue")[1]
    assert headers["content-location"] == "/clips/moments/show.mp3?t=7.25"
    problem(either.get("/clips/moments/show.mp3?t=1,2&snap=word"), 400, "option-refused")
    problem(either.get("/clips/moments/plain.mp3?t=1,2&snap=cue"), 404, "transcript-missing")


def test_a_proxy_is_sent_to_the_span_that_results(server, place):
    answer = server.get("/clips/moments/show.mp3?t=2,10&snap=cue", X_Sendfile_Type="X-Accel-Redirect")
    assert answer[1]["x-accel-redirect"] == "/clips/moments/show.mp3?t=1,12"


def test_info_names_what_tags_and_sidecars_say(server, place):
    show = json.loads(server.get("/info/moments/show.mp3")[2])
    assert (show["chapters"], show["unreadable"]) == (2, [])
    assert show["transcript"] == {"file": "show.vtt", "form": "vtt", "cues": 3}
    tagged = json.loads(server.get("/info/moments/tagged.mp3")[2])
    assert [tagged[name] for name in ("title", "artist", "album", "date")] == ["A title", "Ann", "", ""]
    assert (tagged["chapters"], tagged["transcript"]) == (1, None)
    broken = json.loads(server.get("/info/moments/broken.mp3")[2])
    assert broken["transcript"] is None
    assert [(each["file"], each["line"]) for each in broken["unreadable"]] == [("broken.vtt", None), ("broken.json", 1)]
    other = json.loads(server.get("/info/moments/other.mp3")[2])
    assert other["transcript"]["file"] == "other.mp3.srt"
    assert other["unreadable"][0]["line"] == 3


# ----------------------------------------------------------------------------------------------------- signed folders


@pytest.fixture(scope="module")
def signed(stream):
    """A server whose folder `members` needs signatures, the key, and what is beside the sources."""
    media, keys = folder(), os.path.join(folder(), "keys")
    add_key(keys, "one")
    os.mkdir(os.path.join(media, "members"))
    for name in ("members/show", "open"):
        shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, f"{name}.mp3"))
    Path(media, "members", "show.vtt").write_text(VTT, encoding="utf-8")
    Path(media, "members", "show.chapters.json").write_text(json.dumps(CHAPTERS), encoding="utf-8")
    # Into the folder that needs signatures, from outside of it.
    Path(media, "open.vtt").symlink_to("members/show.vtt")
    Path(media, "open.chapters.json").symlink_to("members/show.chapters.json")
    if os.geteuid() == 0:
        shutil.chown(keys, "www-data", "www-data")
        os.chmod(os.path.dirname(keys), 0o755)
    environ = {"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/members"}
    with serving(media, "--cpus", "1", environ=environ) as running:
        yield running, read_keys(keys).newest


TARGETS = [
    ("/transcripts/members/show.vtt", []),
    ("/transcripts/members/show.vtt", [("t", "1,4")]),
    ("/chapters/members/show.json", []),
    ("/clips/members/show.mp3", [("id", "chapter-1")]),
    ("/clips/members/show.mp3", [("t", "2,4"), ("snap", "cue")]),
]


@pytest.mark.parametrize(("path", "options"), TARGETS)
def test_sidecars_need_the_signature_of_their_source(signed, path, options):
    server, key = signed
    query = "&".join("=".join(pair) for pair in options)
    problem(server.get(f"{path}?{query}"), 403, "signature-missing")
    url = signed_url(path.encode(), options, key, 4_000_000_000)
    status, headers, _ = server.get(url)
    assert status == 200
    assert headers["cache-control"].startswith("private")
    if options:
        problem(server.get(url.replace(options[-1][1], options[-1][1] + "5", 1)), 403, "signature-wrong")


def test_a_link_out_of_a_signed_folder_gives_nothing_away(signed):
    server, _ = signed
    problem(server.get("/transcripts/open.vtt"), 404, "transcript-missing")
    problem(server.get("/chapters/open.json"), 404, "chapters-missing")
    info = json.loads(server.get("/info/open.mp3")[2])
    assert (info["transcript"], info["chapters"], info["unreadable"]) == (None, 0, [])


# --------------------------------------------------------------------------------------------------------------- search


def run_index(media, index, *, refused=False, **environ):
    names = {"SLICER_INDEX_DIR": index, **environ}
    done = subprocess.run(
        [sys.executable, "-m", "mp3_slicer", "index", media, "--jobs", "1"],
        env=os.environ | names,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == int(refused), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(stream):
    """A server with a catalogue, its media, and what brings the catalogue up to date. A folder of it needs signatures."""
    media, keys = folder(), os.path.join(folder(), "keys")
    index = os.path.join(folder(), "index")
    os.chmod(os.path.dirname(index), 0o777)
    add_key(keys, "one")
    if os.geteuid() == 0:
        shutil.chown(keys, "www-data", "www-data")
    data = Path(stream("mpeg1-44-stereo-cbr128")).read_bytes()
    os.mkdir(os.path.join(media, "members"))
    named = tag(frame(b"TIT2", b"\3The Lighthouse") + frame(b"TPE1", b"\3Ann"))
    for name, front in (("show", b""), ("titled", named), ("members/secret", named), ("open", b"")):
        Path(media, f"{name}.mp3").write_bytes(front + data)
    Path(media, "show.vtt").write_text(VTT, encoding="utf-8")
    Path(media, "members", "secret.vtt").write_text(VTT.replace("show", "zebra"), encoding="utf-8")
    Path(media, "open.vtt").symlink_to("members/secret.vtt")
    Path(media, "members", "secret.jpg").write_bytes(WEBP)
    Path(media, "open.jpg").symlink_to("members/secret.jpg")
    Path(media, "titled.webp").write_bytes(WEBP)
    environ = {"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/members", "SLICER_INDEX_DIR": index}
    with serving(media, "--cpus", "1", environ=environ) as running:
        missing = running.get("/search?q=show")
        # As somebody might run it who knows of no keys: it is the server that keeps what is signed to itself.
        yield running, media, lambda: run_index(media, index), missing


def search(server, query):
    status, headers, body = server.get(f"/search?{query}")
    assert (status, headers["cache-control"]) == (200, "public, max-age=10")
    return json.loads(body)


def test_what_is_said_is_found_as_a_clip(archive):
    server, _, index, missing = archive
    problem(missing, 501, "no-catalogue")
    assert "catalogue: 4 files, 4 of them read, 0 removed" in index()
    found = search(server, "q=welcome+show")
    assert (found["files"], found["more"], found["next"]) == (1, False, None)
    (only,) = found["results"]
    assert (only["path"], only["clip"]) == ("show.mp3", "/clips/show.mp3?t=3,5.5")
    moment = only["moment"]
    assert (moment["start"], moment["end"], moment["speaker"]) == (3.0, 5.5, "")
    assert [piece["text"] for piece in moment["words"] if piece["hit"]] == ["welcome", "show"]
    assert server.get(only["clip"])[0] == 200
    assert search(server, "q=*elcom*&by=moment")["results"][0]["moment"]["start"] == 3.0
    assert search(server, "q=welcome&prefix=s")["files"] == 1
    assert search(server, "q=welcome&prefix=t")["results"] == []


def test_titles_are_found_and_listed(archive):
    server, *_ = archive
    (only,) = search(server, "q=lighthouse")["results"]
    assert (only["path"], only["title"], only["artist"], only["moment"]) == (
        "titled.mp3",
        "The Lighthouse",
        "Ann",
        None,
    )
    listed = json.loads(server.get("/library?q=lightho*")[2])["sources"]
    assert [(each["path"], each["title"], each["duration"]) for each in listed] == [
        ("titled.mp3", "The Lighthouse", 20.0)
    ]
    page = json.loads(server.get("/library?q=show&limit=1")[2])
    assert page["next"] is None
    titles = {each["path"]: each.get("title") for each in json.loads(server.get("/library")[2])["sources"]}
    assert titles == {"open.mp3": "", "show.mp3": "", "titled.mp3": "The Lighthouse"}


def covers(server):
    """The covers of all files, by their paths: of a list, which searches agree with."""
    listed = {each["path"]: each["cover"] for each in json.loads(server.get("/library")[2])["sources"]}
    for query in ("lighthouse", "show", "open"):
        for target in (f"/library?q={query}", f"/search?q={query}"):
            document = json.loads(server.get(target)[2])
            for each in document.get("sources", document.get("results")):
                assert each["cover"] == listed[each["path"]]
    return listed


def test_lists_say_which_files_have_a_cover(archive):
    """As the catalogue has it, and only of those that are shown without a signature."""
    server, media, index, _ = archive
    index()
    assert covers(server) == {"open.mp3": None, "show.mp3": None, "titled.mp3": "/covers/titled.mp3"}
    assert server.get("/covers/titled.mp3")[0] == 200
    assert server.get("/covers/open.mp3")[0] == 404
    publish(WEBP, os.path.join(media, "cover.webp"))
    assert "4 files, 3 of them read" in index()
    # The first picture of open.mp3 is hidden, and the catalogue knows of no second one.
    assert covers(server) == {
        "open.mp3": None,
        "show.mp3": "/covers/show.mp3",
        "titled.mp3": "/covers/titled.mp3",
    }
    os.unlink(os.path.join(media, "cover.webp"))
    assert "4 files, 3 of them read" in index()
    assert covers(server)["show.mp3"] is None


def test_nothing_signed_is_found_or_counted(archive):
    server, *_ = archive
    for query in ("q=zebra", "q=secret", "q=zebra&by=moment", "q=good+morning&prefix=members"):
        found = search(server, query)
        assert (found["files"], found["results"], found["more"]) == (0, [], False), query
    assert json.loads(server.get("/library?q=secret")[2])["sources"] == []
    assert search(server, "q=morning")["files"] == 1


def test_a_changed_transcript_is_found_after_a_run(archive):
    server, media, index, _ = archive
    publish(VTT.replace("welcome", "farewell").encode(), os.path.join(media, "show.vtt"))
    assert "4 files, 1 of them read" in index()
    assert search(server, "q=farewell")["files"] == 1
    assert search(server, "q=welcome")["files"] == 0
    assert "4 files, 0 of them read" in index()


def test_searches_that_cannot_be_done(archive):
    server, *_ = archive
    for query in ("", "q=", "q=%22%22", "q=*ab*", f"q={'x' * 201}"):
        problem(server.get(f"/search?{query}"), 400, "query-malformed")
    for query in ("q=a&by=word", "q=a&from=1001", "q=a&limit=0", "q=a&limit=101"):
        problem(server.get(f"/search?{query}"), 400, "option-refused")
    problem(server.get(f"/search?q=a&prefix={'x' * 1025}"), 400, "option-too-long")
    problem(server.get("/search?q=a&t=1"), 400, "option-unknown")
    problem(server.get("/library?q=%22"), 400, "query-malformed")
    assert search(server, "q=%FF%00'%22a%22")["results"] == []


def test_pages_lead_through_all_results(archive):
    server, *_ = archive
    seen, url = [], "/search?q=th*&by=moment&limit=1"
    while url:
        page = json.loads(server.get(url)[2])
        seen += [(each["path"], each["clip"]) for each in page["results"]]
        url = page["next"]
    every = search(server, "q=th*&by=moment&limit=100")["results"]
    assert seen == [(each["path"], each["clip"]) for each in every]
    assert len(seen) == len(set(seen)) == 3


def test_where_nothing_is_listed_nothing_is_searched(start):
    problem(start(environ={"SLICER_LIST_LIBRARY": "0"}).get("/search?q=a"), 403, "not-listed")


def test_a_damaged_catalogue_costs_the_search_alone(stream):
    media, index = folder(), os.path.join(folder(), "index")
    os.chmod(os.path.dirname(index), 0o777)
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, "show.mp3"))
    Path(media, "show.vtt").write_text(VTT, encoding="utf-8")
    with serving(media, "--cpus", "1", environ={"SLICER_INDEX_DIR": index}) as server:
        changes = "DELETE FROM cues", "DELETE FROM files", "UPDATE files SET duration = 'x'"
        for number, change in enumerate(changes, 1):
            run_index(media, index)
            (named,) = Path(index, "catalogue").glob("*/current")
            path = named.parent / named.read_text().strip()
            # A generation never changes: it becomes another one.
            other = path.with_name(f"generation-{number}00.db")
            shutil.copy(path, other)
            with closing(sqlite3.connect(other)) as database:
                database.execute(change)
                database.commit()
            other.chmod(0o644)
            publish(other.name.encode(), str(named))
            problem(server.get("/search?q=welcome"), 501, "no-catalogue")
            status, _, body = server.get("/library")
            assert (status, [each["path"] for each in json.loads(body)["sources"]]) == (200, ["show.mp3"])
            assert "1 files, 1 of them read" in run_index(media, index)
            assert search(server, "q=welcome")["files"] == 1
        assert "Traceback" not in server.log()


EDGES = """WEBVTT

00:01.000 --> 00:01.050
edgewise one

00:02.000 --> 00:19.000
edgewise two

00:19.950 --> 00:21.000
edgewise three

00:50.000 --> 00:55.000
edgewise four
"""


def test_each_clip_that_is_found_can_be_made(stream):
    media, index = folder(), os.path.join(folder(), "index")
    os.chmod(os.path.dirname(index), 0o777)
    for name in ("edges", "random", "nothing"):
        Path(media, f"{name}.vtt").write_text(EDGES, encoding="utf-8")
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, "edges.mp3"))
    Path(media, "random.mp3").write_bytes(os.urandom(20_000))
    Path(media, "nothing.mp3").write_bytes(b"")
    environ = {"SLICER_INDEX_DIR": index, "SLICER_MAX_CLIP_SECONDS": "10"}
    with serving(media, "--cpus", "1", environ=environ) as server:
        run_index(media, index, refused=True)
        found = search(server, "q=edgewise&by=moment&limit=100")["results"]
        clips = {(each["path"], each["moment"]["start"]): each["clip"] for each in found}
        starts = (1.0, 2.0, 19.95, 50.0)
        assert [clips["edges.mp3", start] for start in starts] == [
            *("/clips/edges.mp3?t=1,2", "/clips/edges.mp3?t=2,12", "/clips/edges.mp3?t=19,21", None),
        ]
        assert [clips[name, start] for name in ("random.mp3", "nothing.mp3") for start in starts] == [None] * 8
        (whole,) = search(server, "q=edges")["results"]
        assert whole["clip"] == "/clips/edges.mp3?t=0,10"
        for url in (*filter(None, clips.values()), whole["clip"]):
            assert server.get(url)[0] == 200, url


def test_results_behind_the_last_page_are_more(stream):
    media, index = folder(), os.path.join(folder(), "index")
    os.chmod(os.path.dirname(index), 0o777)
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, "show.mp3"))
    lines = "".join(f"[{n // 120:02}:{n // 2 % 60:02}:{n % 2 * 30:02}] tick\n" for n in range(12 * 120))
    Path(media, "show.txt").write_text(lines, encoding="utf-8")
    with serving(media, "--cpus", "1", environ={"SLICER_INDEX_DIR": index}) as server:
        run_index(media, index)
        pages = [search(server, f"q=tick&by=moment&limit=100&from={start}") for start in (0, 900, 1000)]
        assert [(len(page["results"]), page["more"], page["next"] is None) for page in pages] == [
            *((100, False, False), (100, False, False), (100, True, True)),
        ]
        assert not search(server, "q=tick")["more"]


def test_lists_and_searches_agree_on_late_dates(stream):
    media, index = folder(), os.path.join(folder(), "index")
    os.chmod(os.path.dirname(index), 0o777)
    source = shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, "show.mp3"))
    os.utime(source, (13_569_465_600, 13_569_465_600))
    with serving(media, "--cpus", "1", environ={"SLICER_INDEX_DIR": index}) as server:
        run_index(media, index)
        every, found = (json.loads(server.get(f"/library{query}")[2])["sources"] for query in ("", "?q=show"))
        assert every == found
        assert every[0]["modified"] == "Sat, 01 Jan 2400 00:00:00 GMT"
        assert every[0]["duration"] == 20
