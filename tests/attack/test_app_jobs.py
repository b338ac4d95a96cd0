"""One client against the queue of all: its share is bounded, what it cancels costs minutes, and it ends nobody else's job."""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from mp3_slicer.failures import Failure
from mp3_slicer.jobs import JobsBusyError, JobsShareError, JobsTokenError, Order, State
from mp3_slicer.jobs.jobqueue import open_store
from mp3_slicer.jobs.order import LONG, SHORT
from mp3_slicer.jobs.store import Asker, JobStore
from mp3_slicer.settings import Settings
from mp3_slicer.web.app import Slicer, create_app
from mp3_slicer.web.request import Clients
from support import streams
from support.jobs import Broker
from support.server import folder

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def media() -> str:
    path = folder()
    streams.make("mpeg1-44-stereo-cbr128", path, seconds=20)
    os.rename(os.path.join(path, next(name for name in os.listdir(path) if name.endswith(".mp3"))), f"{path}/show.mp3")
    return path


@pytest.fixture
def settings(media: str, broker: Broker) -> Callable[..., Settings]:
    """Settings of a queue of this test's own."""
    name = f"attack{next(NUMBERS)}"

    def make(**more: str) -> Settings:
        folders = {f"SLICER_{each}_DIR": os.path.join(media, f".{each}") for each in ("INDEX", "RESULTS", "SCRATCH")}
        given = {"SLICER_MEDIA": media, "SLICER_JOBS_BROKER": broker.url, "SLICER_JOBS_NAME": name, **folders, **more}
        return Settings.from_environ(given)

    return make


def order(number: int) -> Order:
    key = f"{number:040x}"
    url = f"/renders/show.wav?t=0,{number + 1}"
    return Order(
        kind="render", path=b"show.mp3", form="wav", query=f"t=0,{number + 1}", key=key, url=url, work_seconds=1
    )


# ------------------------------------------------------------------------------------------------------------- limits


def test_a_client_fills_its_own_share_alone(settings: Callable[..., Settings]) -> None:
    store = open_store(settings(SLICER_JOBS_CLIENT="3"))
    for number in range(3):
        store.open(order(number), SHORT, Asker(client="192.0.2.1"))
    with pytest.raises(JobsShareError):
        store.open(order(3), SHORT, Asker(client="192.0.2.1"))
    # What there is already costs nothing, and others have shares of their own.
    assert store.open(order(0), SHORT, Asker(client="192.0.2.1"))[0] == "unsent"
    assert store.open(order(3), SHORT, Asker(client="192.0.2.2"))[0] == "new"
    # What has ended makes room.
    assert store.claim(order(0).id, "worker")
    assert store.finish(order(0).id, "worker")
    assert store.open(order(4), SHORT, Asker(client="192.0.2.1"))[0] == "new"


def test_a_job_that_fails_makes_room(settings: Callable[..., Settings]) -> None:
    store = open_store(settings(SLICER_JOBS_CLIENT="1", SLICER_JOBS_WAITING="1"))
    for number in range(3):
        store.open(order(number), SHORT, Asker(client="192.0.2.1"))
        assert store.claim(order(number).id, "worker")
        assert store.finish(order(number).id, "worker", Failure(422, "cannot-be-cut", "no"))


def test_a_lane_that_is_full_refuses_no_other(settings: Callable[..., Settings]) -> None:
    store = open_store(settings(SLICER_JOBS_WAITING="2"))
    for number in range(2):
        store.open(order(number), LONG)
    with pytest.raises(JobsBusyError):
        store.open(order(2), LONG)
    assert store.open(order(2), SHORT)[0] == "new"
    store.cancel(order(0).id)
    assert store.open(order(3), LONG)[0] == "new"


def memory_of(broker: Broker, store: JobStore) -> list[int]:
    """Seconds for which each job is remembered yet."""
    with Redis.from_url(broker.url, decode_responses=True) as redis:
        return [int(redis.ttl(f"{store._prefix}{name}")) for name in store.names()]  # type: ignore[arg-type]


def test_what_is_cancelled_costs_minutes_and_counts(settings: Callable[..., Settings], broker: Broker) -> None:
    store = open_store(settings(SLICER_JOBS_CLIENT="5"))
    for number in range(5):
        store.open(order(number), SHORT, Asker(client="192.0.2.1", token=f"t{number}"))
        job = store.cancel(order(number).id, f"t{number}")
        assert job is not None
        assert job.state is State.CANCELLED
    assert all(0 < seconds <= 300 for seconds in memory_of(broker, store))
    with pytest.raises(JobsShareError):
        store.open(order(9), SHORT, Asker(client="192.0.2.1"))
    with Redis.from_url(broker.url) as redis:
        # As if these minutes were over.
        (key,) = redis.scan_iter(match=f"{store._name}:client:*")
        for member in redis.zrange(key, 0, -1):  # type: ignore[union-attr]
            redis.zadd(key, {member: 1})
    assert store.open(order(9), SHORT, Asker(client="192.0.2.1"))[0] == "new"


# --------------------------------------------------------------------------------------------------------- cancelling


def test_a_job_goes_on_for_those_who_did_not_cancel(settings: Callable[..., Settings]) -> None:
    store = open_store(settings())
    name = order(0).id
    store.open(order(0), SHORT, Asker(token="one"))
    store.open(order(0), SHORT, Asker(token="two"))
    for wrong in ("three", "-", "*", "state", "t:one"):
        with pytest.raises(JobsTokenError):
            store.cancel(name, wrong)
    left = store.cancel(name, "one")
    assert left is not None
    assert left.state is State.QUEUED
    with pytest.raises(JobsTokenError):
        store.cancel(name, "one")
    ended = store.cancel(name, "two")
    assert ended is not None
    assert ended.state is State.CANCELLED
    # Asked for again it is another's, and the old tokens are nobody's.
    store.open(order(0), SHORT, Asker(token="new"))
    with pytest.raises(JobsTokenError):
        store.cancel(name, "two")


def test_who_is_held_cannot_be_robbed(settings: Callable[..., Settings]) -> None:
    store = open_store(settings())
    store.open(order(0), SHORT)
    store.open(order(0), SHORT, Asker(token="one"))
    left = store.cancel(order(0).id, "one")
    assert left is not None
    assert left.state is State.QUEUED
    # The operator can.
    ended = store.cancel(order(0).id)
    assert ended is not None
    assert ended.state is State.CANCELLED


def test_tokens_are_bounded(settings: Callable[..., Settings], broker: Broker) -> None:
    store = open_store(settings())
    for number in range(300):
        store.open(order(0), SHORT, Asker(token=f"{number:032x}"))
    with Redis.from_url(broker.url) as redis:
        assert int(redis.hlen(store._prefix + order(0).id)) < 130  # type: ignore[arg-type]
    with pytest.raises(JobsTokenError):
        store.cancel(order(0).id, f"{299:032x}")


# ---------------------------------------------------------------------------------------------------------- over HTTP


@contextmanager
def asking(app: Slicer) -> Iterator[Callable[..., tuple[int, dict[str, object]]]]:
    def ask(method: str, target: str, document: object = None, **fields: str) -> tuple[int, dict[str, object]]:
        import io

        told: list[int] = []
        path, _, query = target.partition("?")
        body = json.dumps(document).encode()
        request = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "REMOTE_ADDR": "127.0.0.1",
            **fields,
        }
        answer = b"".join(app(request, lambda status, headers: told.append(int(status[:3]))))  # type: ignore[arg-type]
        return told[0], json.loads(answer)

    yield ask


def test_a_client_is_refused_and_others_are_not(settings: Callable[..., Settings]) -> None:
    with asking(create_app(settings(SLICER_JOBS_CLIENT="2"))) as ask:
        for number in range(1, 4):
            wanted = {"request": f"/renders/show.wav?t=0,{number}"}
            status, body = ask("POST", "/jobs", wanted, HTTP_X_SLICER_ADDRESS="192.0.2.1")
            assert status == (202 if number < 3 else 429), body
        assert body["type"] == "urn:slicer:problem:too-many-jobs"
        wanted = {"request": "/renders/show.wav?t=0,3"}
        # From elsewhere, from an address that names somebody and is no proxy, and from a proxy that names nobody.
        assert ask("POST", "/jobs", wanted, HTTP_X_SLICER_ADDRESS="192.0.2.2")[0] == 202
        named = {"REMOTE_ADDR": "198.51.100.7", "HTTP_X_SLICER_ADDRESS": "192.0.2.1"}
        assert ask("POST", "/jobs", {"request": "/renders/show.wav?t=0,4"}, **named)[0] == 202
        for number in range(5, 9):
            assert ask("POST", "/jobs", {"request": f"/renders/show.wav?t=0,{number}"})[0] == 202


def test_only_the_one_that_asked_cancels(settings: Callable[..., Settings]) -> None:
    with asking(create_app(settings())) as ask:
        wanted = {"request": "/renders/show.wav?t=0,1"}
        mine, yours = (ask("POST", "/jobs", wanted)[1] for _ in range(2))
        place = f"/jobs/{mine['id']}"
        assert mine["cancel"] != yours["cancel"]
        assert "cancel" not in ask("GET", place)[1]
        for target in (place, f"{place}?token=", f"{place}?token=-", f"{place}?token=x"):
            status, body = ask("DELETE", target)
            assert (status, body["type"]) == (403, "urn:slicer:problem:token-wrong")
        assert ask("DELETE", str(mine["cancel"]))[1]["state"] == "queued"
        assert ask("DELETE", str(yours["cancel"]))[1]["state"] == "cancelled"


@pytest.mark.parametrize(
    ("address", "named", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.1", "192.0.2.1"),
        ("127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("::ffff:127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::1", "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4%eth0", "", "2001:db8:1:2::/64"),
        ("127.0.0.1", "", ""),
        ("127.0.0.1", "nobody", ""),
        ("", "203.0.113.1", ""),
    ],
)
def test_clients(settings: Callable[..., Settings], address: str, named: str, client: str) -> None:
    environ = {"REMOTE_ADDR": address, "HTTP_X_SLICER_ADDRESS": named}
    assert Clients(settings()).of(environ) == client
