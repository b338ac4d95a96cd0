"""What happens to listeners when something dies: each process in turn, and each machine. Every answer is compared byte for byte."""

import time

import pytest

from infra.load import Load
from support.server import until

pytestmark = [pytest.mark.fleets("one", "several"), pytest.mark.usefixtures("whole_again")]

#: Seconds after a kill in which the kernel may still give new connections to whom it was done to.
GRACE = 0.1
#: Seconds that systemd and the program need until a service that was killed answers again.
BACK = 10


def kill(host, pid):
    """Kill a process; the time in which that was done."""
    began = time.monotonic()
    host.kill(pid)
    return began, time.monotonic() + GRACE


def fresh(sources):
    """Clips that are not in the cache, of all sources in turn."""
    turn = 0

    def one():
        nonlocal turn
        turn += 1
        return sources[turn % len(sources)].some()

    return one


def test_a_killed_daemon_costs_nobody_a_request(fleet, site, edge, sources, measure):
    """None, but for one that had the beginning of its answer already: that cannot be taken back."""
    kills = []
    with Load(edge, fresh(sources), threads=4, pause=0.01) as load:
        load.wait_for(20)
        for number in range(25):
            host = fleet.slicers[number % len(fleet.slicers)]
            victim = host.tree(site).daemons("clips")[0].pid
            kills.append(kill(host, victim))
            load.wait_for(10)
            until(lambda host=host: host.is_whole(site), 30, "there is a new one")
    measure(f"{len(kills)} daemons killed: {load.summary()}")
    assert [result for result in load.failed if not result.outcome.startswith("IncompleteRead")] == []
    assert load.failed_but(kills) == []
    assert len(load.failed) <= len(kills) / 10


def test_a_killed_child_of_apache_costs_nobody_but_whom_it_served(fleet, site, edge, sources, measure):
    kills = []
    with Load(edge, fresh(sources), threads=4, pause=0.005) as load:
        load.wait_for(20)
        for number in range(10):
            host = fleet.slicers[number % len(fleet.slicers)]
            kills.append(kill(host, host.tree(site).children[number].pid))
            load.wait_for(10)
    measure(f"{len(kills)} children killed: {load.summary()}")
    assert load.failed_but(kills) == []
    assert len(load.failed) <= len(kills)


@pytest.mark.parametrize("whom", ["Apache", "its supervisor"])
def test_a_killed_apache_is_back_in_seconds(fleet, site, edge, sources, measure, whom):
    """Another slicer takes over. Where there is none, clips that are in the cache go on, and the others are refused politely."""
    host = fleet.slicers[0]
    cached = [source.some() for source in sources]
    for clip in cached:
        edge.ask(clip.target)
    hits = Load(edge, lambda: cached[int(time.monotonic() * 1000) % len(cached)], threads=2)
    with hits, Load(edge, fresh(sources), threads=4, pause=0.005) as load:
        load.wait_for(20)
        before = host.main_pid(site.unit)
        killed = kill(host, host.tree(site).apache.pid if whom == "Apache" else before)
        until(lambda: host.main_pid(site.unit) not in (0, before), 30, "systemd has started it again")
        host.wait_until_ready(site)
        load.wait_for(20)
    measure(f"{whom} killed: uncached {load.summary()}; cached {hits.summary()}")
    assert hits.failed == []
    if len(fleet.slicers) > 1:
        assert load.failed_but([killed]) == []
    else:
        # On a busy machine, requests that came first wait longer in the queue than they may while daemons load the application.
        failed = {(result.outcome, result.retry_after) for result in load.failed_but([killed])}
        assert failed <= {("503", True), ("504", True)}
        assert all(result.ended < killed[1] + BACK for result in load.failed)


def test_a_killed_nginx_worker_costs_nobody_but_whom_it_served(fleet, site, edge, sources, measure):
    host = fleet.edges[0]
    kills = []
    with Load(edge, fresh(sources), threads=4, pause=0.005) as load:
        load.wait_for(20)
        for _ in range(5):
            workers = [each.pid for each in host.below("nginx.service")[1:] if "worker process" in each.arguments]
            kills.append(kill(host, workers[0]))
            load.wait_for(20)
    measure(f"{len(kills)} workers killed: {load.summary()}")
    assert load.failed_but(kills) == []
    assert len(load.failed) <= 4 * len(kills)


def test_a_killed_nginx_is_back_in_seconds(fleet, site, edge, sources, measure):
    host = fleet.edges[0]
    with Load(edge, fresh(sources), threads=4, pause=0.02) as load:
        load.wait_for(20)
        before = host.main_pid("nginx")
        began = time.monotonic()
        host.kill(before)
        until(lambda: host.main_pid("nginx") not in (0, before), 30, "systemd has started it again")
        until(lambda: load.results[-1].outcome == "200", 30, "clips are answered")
        load.wait_for(50)
    gone = [result for result in load.failed if result.ended >= began]
    measure(
        f"Nginx killed: away for {max((each.ended for each in gone), default=began) - began:.1f} s; {load.summary()}"
    )
    assert len(gone) == len(load.failed)
    assert all(result.began < began + BACK / 2 for result in gone)
    assert {result.outcome for result in load.results[-50:]} == {"200"}


def test_everything_returns_after_a_reboot(fleet, site, edge, sources, measure):
    """Of all machines at once. What was in the cache still is."""
    clip, other = sources[0].some(), sources[1].some()
    edge.ask(clip.target)
    assert edge.ask(clip.target).cache == "HIT"
    boots = {host.name: host.boot() for host in fleet.hosts}
    began = time.monotonic()
    for host in fleet.hosts:
        # The connection may end before the answer.
        host.test.run("systemctl reboot")

    def rebooted(host):
        try:
            return host.boot() != boots[host.name]
        except (AssertionError, RuntimeError, ValueError, IndexError):
            return False

    for host in fleet.hosts:
        until(lambda host=host: rebooted(host), 180, f"{host.name} has rebooted")
    fleet.wait_until_ready(120)

    def answers():
        try:
            return edge.ask(other.target).status == 200
        except OSError:
            return False

    until(answers, 60, "the edge answers")
    measure(f"back after {time.monotonic() - began:.0f} s")
    assert other.is_in(edge.ask(other.target).body)
    answer = edge.ask(clip.target)
    assert (answer.status, answer.cache) == (200, "HIT")
    assert clip.is_in(answer.body)
    for host in fleet.hosts:
        assert host.run("systemctl --failed --no-legend --plain") == ""
