"""What one client leaves in the cache for the others: no refusal that is its own, and no error when it is old."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mp3_slicer.signing import Key, Signature
from mp3_slicer.web.problems import MAX_AGE
from mp3_slicer.web.proxy import cache_control
from mp3_slicer.web.request import Passed
from mp3_slicer.web.response import NO_STORE, Caching, Response
from support.edge import Answer as Answered
from support.edge import Edge, Tap, edge_of, site
from support.requests import request_of
from support.server import Server, free_port, until
from support.stub import Say, stub_of

#: Statuses of answers that depend on the client or on the moment.
OWN = (401, 403, 410, 429)
SITES = ("plain", "signed")
STALE = "public, max-age=1, stale-while-revalidate=31536000"
#: Nginx counts whole seconds: an entry of one second is too old after two, at the latest.
EXPIRED = 2.1


def test_a_signature_that_expires_before_the_fill_is_one_clients_matter(
    front: Callable[..., Edge],
    tapping: Callable[[int], Tap],
    members: Server,
    secret: Callable[[], str],
    sign: Callable[..., str],
) -> None:
    tap = tapping(members.port)
    edge = front(site(tap.port, signed=True))
    url = secret()
    tap.only = "x-slicer-signature"
    with ThreadPoolExecutor(1) as pool, tap.hold():
        late = pool.submit(edge.get, sign(url, seconds=2))
        until(
            lambda: any("x-slicer-signature" in request.lower() for request, _ in tap.seen), 5, "the fill is asked for"
        )
        time.sleep(3)
        tap.release()
        assert late.result().status == 410
    assert late.result().headers["cache-control"] == "no-store"
    answers = [edge.get(sign(url)) for _ in range(2)]
    assert [(answer.status, answer.cache) for answer in answers] == [(200, "MISS"), (200, "HIT")]


@pytest.fixture(scope="module")
def stubbed() -> Iterator[tuple[dict[str, Say], Edge]]:
    """What is said of each path, and an edge with a plain and a signed site before the server that says it."""
    said: dict[str, Say] = {}
    with stub_of(lambda target: said[target.partition("?")[0]]) as stub:
        sites = [site(stub.port, name, server_names=[f"{name}.test"], signed=name == "signed") for name in SITES]
        limits = {"nginx_client_misses": 60_000, "nginx_client_misses_burst": 1000}
        with edge_of(sites, **limits, nginx_misses_listen=f"127.0.0.1:{free_port()}") as edge:
            yield said, edge


def test_no_answer_that_depends_on_the_client_or_the_moment_is_kept(stubbed: tuple[dict[str, Say], Edge]) -> None:
    """Whatever its Cache-Control says: another slicer, or an older one, may say that it is public."""
    said, edge = stubbed
    for status in OWN:
        path = f"/clips/own-{status}.mp3"
        for name in SITES:
            said[path] = Say(status, "public, max-age=60")
            assert edge.get(f"{path}?t=1,2", Host=f"{name}.test").status == status
            said[path] = Say(200, "public, max-age=60")
            answers = [edge.get(f"{path}?t=1,2", Host=f"{name}.test") for _ in range(2)]
            assert [(each.status, each.cache) for each in answers] == [(200, "MISS"), (200, "HIT")]


def test_a_slicer_says_no_store_of_them() -> None:
    assert not set(OWN) & set(MAX_AGE)


def test_no_error_is_served_when_it_is_old(stubbed: tuple[dict[str, Say], Edge]) -> None:
    """The first who asks after a file was published has it; of a clip, the first has the old one while a new one is fetched."""
    said, edge = stubbed
    cases = [(status, f"/clips/old-{status}.mp3", name) for status in (400, 404, 413, 422) for name in SITES]

    def get(path: str, name: str) -> Answered:
        return edge.get(f"{path}?t=1,2", Host=f"{name}.test")

    def say(answer: Callable[[int], Say]) -> None:
        said.update({path: answer(status) for status, path, _ in cases})
        time.sleep(EXPIRED)

    say(lambda status: Say(status, "public, max-age=1"))
    for status, path, name in cases:
        # Kept for a second, but not among clips.
        assert (get(path, name).status, get(path, name).cache) == (status, "MISS")
    say(lambda _: Say(200, STALE, b"one"))
    for _, path, name in cases:
        assert (get(path, name).body, get(path, name).cache) == (b"one", "HIT")
    say(lambda _: Say(200, STALE, b"two"))
    for _, path, name in cases:
        stale = get(path, name)
        assert (stale.body, stale.cache) == (b"one", "STALE")
        until(lambda path=path, name=name: get(path, name).body == b"two", 30, "the new one is there")
    # A source that is gone is not served for ever.
    say(lambda status: Say(status, "public, max-age=1"))
    for status, path, name in cases:
        assert get(path, name).cache == "STALE"
        until(lambda path=path, name=name, status=status: get(path, name).status == status, 30, "it is gone")


def test_what_a_slicer_says_to_the_edge_alone_reaches_no_client(
    edge: Edge, fresh: Callable[[], str], server: Server
) -> None:
    url = fresh()
    for answer in (
        edge.get(url, Host="plain.test"),
        edge.get(url, Host="plain.test"),
        edge.get("/openapi.json", Host="plain.test"),
    ):
        assert re.fullmatch(r"public, max-age=[0-9]+", answer.headers["cache-control"])
    asked = server.get(url, X_Slicer_Cache="stale")[1]["cache-control"]
    assert asked.endswith(", stale-while-revalidate=31536000")
    assert "stale" not in server.get(url)[1]["cache-control"]
    assert "stale" not in server.get("/clips/nothing.mp3?t=1,2", X_Slicer_Cache="stale")[1]["cache-control"]


@pytest.mark.parametrize(
    ("status", "caching", "private", "asked", "said"),
    [
        (200, Caching(86400), None, "stale", "public, max-age=86400, stale-while-revalidate=31536000"),
        (304, Caching(86400), None, "stale", "public, max-age=86400, stale-while-revalidate=31536000"),
        (200, Caching(86400), None, "", "public, max-age=86400"),
        (404, Caching(10), None, "stale", "public, max-age=10"),
        (200, Caching(60), 10, "stale", "private, max-age=10"),
        (200, Caching(10), 60, "", "private, max-age=10"),
        (200, NO_STORE, 60, "stale", "no-store"),
        (200, None, 60, "stale", None),
    ],
)
def test_only_what_is_good_and_public_may_be_sent_late(
    status: int, caching: Caching | None, private: int | None, asked: str, said: str | None
) -> None:
    request = request_of(HTTP_X_SLICER_CACHE=asked)
    if private is not None:
        request.passed = Passed(Signature(Key("one", b""), 0), private, filling=False)
    assert cache_control(request, Response(status, [], (), caching)) == said
