"""Jobs over HTTP: the real server without Nginx, real workers, a real Redis."""

import http.client
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mp3_slicer.server.express import RUN_USER
from mp3_slicer.signing import Key, add_key, read_keys, signed_url
from support.exposition import Samples, parse, value
from support.jobs import Broker, Place, Worker, broker_of, place_of
from support.server import Server, folder, serving, until

LONG = "/renders/hour.opus?t=0,1800"


class Site:
    """A server and the place that its jobs are done at."""

    def __init__(self, place: Place, server: Server) -> None:
        self.place = place
        self.server = server

    def ask(
        self, method: str, target: str, document: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """One request with a body of JSON; status, headers in lower case, and the body's JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            fields = {name.replace("_", "-"): text for name, text in headers.items()}
            body = None
            if document is not None:
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                fields.setdefault("Content-Type", "application/json")
            connection.request(method, target, body, fields)
            answer = connection.getresponse()
            data = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            assert int(found.get("content-length", 0)) == len(data) or method == "HEAD"
            return answer.status, found, json.loads(data) if "json" in found.get("content-type", "") else {"": data}
        finally:
            connection.close()

    def post(self, url: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        return self.ask("POST", "/jobs", {"request": url})

    def ended(self, target: str) -> dict[str, Any]:
        """What `/wait` says in the end, asked as a client asks."""
        while True:
            status, headers, body = self.ask("GET", target + "/wait")
            assert status == 200
            if body["state"] not in {"queued", "running"}:
                return body
            time.sleep(min(0.5, float(headers["retry-after"])))


@pytest.fixture(scope="module")
def site(media: str, broker: Broker) -> Iterator[Site]:
    """A server whose jobs nobody works on, unless a test has a worker."""
    with place_of(media, broker) as place, serving(media, "--cpus", "1", environ=place.environ) as server:
        yield Site(place, server)


@pytest.fixture
def worker(site: Site) -> Iterator[None]:
    worker = site.place.worker("--short", "1", "--long", "1")
    yield
    worker.stop()


@pytest.fixture
def fresh(site: Site) -> Callable[[str], str]:
    """A render that no test has asked for."""
    return lambda form="wav": f"/renders/show.{form}?t=1,2.{time.monotonic_ns() % 10**9 | 1:09d}"


def test_a_job_from_the_question_to_the_result(site: Site, worker: None, fresh: Callable[[], str]) -> None:
    url = fresh()
    status, headers, body = site.post(url)
    assert status == 202
    assert headers["location"] == f"/jobs/{body['id']}"
    assert headers["cache-control"] == "no-store"
    assert int(headers["retry-after"]) > 0
    assert (body["state"], body["request"], body["result"]) == ("queued", url, None)
    ended = site.ended(headers["location"])
    assert (ended["state"], ended["progress"], ended["result"]) == ("done", 1.0, url)
    status, there, _ = site.ask("GET", headers["location"])
    assert (status, there["location"]) == (303, url)
    status, fields, data = site.ask("GET", url)
    assert (status, fields["content-type"]) == (200, "audio/wav")
    # Asked for again it is there at once, and its own URL sends it at once too.
    assert site.post(url)[0] == 303
    assert site.ask("GET", url, Prefer="respond-async")[0] == 200
    assert site.ask("GET", url, If_None_Match=fields["etag"])[0] == 304
    assert len(data[""]) == int(fields["content-length"])


def test_asked_for_in_other_spellings_it_is_the_same_job(site: Site) -> None:
    _, one, _ = site.post("/renders/show.ogg?t=1,2.5&gain=-3")
    _, other, _ = site.post("/renders/show.ogg?gain=-3.000&t=00:01,00:02.50&download=x")
    _, third, _ = site.ask("GET", "/renders/show.ogg?gain=-3.0&t=npt:1,2.5", Prefer="respond-async")
    assert one["location"] == other["location"] == third["location"]


@pytest.mark.parametrize("prefer", ["respond-async", 'foo="a,b";x=1, Respond-Async', "respond-async, wait=10"])
def test_a_render_becomes_a_job_where_its_client_prefers_that(
    site: Site, fresh: Callable[[], str], prefer: str
) -> None:
    status, headers, body = site.ask("GET", fresh(), Prefer=prefer)
    assert (status, headers["preference-applied"]) == (202, "respond-async")
    assert headers["location"] == f"/jobs/{body['id']}"
    assert headers["cache-control"] == "no-store"


def test_a_waveform_is_a_job_too(site: Site, worker: None) -> None:
    status, headers, _ = site.ask("GET", "/peaks/hour.json?pixels=33", Prefer="respond-async")
    assert status == 202
    ended = site.ended(headers["location"])
    assert ended["result"].startswith("/peaks/hour.json?")
    assert site.ask("GET", ended["result"])[2]["length"] == 33


@pytest.mark.parametrize("prefer", ["", "return=minimal", "wait=10", "respond-asyncx", "=", '"', ",,;"])
def test_a_short_render_is_sent_at_once_to_all_others(site: Site, fresh: Callable[[], str], prefer: str) -> None:
    assert site.ask("GET", fresh(), Prefer=prefer)[0] == 200


def test_a_long_render_becomes_a_job_where_its_client_would_wait(site: Site) -> None:
    assert site.ask("GET", LONG)[0] == 413
    status, headers, body = site.ask("GET", LONG, Prefer="wait=10")
    assert status == 202
    assert "preference-applied" not in headers
    assert site.ask("DELETE", body["cancel"])[2]["state"] == "cancelled"
    assert body["request"] == LONG


def test_cancelling(site: Site, worker: None, fresh: Callable[[], str]) -> None:
    _, headers, accepted = site.post("/renders/hour.m4a?t=0,3000")
    target = headers["location"]
    until(lambda: site.ask("GET", target)[2]["progress"] > 0, 60, "it is being worked on")
    running = site.ask("GET", target)[2]
    assert running["state"] == "running"
    assert running["seconds_left"] > 0
    assert "cancel" not in running
    status, _, body = site.ask("DELETE", accepted["cancel"])
    assert (status, body["state"]) == (200, "cancelled")
    assert site.ask("DELETE", accepted["cancel"])[0] == 200
    assert site.ask("GET", target)[2]["state"] == "cancelled"
    _, headers, accepted = site.post(fresh())
    site.ended(headers["location"])
    status, _, body = site.ask("DELETE", accepted["cancel"])
    assert (status, body["type"], body["state"]) == (409, "urn:slicer:problem:job-ended", "done")


def test_a_result_that_is_gone(site: Site, worker: None, fresh: Callable[[], str]) -> None:
    url = fresh()
    target = site.post(url)[1]["location"]
    site.ended(target)
    job = site.place.job(target.rpartition("/")[2])
    site.place.results.drop(job.order.key)
    status, _, body = site.ask("GET", target)
    assert (status, body["type"], body["request"]) == (410, "urn:slicer:problem:result-gone", url)
    assert site.post(url)[0] == 202
    assert site.ended(target)["state"] == "done"


def test_events_without_a_proxy_are_the_state_of_now(site: Site, fresh: Callable[[], str]) -> None:
    target = site.post(fresh())[1]["location"]
    status, headers, body = site.ask("GET", target + "/events")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/event-stream", "no-store")
    retry, event, data, *rest = body[""].decode().split("\n")
    assert (retry, event) == ("retry: 2000", "event: state")
    assert json.loads(data.removeprefix("data: "))["state"] == "queued"
    assert rest == ["", ""]


@pytest.mark.parametrize(
    ("document", "status", "kind"),
    [
        (b"", 400, "body-malformed"),
        (b"{", 400, "body-malformed"),
        (b"[" * 10_000, 400, "body-malformed"),
        (b"\xff", 400, "body-malformed"),
        ([], 400, "body-malformed"),
        ({}, 400, "body-malformed"),
        ({"request": LONG, "more": 1}, 400, "body-malformed"),
        ({"request": 7}, 400, "request-malformed"),
        ({"request": "/clips/show.mp3"}, 400, "request-malformed"),
        ({"request": "http://127.0.0.1/renders/show.wav"}, 400, "request-malformed"),
        ({"request": "/renders/show.wav?" + "x" * 9000}, 400, "request-malformed"),
        ({"request": "/renders/show.wav?" + "x" * 5000}, 400, "query-too-long"),
        ({"request": "/renders/show.wav?nothing=1"}, 400, "option-unknown"),
        ({"request": "/renders/show.wav?gain=1&gain=1"}, 400, "option-repeated"),
        ({"request": "/renders/show.wav?gain=loud"}, 400, "option-refused"),
        ({"request": "/renders/show.wav?t=\ud800"}, 400, "request-malformed"),
        ({"request": "/renders/show.xyz?t=1,2"}, 400, "option-refused"),
        ({"request": "/renders/show.wav?t=100,200"}, 400, "span-outside"),
        ({"request": "/peaks/show.json?t=100,200"}, 400, "span-outside"),
        ({"request": "/renders/nothing.wav?t=1,2"}, 404, "not-found"),
        ({"request": "/renders/../../etc/passwd.wav?t=1,2"}, 404, "not-found"),
        ({"request": "/renders/%00.wav?t=1,2"}, 404, "not-found"),
        (b"x" * 20_000, 413, "body-too-long"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(site: Site, document: Any, status: int, kind: str) -> None:
    found, headers, body = site.ask("POST", "/jobs", document)
    assert (found, body["type"].rpartition(":")[2]) == (status, kind)
    assert headers["content-type"] == "application/problem+json"


def test_a_body_of_another_type_is_refused(site: Site) -> None:
    assert site.ask("POST", "/jobs", b"request=x", Content_Type="application/x-www-form-urlencoded")[0] == 415


@pytest.mark.parametrize("name", ["0" * 40, "x", "%00", "..%2f", "0" * 2000, "wait"])
@pytest.mark.parametrize("tail", ["", "/wait", "/events", "/nothing"])
def test_a_job_that_there_is_not(site: Site, name: str, tail: str) -> None:
    for method in ("GET", "DELETE") if not tail else ("GET",):
        assert site.ask(method, f"/jobs/{name}{tail}")[0] == 404


def test_methods(site: Site) -> None:
    target = "/jobs/" + "0" * 40
    for path, allow in (
        ("/jobs", "POST, OPTIONS"),
        (target, "GET, HEAD, DELETE, OPTIONS"),
        (target + "/wait", "GET, HEAD, OPTIONS"),
    ):
        status, headers, _ = site.ask("OPTIONS", path)
        assert (status, headers["allow"]) == (204, allow)
        status, headers, _ = site.ask("PUT", path)
        assert (status, headers["allow"]) == (405, allow)
    assert site.ask("GET", "/jobs")[0] == 405
    assert site.ask("POST", "/clips/show.mp3", {})[0] == 405


def test_without_redis_clips_and_renders_go_on(media: str, fresh: Callable[[], str]) -> None:
    with (
        broker_of() as broker,
        place_of(media, broker) as place,
        serving(media, "--cpus", "1", environ=place.environ) as server,
    ):
        site = Site(place, server)
        url = fresh()
        target = site.post(url)[1]["location"]
        broker.kill()
        for status, headers, body in (
            site.post(fresh()),
            site.ask("GET", fresh(), Prefer="respond-async"),
            site.ask("GET", target),
            site.ask("GET", target + "/wait"),
            site.ask("DELETE", target),
        ):
            assert (status, body["type"]) == (503, "urn:slicer:problem:try-again")
            assert int(headers["retry-after"]) > 0
        assert site.ask("GET", "/clips/show.mp3?t=1,2")[0] == 200
        assert site.ask("GET", fresh())[0] == 200
        assert site.ask("GET", fresh(), Prefer="wait=5")[0] == 200
        broker.start()
        # What was accepted is still there.
        place.worker("--short", "1", "--long", "1")
        assert site.ended(target)["state"] == "done"


def test_without_a_broker_there_are_no_jobs(media: str, fresh: Callable[[], str]) -> None:
    with serving(media, "--cpus", "1") as server:
        site = Site(None, server)  # type: ignore[arg-type]
        for method, target in (("POST", "/jobs"), ("GET", "/jobs/" + "0" * 40), ("GET", "/jobs/x/wait")):
            status, _, body = site.ask(method, target)
            assert (status, body["type"]) == (501, "urn:slicer:problem:no-jobs")
        assert site.ask("GET", fresh(), Prefer="respond-async")[0] == 200
        # Nothing of Celery or Redis is loaded.
        for pid in server.daemons("clips") + server.daemons("renders"):
            with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
                assert "redis" not in maps.read()
    assert os.environ.get("SLICER_JOBS_BROKER") is None


def test_a_job_carries_the_name_of_its_request_to_the_worker(site: Site, fresh: Callable[[], str]) -> None:
    # Made by a user other than ours; pytest closes its own folders to all others.
    place = folder()
    os.chmod(place, 0o777)
    log = Path(place, "jobs.log")
    url = fresh()
    name = "the-request.that_asked-1"
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = f"00-{trace}-00f067aa0ba902b7-01"
    status, headers, body = site.ask("POST", "/jobs", {"request": url}, X_Request_Id=name, Traceparent=parent)
    assert (status, headers["x-request-id"]) == (202, name)
    # Who asks for the same has a name of their own, and the job keeps the first.
    assert site.ask("POST", "/jobs", {"request": url}, X_Request_Id="another-request")[2]["id"] == body["id"]
    worker = Worker({**site.place.environ, "SLICER_REQUEST_LOG": str(log)}, "--short", "1", "--long", "1")
    try:
        assert site.ended(f"/jobs/{body['id']}")["state"] == "done"
        until(lambda: log.exists() and '"done"' in log.read_text(), 30, "it is logged")
    finally:
        worker.stop()
    # Jobs that other tests have left are done meanwhile, too.
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    started, done = (line for line in lines if line["job"] == body["id"])
    for line in (started, done):
        assert (line["request_id"], line["trace_id"]) == (name, trace)
        assert (line["job"], line["target"]) == (body["id"], url)
    assert (started["event"], done["event"], done["reason"]) == ("started", "done", None)
    assert done["seconds"] > 0


def figures(site: Site) -> Samples:
    status, _, data = site.server.get("/metrics")
    assert status == 200
    return parse(data.decode())


def test_jobs_are_told_by_lane_and_state(site: Site, fresh: Callable[[], str]) -> None:
    before = figures(site)
    assert value(before, "slicer_jobs_up") == 1
    assert value(before, "slicer_jobs_store_used_bytes") > 100_000
    assert value(before, "slicer_jobs_store_saves") == 1
    for _ in range(3):
        assert site.post(fresh())[0] == 202
    assert site.ask("DELETE", site.post(fresh())[2]["cancel"])[0] == 200
    now = figures(site)

    def more(name: str, **labels: str) -> float:
        return value(now, name, **labels) - value(before, name, **labels)

    assert more("slicer_jobs", lane="short", state="queued") == 3
    assert more("slicer_jobs_total", lane="short", state="opened") == 4
    assert more("slicer_jobs_total", lane="short", state="cancelled") == 1
    worker = site.place.worker("--short", "1", "--long", "1")
    try:
        until(lambda: value(figures(site), "slicer_jobs", lane="short") == 0, 60, "all have ended")
    finally:
        worker.stop()
    now = figures(site)
    assert more("slicer_jobs_total", lane="short", state="done") == 3
    assert more("slicer_job_seconds_total", lane="short") > 0


# ------------------------------------------------------------------------------------------------------------ signed URLs


@pytest.fixture
def guarded(media: str, broker: Broker) -> Iterator[tuple[Site, Key]]:
    """A server that answers signed URLs alone, with a worker; and its key."""
    secrets = folder()
    path = os.path.join(secrets, "keys")
    add_key(path, "k1")
    if os.geteuid() == 0:
        shutil.chown(path, RUN_USER, RUN_USER)
    try:
        with (
            place_of(media, broker, SLICER_SIGNING_KEYS=path) as place,
            serving(media, "--cpus", "1", environ=place.environ) as server,
        ):
            worker = place.worker("--short", "1", "--long", "0")
            yield Site(place, server), read_keys(path).newest
            worker.stop()
    finally:
        shutil.rmtree(secrets)


def test_a_signed_job_gives_its_result_to_who_has_a_signature(guarded: tuple[Site, Key]) -> None:
    site, key = guarded
    plain, expires = "/renders/show.wav?t=1,2.5&gain=-4", int(time.time()) + 600
    pairs = [("t", "1,2.5"), ("gain", "-4")]
    signed = signed_url(b"/renders/show.wav", pairs, key, expires)
    for refused in (plain, signed[:-1] + ("0" if signed[-1] != "0" else "1")):
        assert site.post(refused)[0] == 403
    status, headers, body = site.post(signed)
    assert status == 202
    # Who may see the job learns its result's URL and no signature.
    assert "signature" not in json.dumps(body)
    ended = site.ended(headers["location"])
    assert (ended["state"], ended["result"]) == ("done", plain)
    status, there, _ = site.ask("GET", headers["location"])
    assert (status, there["location"]) == (303, plain)
    assert site.ask("GET", plain)[0] == 403
    status, fields, data = site.ask("GET", signed)
    assert (status, fields["content-type"], len(data[""]) > 0) == (200, "audio/wav", True)
    assert site.ask("GET", signed_url(b"/renders/show.wav", pairs, key, int(time.time()) - 1))[0] == 410
