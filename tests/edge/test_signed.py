"""Signed URLs behind the cache: one entry for all signatures, and nobody gets it without one that is right now."""

import json
import os
import pathlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mp3_slicer.signing import Key, signed_url
from support.edge import edge_of, site, tapped
from support.fixtures import key_file
from support.server import raw, serving, until

OLD, NEW = Key("old", bytes(range(32))), Key("new", bytes(range(32, 64)))


@pytest.fixture(scope="module")
def keys():
    with key_file(OLD, NEW) as path:
        yield path


@pytest.fixture(scope="module")
def members(media, keys):
    """A slicer whose folder /deep is for who has a signed URL."""
    with serving(media, "--cpus", "1", environ={"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/deep"}) as server:
        yield server


@pytest.fixture(scope="module")
def _guarded(members):
    with tapped(members.port) as tap, edge_of([site(tap.port, signed=True)]) as edge:
        yield tap, edge


@pytest.fixture
def tap(_guarded):
    _guarded[0].forget()
    yield _guarded[0]
    _guarded[0].release()


@pytest.fixture
def edge(_guarded):
    return _guarded[1]


@pytest.fixture
def secret(fresh):
    """The canonical URL of a clip that needs a signature and that no test has asked for."""
    return lambda: fresh().replace("/clips/", "/clips/deep/er/")


def signed(url, key=NEW, seconds=600, download=None, at=None):
    path, _, query = url.partition("?")
    pairs = [tuple(part.split("=", 1)) for part in query.split("&") if part]
    if download:
        pairs.append(("download", download))
    return signed_url(path.encode(), pairs, key, int(time.time()) + seconds if at is None else at)


def assert_problem(answer, status, kind):
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert json.loads(answer.body)["type"] == f"urn:slicer:problem:{kind}"


def fills(tap):
    """The requests that brought a body into the cache."""
    return [request for request, answer in tap.seen if "x-sendfile-type" not in request.lower()]


def test_two_signatures_have_one_fill(edge, tap, secret, members):
    url = secret()
    first, second = edge.get(signed(url, OLD)), edge.get(signed(url, NEW, 1200))
    assert (first.status, first.cache, second.status, second.cache) == (200, "MISS", 200, "HIT")
    assert first.body == second.body == members.get(signed(url))[2]
    assert len(fills(tap)) == 1
    assert first.headers["content-location"] == url


def test_fifty_signatures_at_once_have_one_fill(edge, tap, secret):
    url = secret()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: edge.get(signed(url, seconds=600 + number)), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len(fills(tap)) == 1


def test_without_a_signature_nobody_gets_what_is_cached(edge, tap, secret):
    url = secret()
    assert edge.get(signed(url)).status == 200
    again = edge.get(signed(url))
    assert (again.status, again.cache) == (200, "HIT")
    for method in ("GET", "HEAD"):
        answer = edge.get(url, method)
        assert (answer.status, answer.cache) == (403, "NONE")
    assert_problem(edge.get(url), 403, "signature-missing")
    assert_problem(edge.get(url, Range="bytes=0-9"), 403, "signature-missing")
    assert edge.get(url, If_None_Match=again.headers["etag"]).status == 403
    wrong = signed(url)[:-1] + ("0" if not signed(url).endswith("0") else "1")
    assert edge.get(re.sub("signature=.", "signature=g", signed(url))).status == 403
    assert edge.get(wrong).status in {200, 403}  # another second may have begun between the two
    assert_problem(edge.get(signed(url).replace("key=new", "key=old")), 403, "signature-wrong")
    assert_problem(edge.get(signed(url, Key("new", bytes(32)))), 403, "signature-wrong")


def test_what_is_cached_expires_for_who_had_a_signature(edge, secret):
    url = secret()
    short = signed(url, seconds=2)
    assert edge.get(short).status == 200
    assert edge.get(signed(url)).cache == "HIT"
    until(lambda: edge.get(short).status != 200, 30, "it expires")
    assert_problem(edge.get(short), 410, "signature-expired")
    assert edge.get(short, "HEAD").status == 410
    assert edge.get(short, Range="bytes=0-9").status == 410
    assert (edge.get(signed(url)).status, edge.get(signed(url)).cache) == (200, "HIT")


def test_heads_ranges_and_conditions_are_those_of_any_clip(edge, tap, secret):
    url = secret()
    head = edge.get(signed(url), "HEAD")
    whole = edge.get(signed(url))
    assert (head.status, head.cache, head.body, whole.cache) == (200, "MISS", b"", "HIT")
    assert head.headers["content-length"] == str(len(whole.body))
    part = edge.get(signed(url), Range="bytes=100-199")
    assert (part.status, part.cache, part.body) == (206, "HIT", whole.body[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.body)}"
    same = edge.get(signed(url), If_None_Match=whole.headers["etag"])
    assert (same.status, same.body) == (304, b"")
    assert edge.get(signed(url), If_Modified_Since=whole.headers["last-modified"]).status == 304
    assert edge.get(signed(url), If_Match='"another"').status == 412
    assert edge.get(signed(url), Range="bytes=99999999-").status == 416
    assert len(fills(tap)) == 1


def test_a_first_request_for_a_range_fills_the_whole(edge, tap, secret):
    url = secret()
    part = edge.get(signed(url), Range="bytes=5-9")
    whole = edge.get(signed(url))
    assert (part.status, part.cache, whole.cache) == (206, "MISS", "HIT")
    assert part.body == whole.body[5:10]


def test_only_the_clients_own_cache_may_keep_it_and_no_longer_than_the_signature(edge, members, secret):
    url = secret()
    for target in (signed(url, seconds=100), signed(url, seconds=100)):
        for answer in (edge.get(target), edge.get(target, Range="bytes=0-9"), edge.get(target, "HEAD")):
            ((_, value),) = [field for field in answer.fields if field[0] == "cache-control"]
            assert value.startswith("private, max-age=")
            assert 90 <= int(value.rpartition("=")[2]) <= 100
    etag = edge.get(signed(url)).headers["etag"]
    assert edge.get(signed(url), If_None_Match=etag).headers["cache-control"].startswith("private, max-age=")
    assert edge.get(signed(url, seconds=10**6)).headers["cache-control"] == "private, max-age=86400"
    missing = edge.get(signed("/clips/deep/nothing.mp3?t=1,2"))
    assert (missing.status, missing.headers["cache-control"]) == (404, "no-store")
    straight = members.get(signed(url, seconds=100))
    assert straight[1]["cache-control"].startswith("private, max-age=")


def test_every_spelling_of_a_signed_url_shares_the_entry(edge, tap, secret):
    url = secret()
    assert edge.get(signed(url)).cache == "MISS"
    right = signed(url)
    for spelled in (
        right.replace("&t=", "&t=npt:"),
        right.replace("/deep/", "/deep//x/../"),
        right.replace("show", "s%68ow"),
    ):
        answer = edge.get(spelled)
        assert (answer.status, answer.cache) == (200, "HIT"), spelled
    named = edge.get(signed(url, download="Minute one"))
    assert (named.status, named.cache) == (200, "HIT")
    assert named.headers["content-disposition"] == 'attachment; filename="Minute one.mp3"'
    assert len(fills(tap)) == 1


def test_what_needs_no_signature_is_served_and_kept_as_ever(edge, tap, fresh):
    url = fresh()
    first, second = edge.get(url), edge.get(url.replace("t=", "t=npt:"))
    assert (first.status, first.cache, second.cache) == (200, "MISS", "HIT")
    assert second.headers["cache-control"] == "public, max-age=86400"
    # A signature that nobody asked for does no harm.
    assert edge.get(signed(url)).cache == "HIT"
    assert len(fills(tap)) == 1


@pytest.mark.parametrize("name", ["two%20words.mp3", "50%25.mp3", "wh%3Ft.mp3", "m%C3%BCsli.mp3"])
def test_odd_names_are_served_and_kept(edge, server, name):
    for number in range(2):
        answer = edge.get(f"/clips/{name}?t=1,3.{number}5")
        again = edge.get(f"/clips/{name}?t=1,3.{number}5")
        assert (answer.status, again.cache) == (200, "HIT")
        assert again.body == server.get(f"/clips/{name}?t=1,3.{number}5")[2]


def test_renders_waveforms_and_descriptions_are_guarded_too(edge):
    for url in (
        "/renders/deep/er/show.wav?t=1,2&gain=-3",
        "/peaks/deep/er/show.json?pixels=20",
        "/peaks/deep/er/show.mp3?pixels=20",
        "/info/deep/er/show.mp3",
    ):
        assert_problem(edge.get(url), 403, "signature-missing")
        first, second = edge.get(signed(url)), edge.get(signed(url, OLD))
        assert (first.status, second.status) == (200, 200), url
        assert first.body == second.body
        assert second.cache == ("HIT" if "info" not in url else "NONE")
        assert second.headers["cache-control"].startswith("private, max-age=")
        assert_problem(edge.get(url), 403, "signature-missing")
        assert_problem(edge.get(signed(url, seconds=-1)), 410, "signature-expired")
    for url in ("/transcripts/deep/er/show.vtt", "/chapters/deep/er/show.json", "/covers/deep/er/show.mp3"):
        assert_problem(edge.get(url), 403, "signature-missing")
        assert edge.get(signed(url)).status == 404


def test_the_list_has_nothing_of_what_is_guarded(edge):
    answer = edge.get("/library")
    assert answer.status == 200
    paths = [source["path"] for source in json.loads(answer.body)["sources"]]
    assert "show.mp3" in paths
    assert not any(path.startswith("deep/") for path in paths)


def place_of(members, url):
    """Where Nginx keeps the answer to a signed URL, as the slicer tells it."""
    status, headers, _ = members.get(signed(url), X_Sendfile_Type="X-Accel-Redirect", X_Slicer_Checks="1")
    assert status == 200
    return headers["x-accel-redirect"]


def test_no_url_leads_to_the_place_behind_the_check(edge, tap, members, secret):
    url = secret()
    assert edge.get(signed(url)).status == 200
    place = place_of(members, url)
    assert place.startswith("/.signed/")
    for target in (
        place,
        "/" + place,
        place.replace("/.", "/%2e"),
        place.replace("/.", "/%2E"),
        "/x/.." + place,
        "/." + place,
        "/clips/.." + place,
        f"/.open{url}",
        f"//.open{url}",
        f"/%2eopen{url}",
        f"/clips/../.open{url}",
        f"/.signed/0/0/0/0{url}",
        f"/.errors/../.open{url}",
    ):
        for request in (f"GET {target} HTTP/1.1", f"GET http://localhost{target} HTTP/1.1", f"HEAD {target} HTTP/1.0"):
            found, fields, _ = raw(edge.port, f"{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            assert found in {400, 404}, target
            assert fields["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "fields",
    [
        {"X-Slicer-Signature": "1 2 3"},
        {"X-Slicer-Checks": "0"},
        {"X-Accel-Redirect": "/.open/clips/deep/er/show.mp3?t=1,2"},
        {"X-Original-URL": "/clips/show.mp3"},
        {"X-Rewrite-URL": "/clips/show.mp3"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Slicer-Client": "1"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_no_header_opens_anything(edge, members, secret, fields):
    url = secret()
    assert edge.get(signed(url)).status == 200
    named = {name.replace("-", "_"): text for name, text in fields.items()}
    assert edge.get(url, **named).status == 403
    assert members.get(url, **named)[0] == 403


def test_a_stale_entry_is_asked_about_by_who_may(media, keys, fresh):
    """It is served at once and made new behind the scenes, with the signature of who asked."""
    environ = {"SLICER_SIGNING_KEYS": keys, "SLICER_CLIP_MAX_AGE": "1"}
    with (
        serving(media, "--cpus", "1", environ=environ) as server,
        tapped(server.port) as tap,
        edge_of([site(tap.port, signed=True)]) as edge,
    ):
        url = fresh()
        assert edge.get(signed(url)).cache == "MISS"
        time.sleep(2.1)
        tap.forget()
        assert edge.get(signed(url)).cache == "STALE"
        until(lambda: 304 in tap.statuses, 30, "the slicer says that it is the same")
        assert edge.get(signed(url)).cache == "HIT"
        assert edge.get(url).status == 403
        # All is signed for: nobody gets a list.
        assert json.loads(edge.get("/library").body)["sources"] == []


def test_a_proxy_that_does_not_ask_keeps_nothing(members, secret):
    """A site that was not told of signatures is slow, and nothing else."""
    with edge_of([site(members.port)]) as careless:
        url = secret()
        for _ in range(2):
            answer = careless.get(signed(url))
            assert (answer.status, answer.cache) == (200, "NONE")
            assert careless.get(url).status == 403
        assert careless.get(signed(url, seconds=-5)).status == 410
        assert not any(b"audio/mpeg" in pathlib.Path(path).read_bytes() for path in careless.entries())


def test_the_log_has_no_signature(edge, secret):
    url = secret()
    target = signed(url)
    edge.get(target)
    edge.get(target + "&download=x")
    until(lambda: sum(each["target"].startswith(url.partition("?")[0]) for each in edge.log()) >= 2, 30, "it is logged")
    assert target.rpartition("=")[2] not in json.dumps(edge.log())


def test_a_source_that_changes_is_signed_for_as_before(media, members, edge, secret):
    url = secret()
    before = edge.get(signed(url))
    path = os.path.join(media, "deep/er/show.mp3")
    os.utime(path)
    straight = members.get(signed(url))
    assert straight[0] == 200
    assert straight[1]["etag"] != before.headers["etag"]
