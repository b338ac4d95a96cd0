"""Somebody else's hand in Redis: no message ends a worker, and no job leads a client anywhere but to its own result."""

import base64
import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest
from redis import Redis, RedisError
from redis.exceptions import NoPermissionError

from mp3_slicer.jobs import Order, State
from mp3_slicer.jobs.celery_app import make_app
from mp3_slicer.jobs.order import SHORT, url_of
from mp3_slicer.jobs.store import Asker
from mp3_slicer.jobs.transport import is_message
from mp3_slicer.web.app import create_app
from support import streams, templates
from support.edge import ROOT
from support.jobs import PASSWORD, Broker, Place, place_of
from support.server import folder, free_port, until

ROLE = ROOT / "ansible" / "roles" / "queue"
#: Two sites and their passwords; the name of one begins with the other's.
SITES = {"one": "password-of-one", "one-two": "password-of-two"}


@pytest.fixture(scope="module")
def media() -> Iterator[str]:
    path = folder()
    os.rename(streams.make("mpeg1-44-stereo-cbr128", path, seconds=20), os.path.join(path, "show.mp3"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def place(media: str, broker: Broker) -> Iterator[Place]:
    with place_of(media, broker) as made:
        yield made


def body(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def broken(good: dict) -> list[bytes]:
    """Messages that are none, each in another way."""
    name = json.loads(base64.b64decode(good["body"]))[0][0]
    made = [
        *({key: value for key, value in good.items() if key != missing} for missing in good),
        *({**good, key: value} for key in good for value in (None, 1, "x", [], {})),
        *(
            {**good, "headers": {**good["headers"], key: "x"}}
            for key in ("task", "eta", "expires", "timelimit", "retries")
        ),
        *(
            {**good, "properties": {**good["properties"], key: []}}
            for key in ("delivery_tag", "delivery_info", "body_encoding")
        ),
        *(
            {**good, "body": body(each)}
            for each in ({}, [], [[], {}, {}], [[1], {}, {}], [["x"], {}, {}], [[{}], {}, {}])
        ),
        {**good, "body": body([[name], {"more": 1}, {}])},
        {**good, "body": body([[name], {}, {"callbacks": [{"task": "x"}]}])},
        [],
        "text",
        None,
    ]
    return [b"no JSON", b"\xff\xfe", b"[" * 100_000, b"", *(json.dumps(each).encode() for each in made)]


def test_no_message_ends_a_lane(place: Place, broker: Broker) -> None:
    queue = f"{place.settings.jobs_name}:broker:{place.settings.jobs_name}.{SHORT}"
    with Redis.from_url(broker.url) as redis:
        first = place.queue.submit(place.order("wav", ("t", "1,2")))
        good = json.loads(redis.lrange(queue, 0, -1)[0])  # type: ignore[index]
        assert is_message(good)
        bad = broken(good)
        assert not any(is_message(json.loads(each)) for each in bad[4:])
        worker = place.worker("--short", "1", "--long", "0")
        assert place.ended(first.id).state is State.DONE
        lanes = worker.lanes()
        redis.lpush(queue, *bad)
        # The last one in the queue is a job.
        last = place.queue.submit(place.order("wav", ("t", "1,3")))
        assert place.ended(last.id).state is State.DONE
        until(lambda: redis.llen(queue) == 0, 30, "all are taken")
        assert worker.lanes() == lanes
        # Nothing of them comes back.
        assert not redis.hlen(f"{place.settings.jobs_name}:broker:unacked")
    until(lambda: worker.log().count("a message was dropped") == len(bad), 30, "each is logged")


ELSEWHERE = [
    {"url": "https://attacker.example/"},
    {"url": "//attacker.example/renders/show.wav?t=1,2"},
    {"url": "/renders/other.wav?t=1,2"},
    {"url": "/jobs/x"},
    {"url": "/renders/show.wav?t=1,2\r\nSet-Cookie: a=b"},
    {"query": "t=1,2\r\nSet-Cookie: a=b"},
    {"form": "wav/../../x"},
    {"kind": "x"},
    {"key": "../../etc/passwd"},
    {"path": "../outside.mp3"},
    {"path": "/etc/passwd"},
    {"work_seconds": "x"},
    {"work_seconds": float("nan")},
]


@pytest.mark.parametrize("change", ELSEWHERE, ids=str)
def test_an_order_leads_to_its_own_result(place: Place, change: dict) -> None:
    order = place.order("wav", ("t", "1,2"))
    text = order.to_json()
    assert Order.from_json(text) == order
    with pytest.raises((ValueError, TypeError, KeyError)):
        Order.from_json(json.dumps({**json.loads(text), **change}))


def test_no_job_redirects_elsewhere(place: Place, broker: Broker) -> None:
    order = place.order("wav", ("t", "1,2"))
    other = place.order("wav", ("t", "1,3"))
    place.queue.submit(order)
    app = create_app(place.settings)

    def ask(name: str) -> tuple[str, dict[str, str]]:
        told: list = []
        request = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": f"/jobs/{name}",
            "QUERY_STRING": "",
            "REMOTE_ADDR": "127.0.0.1",
        }
        b"".join(app(request, lambda status, headers: told.extend([status, dict(headers)])))
        return told[0], told[1]

    assert ask(order.id)[0] == "200 OK"
    with Redis.from_url(broker.url) as redis:
        key = f"{place.settings.jobs_name}:job:{order.id}"
        redis.hset(key, mapping={"state": "done", "finished": "1"})
        texts = [
            json.dumps({**json.loads(order.to_json()), **change})
            for change in ELSEWHERE
            if "work_seconds" not in change
        ]
        # A right order, of another job.
        for text in (*texts, other.to_json(), "{}", "x", "[]"):
            redis.hset(key, "order", text)
            status, headers = ask(order.id)
            assert status == "404 Not Found", text
            assert "Location" not in headers
        redis.hset(key, mapping={"order": order.to_json(), "problem": "[1]"})
        assert ask(order.id)[0] == "404 Not Found"


def test_a_worker_ends_a_job_that_is_none(place: Place, broker: Broker) -> None:
    order = place.order("wav", ("t", "1,2"))
    store = place.queue.store
    store.open(order, SHORT)
    with Redis.from_url(broker.url) as redis:
        key = f"{place.settings.jobs_name}:job:{order.id}"
        redis.hset(key, "order", dataclasses.replace(order, url="https://attacker.example/").to_json())
        assert store.claim(order.id, "worker") is None
        assert redis.hget(key, "state") == b"failed"


def test_urls_of_orders() -> None:
    assert url_of("render", b"a b/show.mp3", "wav", "t=1,2") == "/renders/a%20b/show.wav?t=1,2"
    assert url_of("peaks", b"show.MP3", "json", "t=0") == "/peaks/show.json?t=0"


# ---------------------------------------------------------------------------------------------------------- sites of a machine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A Redis by the configuration of the role. Called with the name of a site, the URL that the site has of it; empty: the operator's."""
    work = tmp_path_factory.mktemp("redis")
    port = free_port()
    given = {"queue_password": PASSWORD, "queue_port": port, "queue_sites": SITES}
    files = [ROLE / "defaults" / "main.yml", ROLE / "vars" / "main.yml"]
    templates.write(ROLE / "templates" / "redis.conf.j2", str(work / "redis.conf"), files, given)
    assert not [text for text in SITES.values() if text in (work / "redis.conf").read_text()]

    def url(site: str) -> str:
        return f"redis://{f'site-{site}:{SITES[site]}' if site else f':{PASSWORD}'}@127.0.0.1:{port}/0"

    def answers() -> bool:
        try:
            with Redis.from_url(url(""), socket_timeout=1) as redis:
                return bool(redis.ping())
        except RedisError:
            return False

    words = ["/usr/bin/redis-server", work / "redis.conf", "--dir", work, "--supervised", "no", "--logfile", "log"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
        try:
            until(answers, 40, "Redis answers")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def test_a_site_needs_nothing_but_what_its_user_may(media: str, broker: Broker, shared: Callable[[str], str]) -> None:
    """All of a job's life, a cancelled one and a lost one, with Celery's own commands."""
    settings = {"SLICER_JOBS_BROKER": shared("one"), "SLICER_JOBS_NAME": "one"}
    with Redis.from_url(shared("")) as redis, place_of(media, broker, **settings) as place:
        worker = place.worker("--short", "1", "--long", "0")
        job = place.queue.submit(place.order("wav", ("t", "1,2")), Asker(client="a", token="t" * 32))
        assert place.ended(job.id).state is State.DONE
        assert [*place.queue.store.names()] == [job.id]
        assert place.queue.store.figures().ever[SHORT, "done"] == 1
        place.queue.store.ping()
        assert place.queue.store.turn("test", 60)
        # Celery's own commands go through channels.
        app = make_app(place.settings)
        until(lambda: len(app.control.ping(timeout=1)) == 1, 30, "the worker answers")
        worker.kill()
        # What a killed worker had is taken up by the next one, and looked for in what was not confirmed.
        waiting = place.queue.submit(place.order("wav", ("t", "2,3")))
        assert place.queue.store.active() == [waiting.id]
        assert place.queue.store.cancel(place.queue.submit(place.order("wav", ("t", "3,4"))).id)
        place.worker("--short", "1", "--long", "0")
        assert place.ended(waiting.id).state is State.DONE
        assert redis.acl_log() == []
        assert {key.partition(b":")[0] for key in redis.scan_iter()} == {b"one"}


@pytest.mark.parametrize("prefix", ["one-two:job:", "one-two:broker:", "", "on", "ONE:job:"])
def test_no_site_has_keys_or_channels_of_another(shared: Callable[[str], str], prefix: str) -> None:
    key = f"{prefix}x"
    script = "return redis.call('HGETALL', ARGV[1])"
    with Redis.from_url(shared("")) as all_of_it, Redis.from_url(shared("one")) as redis:
        all_of_it.hset(key, "field", "value")
        try:
            for command in (
                *(("HGETALL", key), ("HSET", key, "field", "x"), ("DEL", key), ("LPUSH", key, "x"), ("RENAME", key, "one:x")),
                *(("COPY", key, "one:x"), ("EVAL", script, 0, key), ("EVAL", script, 1, "one:x", key), ("UNLINK", key)),
                *(("SUBSCRIBE", key), ("PSUBSCRIBE", "*"), ("PUBLISH", key, "x"), ("BRPOP", key, 1), ("EXPIRE", key, 1)),
            ):  # fmt: skip
                with pytest.raises((NoPermissionError, RedisError), match=r"(?i)permission|NOPERM|can't access"):
                    redis.execute_command(*command)
            assert all_of_it.hgetall(key) == {b"field": b"value"}
        finally:
            all_of_it.delete(key)


@pytest.mark.parametrize(
    "command",
    [
        *("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "CONFIG SET maxmemory 1", "SHUTDOWN NOSAVE", "MONITOR"),
        *("ACL LIST", "ACL SETUSER site-one ~*", "CLIENT LIST", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1", "SWAPDB 0 1", "SAVE"),
        *("SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION FLUSH", "FCALL x 0", "REPLICAOF 127.0.0.1 1", "MODULE LIST", "SLOWLOG GET"),
        "SORT one:x",
    ],
)  # fmt: skip
def test_no_site_has_commands_that_concern_others(shared: Callable[[str], str], command: str) -> None:
    with Redis.from_url(shared("one")) as redis, pytest.raises(NoPermissionError):
        redis.execute_command(*command.split())


@pytest.mark.parametrize("user", ["", "site-one-two:password-of-one", "default:password-of-one", "site-one:"])
def test_no_site_is_let_in_as_another(shared: Callable[[str], str], user: str) -> None:
    address = shared("").rpartition("@")[2]
    with Redis.from_url(f"redis://{user}@{address}") as redis, pytest.raises(RedisError):
        redis.execute_command("GET", "one-two:x")
