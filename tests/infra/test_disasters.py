"""What listeners get when a machine has no more of what it needs, or loses everything in turn; and what is left of it afterwards."""

import contextlib
import http.client
import json
import random
import time
from fractions import Fraction

import pytest

from infra.load import Load
from infra.test_faults import fresh
from infra.test_jobs import ASK_AGAIN, DONE, UNFINISHED
from mp3_slicer.mp3 import FileReader, build_whole_index
from mp3_slicer.render import Limits, RenderRequest
from mp3_slicer.render.audio.render import render
from support.cutting import opened
from support.server import until

#: On machines that are thrown away afterwards only: disks of others are not for tests to fill.
pytestmark = [pytest.mark.fleets("one"), pytest.mark.thrown_away, pytest.mark.usefixtures("whole_again")]

#: Of a clip that is asked for once.
SECONDS = 3


@contextlib.contextmanager
def small_disk(host, path, size, *units):
    """While the block runs, a folder is a disk of its own of so many bytes. The units that use it are started again for it."""
    user, group, mode = host.run(f"stat -c '%u %g %a' {path}").split()
    named = " ".join(units)
    try:
        # A sandbox has its own view of what is mounted, made when it starts.
        host.run(
            f"systemctl stop {named}; mount -t tmpfs -o size={size},uid={user},gid={group},mode={mode} none {path}"
        )
        host.run(f"systemctl start {named}")
        yield
    finally:
        host.run(f"systemctl stop {named}; umount {path}; systemctl start {named}")


def fill(host, path):
    """Leave no byte on a disk."""
    host.run(f"dd if=/dev/zero of={path}/filler bs=4096 2>/dev/null || true; test -s {path}/filler")
    assert host.run(f"df --output=avail {path} | tail -n 1").strip() == "0"


def units_of(host, site, fleet):
    """The units of a site that use its folders on a machine."""
    has_workers = host in fleet.workers
    return [site.unit, *([f"slicer-worker@{site.name}.service"] if has_workers else [])]


@contextlib.contextmanager
def full(fleet, site, folder):
    """While the block runs, a folder in the cache of a site is full on all its slicers."""
    path = f"/var/cache/slicer/{folder}"
    with contextlib.ExitStack() as stack:
        for host in fleet.slicers:
            stack.enter_context(small_disk(host, path, 1 << 20, *units_of(host, site, fleet)))
        for host in fleet.slicers:
            host.wait_until_ready(site)
            fill(host, path)
        yield
    fleet.wait_until_ready()


def render_of(source, form):
    """A render that nobody asked for before, and the bytes that it must consist of."""
    query = source.some(SECONDS).target.partition("?")[2]
    request = RenderRequest.parse(form, [("t", query.partition("=")[2]), ("gain", "-3")])
    with (
        opened(str(source.path)) as fd,
        render(request, FileReader(fd), build_whole_index(FileReader(fd)), Limits(work_seconds=Fraction(60))) as made,
    ):
        return f"/renders/{source.name.removesuffix('.mp3')}.{form}?{request.canonical}", made.read()


def assert_clips(edge, sources):
    for source in sources:
        clip = source.some(SECONDS)
        answer = edge.ask(clip.target)
        assert (answer.status, answer.cache) == (200, "MISS")
        assert clip.is_in(answer.body)


def assert_problem(answer, *statuses):
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["status"] == answer.status
    assert answer.headers["cache-control"] == "no-store"


# ------------------------------------------------------------------------------------------------------------- full disks


def test_a_full_disk_of_indexes_costs_no_clip(fleet, site, edge, sources):
    """They are built again each time, which a short file does not show."""
    with full(fleet, site, site.name):
        assert_clips(edge, sources)
        for host in fleet.slicers:
            assert not host.run(f"find /var/cache/slicer/{site.name} -name '*.tmp'")
    assert_clips(edge, sources)


def test_a_full_disk_of_results_costs_no_render(fleet, site, edge, sources):
    """A render is sent as it is made; it is only not found again."""
    with full(fleet, site, f"{site.name}.results"):
        target, body = render_of(sources[0], "wav")
        answer = edge.ask(target)
        assert (answer.status, answer.body) == (200, body)
        assert_clips(edge, sources)
        for host in fleet.slicers:
            assert set(host.run(f"ls -A /var/cache/slicer/{site.name}.results").split()) <= {"account", "filler"}


def test_a_full_disk_of_results_fails_a_job_that_can_be_done_later(fleet, site, edge, sources):
    if not fleet.workers:
        pytest.skip("these servers have no jobs")
    target, _ = render_of(sources[0], "opus")

    def ask():
        body = json.dumps({"request": target}).encode()
        answer = edge.ask("/jobs", "POST", headers={"Content-Type": "application/json"}, body=body)
        assert answer.status == 202, answer
        end = time.monotonic() + DONE
        while time.monotonic() < end:
            found = edge.ask(f"{answer.headers['location']}/wait")
            assert found.status == 200 or found.status in ASK_AGAIN
            if found.status == 200 and json.loads(found.body)["state"] not in UNFINISHED:
                return json.loads(found.body)
            time.sleep(1)
        raise AssertionError("the job does not end")

    with full(fleet, site, f"{site.name}.results"):
        found = ask()
        assert found["state"] == "failed", found
        assert found["problem"]["title"]
    assert ask()["state"] == "done"


def test_a_full_disk_of_scratch_files_refuses_what_needs_them_alone(fleet, site, edge, sources):
    with full(fleet, site, f"{site.name}.scratch"):
        for form in ("opus", "m4a"):
            target, _ = render_of(sources[0], form)
            answer = edge.ask(target)
            if answer.status != 200:
                assert_problem(answer, 503, 507)
        assert_clips(edge, sources)
        for host in fleet.slicers:
            assert host.run(f"ls -A /var/cache/slicer/{site.name}.scratch").split() in (
                ["filler"],
                ["filler", "shares"],
            )
    for form in ("opus", "m4a"):
        assert edge.ask(render_of(sources[0], form)[0]).status == 200


def test_an_edge_short_of_disk_drops_what_is_old(fleet, site, edge, sources, measure):
    """Whoever took the room: as long as clips of ten seconds find some, nobody notices."""
    (host,) = fleet.edges
    path = f"/var/cache/nginx/slicer_{site.name}"
    with small_disk(host, path, 48 << 20, "nginx"):
        with Load(edge, fresh(sources), threads=4, pause=0.03) as load:
            end = time.monotonic() + 25
            while time.monotonic() < end:
                time.sleep(1)
            left = int(host.run(f"df --output=avail -B1024 {path} | tail -n 1"))
        measure(f"a small disk for the cache: {load.summary()}; {left} KiB free in the end")
        assert load.failed == []
        assert sum(1 for _ in load.results) > 100
        until(
            lambda: int(host.run(f"find {path} -type f | wc -l")) < 20, 30, "less is free than must be, so entries go"
        )


def test_an_edge_with_a_full_disk_lies_to_nobody(fleet, site, edge, sources):
    """Nginx cannot send what it cannot write. What is cached goes on, and what is sent is never called whole without being it."""
    (host,) = fleet.edges
    path = f"/var/cache/nginx/slicer_{site.name}"
    cached, broken = sources[0].some(), 0
    with small_disk(host, path, 4 << 20, "nginx"):
        assert edge.ask(cached.target).status == 200
        fill(host, path)
        for number in range(10):
            clip = sources[number % len(sources)].some()
            try:
                answer = edge.ask(clip.target)
            except (OSError, http.client.HTTPException):
                broken += 1
            else:
                assert answer.status >= 500 or clip.is_in(answer.body)
        assert broken
        host.run(f"rm {path}/filler")
        assert_clips(edge, sources)


# ------------------------------------------------------------------------------------------------------ a folder that is away


def test_media_that_are_away_are_not_missing(fleet, site, edge, sources):
    """What is cached goes on, the rest is to be asked again, and nobody remembers that it was not there."""
    cached, never = sources[0].some(), sources[1].some()
    assert edge.ask(cached.target).status == 200
    media = site.media.rstrip("/")
    with contextlib.ExitStack() as stack:
        for host in fleet.slicers:
            mode = host.run(f"stat -c %a {media}").strip()
            host.run(f"chmod 0 {media}")
            stack.callback(host.run, f"chmod {mode} {media}")
        assert edge.ask(cached.target).cache == "HIT"
        for _ in range(3):
            answer = edge.ask(never.target)
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        for host in fleet.slicers:
            # Whoever watches it is told.
            code = f"curl -s -o /dev/null -w '%{{http_code}}' http://{host.listens(site)}/readyz"
            assert host.run(code) == "503"
    answer = edge.ask(never.target)
    assert (answer.status, answer.cache) == (200, "MISS")
    assert never.is_in(answer.body)


# --------------------------------------------------------------------------------------------------------- one after another


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_killed_in_any_order(fleet, site, edge, sources, measure, seed):
    """No answer is wrong, and all is as before within seconds."""
    victims = [(host, "nginx") for host in fleet.edges]
    victims += [(host, site.unit) for host in fleet.slicers]
    victims += [(host, "redis-server") for host in fleet.queues]
    victims += [(host, f"slicer-worker@{site.name}.service") for host in fleet.workers]
    random.Random(seed).shuffle(victims)
    before = {(host, unit): host.main_pid(unit) for host, unit in victims}
    with Load(edge, fresh(sources), threads=4, pause=0.02) as load:
        load.wait_for(20)
        for host, unit in victims:
            host.run(f"systemctl kill --signal=KILL {unit}")
        for host, unit in victims:
            until(
                lambda host=host, unit=unit: host.main_pid(unit) not in (0, before[host, unit]), 60, f"{unit} is back"
            )
        fleet.wait_until_ready()
        until(lambda: [each.outcome for each in load.results[-5:]] == ["200"] * 5, 60, "clips are answered again")
        whole = time.monotonic()
        load.wait_for(50)
    measure(f"all killed, in the order {[unit for _, unit in victims]}: {load.summary()}")
    assert not any(each.outcome.startswith("200 with") for each in load.results)
    assert [each for each in load.failed if each.began > whole] == []
    if fleet.workers:
        target, _ = render_of(sources[0], "flac")
        body = json.dumps({"request": target}).encode()

        def taken():
            return edge.ask("/jobs", "POST", headers={"Content-Type": "application/json"}, body=body)

        until(lambda: taken().status in {202, 303}, 60, "jobs are taken again")
        until(lambda: taken().status == 303, DONE, "they are done again")
