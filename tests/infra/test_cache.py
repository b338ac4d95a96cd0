"""The edge's cache, in front of real slicers: what is kept, for how long, and what is never kept."""

import contextlib
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra import farm
from support.server import until

pytestmark = pytest.mark.fleets("host", "several")
on_brief = pytest.mark.parametrize("site", ["brief"], indirect=True)


@contextlib.contextmanager
def all_stopped(fleet, site):
    """No slicer of the site runs."""
    for host in fleet.slicers:
        host.run(f"systemctl stop {site.unit}")
    try:
        yield
    finally:
        for host in fleet.slicers:
            host.run(f"systemctl start {site.unit}")
        for host in fleet.slicers:
            host.wait_until_ready(site)


def assert_refused(answer, *, statuses=(503,)):
    """A refusal as clients are promised it: a problem, with a time to come back."""
    assert answer.status in statuses
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body)["status"] == answer.status


def test_a_clip_is_made_once_and_then_comes_from_the_cache(fleet, site, edge, sources):
    clip = sources[0].some(5)
    with fleet.counting(site) as count:
        answers = [edge.ask(clip.target) for _ in range(3)]
    assert [answer.cache for answer in answers] == ["MISS", "HIT", "HIT"]
    assert all(answer.status == 200 and clip.is_in(answer.body) for answer in answers)
    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert count.requests == 1


def test_what_is_taken_down_leaves_the_cache(fleet, site, edge, sources):
    gone, stays = sources[0].some(5), sources[1].some(5)
    for clip in (gone, stays):
        assert [edge.ask(clip.target).cache for _ in range(2)] == ["MISS", "HIT"]
    path = gone.target.partition("?")[0].removeprefix("/clips/")
    named = ("-e", f"purge_site={site.name}", "-e", f"purge_path={path}")
    done = farm.play(fleet.inventory, *named, playbook="ansible/purge.yml")
    assert any(done.changed[host.name] for host in fleet.edges)
    assert [edge.ask(clip.target).cache for clip in (gone, stays)] == ["MISS", "HIT"]


def test_fifty_first_requests_at_once_cost_one_render(fleet, site, edge, sources):
    clip = sources[1].some(5)
    with fleet.counting(site) as count:
        answers = edge.ask_at_once([clip.target] * 50)
    assert all(answer.status == 200 and clip.is_in(answer.body) for answer in answers)
    assert count.requests == 1


def test_every_spelling_of_a_clip_is_one_entry(fleet, site, edge, sources):
    clip = sources[0].clip("3", "4.5")
    path = clip.target.partition("?")[0]
    head, _, name = path.rpartition("/")
    spellings = [
        f"{path}?t=3.0,4.50",
        f"{path}?t=npt:3,4.5",
        f"{path}?t=0:00:03,0:00:04.5",
        f"{path}?t=%33,4.5",
        f"{head}/./{name}?t=3,4.5",
        f"{head}//{name}?t=3,4.5",
        f"{head}/%{ord(name[0]):02X}{name[1:]}?t=3,4.5",
        f"{path}?t=00:03,00:04.500",
    ]
    first, *others = [edge.ask(target) for target in [spellings[-1], *spellings[:-1], clip.target]]
    assert first.cache == "MISS"
    assert [answer.cache for answer in others] == ["HIT"] * len(others)
    for answer in (first, *others):
        assert answer.status == 200
        assert clip.is_in(answer.body)


def test_a_client_that_has_the_clip_gets_304(edge, sources):
    clip = sources[0].some()
    tag = edge.ask(clip.target).headers["etag"]
    answer = edge.ask(clip.target, headers={"If-None-Match": tag})
    assert (answer.status, answer.cache, answer.body) == (304, "HIT", b"")
    assert answer.headers["etag"] == tag


@pytest.mark.parametrize("first", [True, False], ids=["uncached", "cached"])
def test_a_range_is_answered_from_either_state(edge, sources, first):
    clip = sources[0].some(5)
    if not first:
        edge.ask(clip.target)
    answer = edge.ask(clip.target, headers={"Range": "bytes=540-1539"})
    assert (answer.status, answer.cache) == (206, "MISS" if first else "HIT")
    assert answer.headers["content-range"] == f"bytes 540-1539/{clip.length}"
    whole = edge.ask(clip.target)
    assert whole.cache == "HIT"
    assert clip.is_in(whole.body)
    assert answer.body == whole.body[540:1540]


def test_a_head_is_answered_and_fills(edge, sources):
    clip = sources[0].some()
    answer = edge.ask(clip.target, "HEAD")
    assert (answer.status, answer.body, int(answer.headers["content-length"])) == (200, b"", clip.length)
    assert edge.ask(clip.target).cache == "HIT"


@on_brief
def test_an_old_entry_is_given_at_once_and_renewed_without_its_body(fleet, site, edge, sources):
    clip = sources[0].clip("0", "20")
    assert edge.ask(clip.target).cache in {"MISS", "HIT", "STALE"}
    time.sleep(site.clip_max_age + 1.1)
    with fleet.counting(site) as count:
        old = edge.ask(clip.target)
        assert old.cache == "STALE"
        assert clip.is_in(old.body)
        until(lambda: edge.ask(clip.target).cache == "HIT", 30, "the entry is good again")
    assert count.requests >= 1
    assert count.kbytes < clip.length // 1024 // 2


@on_brief
def test_clips_in_the_cache_outlive_apache(fleet, site, edge, sources):
    clip, never = sources[0].some(), sources[1].some()
    assert edge.ask(clip.target).cache == "MISS"
    with all_stopped(fleet, site):
        time.sleep(site.clip_max_age + 1.1)
        for _ in range(3):
            answer = edge.ask(clip.target)
            assert (answer.status, answer.cache) == (200, "STALE")
            assert clip.is_in(answer.body)
        for _ in range(2):
            assert_refused(edge.ask(never.target))
    # That there was no answer is not remembered.
    answer = edge.ask(never.target)
    assert (answer.status, answer.cache) == (200, "MISS")
    assert never.is_in(answer.body)


@pytest.mark.parametrize("site", ["strict"], indirect=True)
def test_a_refusal_of_apache_is_never_kept(fleet, site, edge, sources):
    """More clips at once than fit into the queues: some wait, some are refused, and afterwards all can be had."""
    most = sum(host.sizes(site).clips_workers for host in fleet.slicers)
    clips = [sources[0].some() for _ in range(most + 20)]
    with contextlib.ExitStack() as stack:
        for host in fleet.slicers:
            stack.enter_context(host.held(site))
        asked = []
        thread = threading.Thread(
            target=lambda: asked.extend(edge.ask_at_once([clip.target for clip in clips])), daemon=True
        )
        thread.start()
        # Longer than Apache tries to reach a full queue, shorter than anything may wait in it.
        time.sleep(5)
    thread.join(60)
    refused = [(clip, answer) for clip, answer in zip(clips, asked, strict=True) if answer.status != 200]
    assert any(answer.status == 503 for _clip, answer in refused)
    for clip, answer in refused:
        # Whoever had waited for seconds in a queue may be out of time on a slow machine.
        assert_refused(answer, statuses=(503, 504))
        again = edge.ask(clip.target)
        assert (again.status, again.cache) == (200, "MISS")
        assert clip.is_in(again.body)


def test_a_fill_goes_on_when_its_client_has_gone(fleet, site, edge, sources):
    clip = sources[2].some(3)
    with fleet.counting(site) as count:
        with contextlib.ExitStack() as stack:
            for host in fleet.slicers:
                stack.enter_context(host.held(site))
            with socket.create_connection((edge.address, edge.port)) as connection:
                connection.sendall(f"GET {clip.target} HTTP/1.1\r\nHost: {edge.name}\r\n\r\n".encode())
                time.sleep(0.5)
            time.sleep(0.5)
        until(lambda: edge.ask(clip.target).cache == "HIT", 30, "the clip is in the cache")
    assert clip.is_in(edge.ask(clip.target).body)
    assert count.requests == 1


# Runs on a slicer: kills the daemon that has just sent so many bytes. Prints its pid.
_KILL_AT = """
import os, sys, time
sent = lambda pid: int(next(line for line in open(f"/proc/{pid}/io") if line.startswith("wchar")).split()[1])
most, pids = int(sys.argv[1]), sys.argv[2:]
begin, end = {pid: sent(pid) for pid in pids}, time.monotonic() + 20
while time.monotonic() < end:
    for pid in pids:
        if sent(pid) - begin[pid] > most:
            os.kill(int(pid), 9)
            print(pid)
            sys.exit()
"""


@contextlib.contextmanager
def all_slowed(fleet, site):
    """All processes of the site have a twentieth of a CPU: what they send takes seconds, on a busy machine as on an idle one."""
    for host in fleet.slicers:
        host.run(f"systemctl set-property --runtime {site.unit} CPUQuota=5%")
    try:
        yield
    finally:
        for host in fleet.slicers:
            host.run(f"systemctl set-property --runtime {site.unit} CPUQuota=")


def test_an_answer_that_was_cut_short_is_never_kept(fleet, site, edge, long_source):
    clip = long_source.clip("1", "3000")
    ready = []

    def kill(host):
        pids = [each.pid for each in host.tree(site).daemons("clips")]
        ready.append(host)
        return host.python(_KILL_AT, clip.length // 3, *pids).strip()

    with ThreadPoolExecutor() as watchers, all_slowed(fleet, site):
        kills = [watchers.submit(kill, host) for host in fleet.slicers]
        until(lambda: len(ready) == len(kills), 30, "the watchers have begun")
        time.sleep(1)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            edge.ask(clip.target)
        assert sum(bool(killed.result()) for killed in kills) == 1
    whole = edge.ask(clip.target)
    assert (whole.status, whole.cache) == (200, "MISS")
    assert clip.is_in(whole.body)


def test_what_is_not_there_is_remembered_for_seconds_only(fleet, site, edge, sources):
    name = f"late-{time.monotonic_ns()}.mp3"
    clip = sources[0].clip("1", "2")
    target = f"/clips/slicer-test/{name}?t=1,2"
    # It is remembered in a part of its own (tests/attack/test_cache.py), of which the header does not tell.
    assert [edge.ask(target).status for _ in range(2)] == [404, 404]
    folder = f"{site.media}/slicer-test"
    for host in fleet.slicers:
        host.run(f"cp -p '{folder}/{sources[0].path.name}' '{folder}/{name}'")
    try:
        until(lambda: edge.ask(target).status == 200, 30, "the new file is noticed")
        assert clip.is_in(edge.ask(target).body)
    finally:
        for host in fleet.slicers:
            host.run(f"rm '{folder}/{name}'")


def test_every_answer_says_what_the_cache_did(edge, sources):
    clip = sources[0].some()
    for target in (
        clip.target,
        "/clips/none.mp3?t=0,1",
        "/clips/none.mp3?t=2,1",
        "/healthz",
        "/server-status",
        "/nothing",
        "/library",
    ):
        assert edge.ask(target).cache
