"""What clients that Nginx holds get: read by the origins of the settings alone, as JSON or events, and as a problem where it is refused."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from support.hold import MODULE, Held, House, house_of
from support.jobs import Broker
from support.server import raw

pytestmark = pytest.mark.skipif(not MODULE.exists(), reason="needs Debian's package libnginx-mod-nchan")
ORIGINS = ["https://a.test", "https://b.test"]


@pytest.fixture(scope="module", params=["two", "all"])
def case(request: pytest.FixtureRequest, media: str, broker: Broker) -> Iterator[tuple[list[str], House, str]]:
    """The origins of the settings, everything, and a job that nobody works on."""
    origins = {"two": ORIGINS, "all": ["*"]}[request.param]
    settings = {"SLICER_CORS_ORIGINS": ",".join(origins)}
    with house_of(media, broker, settings, site={"origins": origins}) as house:
        yield origins, house, house.post("/renders/hour.m4a?t=1,3000")


def head_of(house: House, target: str, accept: str, origin: str | None) -> str:
    """What a held request gets: the head of its answer. Something is published, so that it comes."""
    held = Held(house, target, accept + (f"\r\nOrigin: {origin}" if origin else ""))
    if target.endswith("/wait"):
        # Its answer comes with what it waits for.
        job = house.place.job(target.split("/")[2])
        while b"\r\n\r\n" not in held.data:
            publish(house, "state" if target.endswith("events") else "tick", job.channel)
            held.socket.settimeout(0.2)
            try:
                held.data += held.socket.recv(65536)
            except TimeoutError:
                continue
    else:
        while b"\r\n\r\n" not in held.data:
            held.data += held.socket.recv(65536)
    held.socket.close()
    return held.data.decode("latin-1").partition("\r\n\r\n")[0].lower()


def publish(house: House, what: str, channel: str, kind: str = "application/json") -> int:
    url = house.place.environ["SLICER_JOBS_PUBLISH"]
    request = urllib.request.Request(f"{url}/{what}/{channel}", b'{"state": "queued"}', {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_settings_say_who_may_read(case: tuple[list[str], House, str]) -> None:
    origins, house, target = case
    own = "http://x"  # the Host that Held asks with
    for way, accept in (("wait", "application/json"), ("events", "text/event-stream")):
        for origin in ("https://a.test", "https://b.test", "https://evil.test", "null", own, None):
            head = head_of(house, f"{target}/{way}", accept, origin)
            allowed = [
                line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("access-control-allow-origin")
            ]
            if "*" in origins:
                assert allowed in ([], ["*"], [origin])
                assert " 200 " in head
            elif origin in (*origins, own):
                assert (allowed, " 200 " in head) == ([origin], True), head
            elif origin is None:
                assert allowed in ([], ["none"])
                assert " 200 " in head
            else:
                assert "none" not in allowed
                assert origin not in allowed
                assert "*" not in allowed
                assert " 403 " in head
                assert "application/problem+json" in head


def test_events_without_their_type_are_refused_with_a_problem(case: tuple[list[str], House, str]) -> None:
    _, house, target = case
    for accept in ("", "Accept: */*\r\n", "Accept: application/json\r\n"):
        status, fields, body = raw(
            house.edge.port, f"GET {target}/events HTTP/1.1\r\nHost: x\r\n{accept}Connection: close\r\n\r\n".encode()
        )
        assert (status, fields["content-type"], json.loads(body)["status"]) == (406, "application/problem+json", 406)
    assert " 200 " in head_of(house, f"{target}/events", "text/html, text/event-stream;q=0.9", None)


def test_what_is_published_cannot_choose_its_type(case: tuple[list[str], House, str]) -> None:
    _, house, target = case
    channel = house.place.job(target.split("/")[2]).channel
    for kind in ("text/html", "application/json, text/html", "application/jsonx", "", "text/html; application/json"):
        assert publish(house, "tick", channel, kind) == 415, kind
    assert publish(house, "tick", channel) < 300
    head = head_of(house, f"{target}/wait", "text/html", None)
    assert "content-type: application/json" in head
    assert "x-content-type-options: nosniff" in head
