"""What keeps one client, one site or one crowd from taking everything."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.edge import site
from support.server import until


def assert_refused(answer, status):
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body)["status"] == status


def test_one_client_has_so_many_requests_at_once(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port), nginx_client_connections=4)
    kept = fresh()
    assert edge.get(kept).status == 200
    with ThreadPoolExecutor(4) as pool, tap.hold():
        waiting = [pool.submit(edge.get, fresh()) for _ in range(4)]
        until(lambda: tap.open == 4, 30, "four are under way")
        refused = edge.get(kept)
        assert_refused(refused, 429)
        assert refused.cache == "NONE"
        tap.release()
        assert [each.result().status for each in waiting] == [200] * 4
    assert edge.get(kept).cache == "HIT"


def test_addresses_of_one_network_are_one_client(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port), nginx_client_connections=1, nginx_trusted_proxies=["127.0.0.0/8"])
    kept = fresh()
    assert edge.get(kept).status == 200
    with ThreadPoolExecutor(1) as pool, tap.hold():
        waiting = pool.submit(edge.get, fresh(), X_Forwarded_For="2001:db8:1:2::1")
        until(lambda: tap.open == 1, 30, "one is under way")
        named = [edge.get(kept, X_Forwarded_For=f"2001:db8:1:{net}::2").status for net in (2, 3)]
        tap.release()
        assert waiting.result().status == 200
    assert named == [429, 200]


def test_sites_count_their_clients_apart(front, tapping, server, fresh):
    taps = [tapping(server.port), tapping(server.port)]
    sites = [site(tap.port, name, server_names=[f"{name}.test"]) for tap, name in zip(taps, "ab", strict=True)]
    edge = front(*sites, nginx_client_connections=1)
    with ThreadPoolExecutor(1) as pool, taps[0].hold():
        waiting = pool.submit(edge.get, fresh(), Host="a.test")
        until(lambda: taps[0].open == 1, 30, "one is under way")
        assert edge.get(fresh(), Host="a.test").status == 429
        assert edge.get(fresh(), Host="b.test").status == 200
        taps[0].release()
        assert waiting.result().status == 200


def test_no_more_connections_than_the_slicer_takes(front, tapping, server, fresh):
    """The rest is refused at once, and what is cached is served all the while; so is the health of the server."""
    tap = tapping(server.port)
    edge = front(site(tap.port, clips_connections=4))
    kept = fresh()
    assert edge.get(kept).status == 200
    with ThreadPoolExecutor(5) as pool, tap.hold():
        waiting = [pool.submit(edge.get, fresh()) for _ in range(4)]
        until(lambda: tap.open == 4, 30, "four are under way")
        began = time.monotonic()
        refused = [edge.get(fresh()) for _ in range(10)]
        # The slicer answers nothing meanwhile.
        assert time.monotonic() - began < 10
        for answer in refused:
            assert_refused(answer, 503)
        assert edge.get(kept).cache == "HIT"
        health = pool.submit(edge.get, "/readyz")
        until(lambda: tap.open == 5, 30, "health is asked for, beside the four")
        tap.release()
        assert health.result().status == 200
        assert [each.result().status for each in waiting] == [200] * 4
    assert tap.most == 5


def test_renders_and_clips_are_counted_apart(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port, renders_connections=2))
    with ThreadPoolExecutor(3) as pool, tap.hold():
        waiting = [pool.submit(edge.get, f"/{kind}/nobody.mp3?t=1,2") for kind in ("renders", "peaks")]
        until(lambda: tap.open == 2, 30, "two are under way")
        assert_refused(edge.get("/renders/nobody.mp3?t=1,3"), 503)
        clip = pool.submit(edge.get, fresh())
        until(lambda: tap.open == 3, 30, "a clip is asked for")
        tap.release()
        assert clip.result().status == 200
        assert [each.result().status for each in waiting] == [404, 404]


def test_a_refused_fill_is_made_by_the_next_request(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port, clips_connections=2))
    url = fresh()
    with ThreadPoolExecutor(2) as pool, tap.hold():
        waiting = [pool.submit(edge.get, fresh()) for _ in range(2)]
        until(lambda: tap.open == 2, 30, "two are under way")
        assert edge.get(url).status == 503
        tap.release()
        assert [each.result().status for each in waiting] == [200, 200]
    answer = edge.get(url)
    assert (answer.status, answer.cache) == (200, "MISS")


def test_apache_never_sees_more_than_it_is_said_to_take(front, tapping, server, fresh):
    """A hundred clients at once, all for different clips: nobody but the allowed few is connected to the slicer."""
    tap = tapping(server.port)
    edge = front(site(tap.port, clips_connections=10))
    gate = threading.Barrier(100)

    def ask(url):
        gate.wait()
        return edge.get(url).status

    with ThreadPoolExecutor(100) as pool:
        statuses = set(pool.map(ask, [fresh() for _ in range(100)]))
    assert statuses <= {200, 503}
    assert 200 in statuses
    assert tap.most <= 10


def test_the_client_is_whom_a_trusted_proxy_names(front, server, fresh):
    trusting = front(site(server.port), nginx_trusted_proxies=["127.0.0.0/8"])
    named_and_logged = (
        ("192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.8", "192.0.2.8"),
        ("192.0.2.9, 127.0.0.5", "192.0.2.9"),
    )
    for named, logged in named_and_logged:
        url = fresh()
        trusting.get(url, X_Forwarded_For=named)
        until(lambda url=url: [each["client"] for each in trusting.log() if each["target"] == url], 30, "it is logged")
        assert [each["client"] for each in trusting.log() if each["target"] == url] == [logged]


def test_nobody_else_names_the_client(edge, fresh):
    url = fresh()
    edge.get(url, X_Forwarded_For="192.0.2.7")
    until(lambda: [each["client"] for each in edge.log() if each["target"] == url] == ["127.0.0.1"], 30, "it is logged")


NETWORKS = {
    "203.0.113.77": "203.0.113.0",
    "8.8.8.8": "8.8.8.0",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1::",
    "2001:db8:1::6": "2001:db8:1::",
    "2001:db8::5:6": "2001:db8::",
    "2001::6": "2001::",
    "::1": "::",
}


@pytest.mark.parametrize("kept", ["network", "nothing"])
def test_the_log_has_no_more_of_an_address_than_it_may(front, server, fresh, kept):
    edge = front(site(server.port), nginx_trusted_proxies=["127.0.0.0/8"], nginx_log_clients=kept)
    logged = {}
    for address, network in NETWORKS.items():
        url = fresh()
        assert edge.get(url, X_Forwarded_For=address).status == 200
        logged[url] = network if kept == "network" else ""
    until(lambda: len(edge.log()) >= len(logged), 30, "all are logged")
    assert {each["target"]: each["client"] for each in edge.log()} == logged
