"""Jobs on provisioned machines: through the edge, where clients are held, to workers, and what is left of them when something dies."""

import contextlib
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.programs import ROOT
from support.server import until

pytestmark = [pytest.mark.fleets("one"), pytest.mark.jobs]

#: A job takes a moment at least, and no longer than this, in seconds.
DONE = 150
#: What the documentation tells clients to ask again for.
ASK_AGAIN = {408, 503}
UNFINISHED = {"queued", "running"}


@pytest.fixture
def jobs(fleet):
    if not fleet.workers:
        pytest.skip("these servers have no jobs")
    return fleet.workers[0]


def unit(site):
    return f"slicer-worker@{site.name}.service"


def order(edge, target):
    """Ask for a job; its URL."""
    body = json.dumps({"request": target}).encode()
    answer = edge.ask("/jobs", "POST", headers={"Content-Type": "application/json"}, body=body)
    assert answer.status == 202, answer
    return answer.headers["location"]


def state(edge, url):
    """What is said of a job; a finished one is sent on to its result."""
    answer = edge.ask(url)
    if answer.status == 303:
        return {"state": "done", "result": answer.headers["location"]}
    assert answer.status == 200, answer
    return json.loads(answer.body)


def held(edge, url):
    """The same from whoever waits until it has ended."""
    end = time.monotonic() + DONE
    while time.monotonic() < end:
        answer = edge.ask(f"{url}/wait")
        found = {"state": str(answer.status)}
        if answer.status not in ASK_AGAIN:
            assert answer.status == 200, answer
            found = json.loads(answer.body)
            if found["state"] not in UNFINISHED:
                return found
        time.sleep(float(answer.headers.get("retry-after", 0)))
    raise AssertionError(f"not done within {DONE} s: {found}")


def seconds_of(body, tmp_path):
    """How long a sound lasts, as a decoder has it."""
    path = tmp_path / "result"
    path.write_bytes(body)
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    return len(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout) / 16000


@contextlib.contextmanager
def idle(jobs, site):
    """While the block runs, those that do the work stand still; who looks after them goes on."""
    pids = [each.pid for each in jobs.below(unit(site)) if "--lane" in each.arguments]
    assert pids
    jobs.kill(*pids, signal="STOP")
    try:
        yield
    finally:
        jobs.kill(*pids, signal="CONT")


def some(sources, suffix, seconds=3):
    """A render that, very likely, nobody asked for before."""
    return sources[0].some(seconds).target.replace("/clips/", "/renders/").replace(".mp3?", f".{suffix}?")


def test_a_job_is_done_and_its_result_found_by_all(jobs, edge, sources, tmp_path):
    target = some(sources, "opus", 4)
    url = order(edge, target)
    assert order(edge, target) == url
    found = held(edge, url)
    assert found["state"] == "done", found
    answer = edge.ask(found["result"])
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/ogg; codecs=opus")
    start, end = (float(text) for text in target.partition("t=")[2].split(","))
    assert seconds_of(answer.body, tmp_path) == pytest.approx(end - start, abs=0.01)
    # Whoever asks for the render itself gets what the worker has made.
    direct = edge.ask(target)
    assert (direct.status, direct.body) == (200, answer.body)


def test_a_client_that_waits_is_held_by_nginx_alone(fleet, site, jobs, edge, sources):
    """While workers stand still: no request of theirs is under way at Apache."""
    with idle(jobs, site):
        url = order(edge, some(sources, "flac"))
        # All who are held get a sign of life together. Who asks just after one is held until the next.
        assert json.loads(edge.ask(f"{url}/wait").body)["state"] in UNFINISHED
        with ThreadPoolExecutor(8) as waiting:
            asked = [waiting.submit(edge.ask, f"{url}/wait") for _ in range(8)]
            time.sleep(2)
            # Whoever asks Apache what it does is the one that it is busy with.
            assert {host.apache_says(site)["BusyWorkers"] for host in fleet.slicers} == {"1"}
            answers = [each.result() for each in asked]
        assert {json.loads(answer.body)["state"] for answer in answers} <= UNFINISHED
        assert min(answer.seconds for answer in answers) > 5
    assert held(edge, url)["state"] == "done"


def test_killed_workers_lose_no_job(site, jobs, edge, sources, tmp_path):
    urls = [order(edge, some(sources, "opus", 10)) for _ in range(6)]
    before = jobs.main_pid(unit(site))
    jobs.run(f"systemctl kill --signal=KILL {unit(site)}")
    until(lambda: jobs.main_pid(unit(site)) not in (0, before), 30, "systemd has started them again")
    for url in urls:
        found = held(edge, url)
        assert found["state"] == "done", found
        assert seconds_of(edge.ask(found["result"]).body, tmp_path) > 7


def test_a_killed_redis_forgets_nothing(fleet, site, jobs, edge, sources):
    (queue,) = fleet.queues
    done = order(edge, some(sources, "flac"))
    assert held(edge, done)["state"] == "done"
    with idle(jobs, site):
        waiting = order(edge, some(sources, "flac"))
        before = queue.main_pid("redis-server")
        queue.kill(before)
        until(lambda: queue.main_pid("redis-server") not in (0, before), 30, "systemd has started it again")
        until(lambda: edge.ask(waiting).status == 200, 30, "states are known again")
    assert state(edge, done)["state"] == "done"
    assert held(edge, waiting)["state"] == "done"


def commands(heading):
    """The commands below a heading of the runbook."""
    page = (ROOT / "docs/runbook.md").read_text().partition(f"### {heading}\n")[2]
    return page.partition("```sh\n")[2].partition("```")[0]


def test_a_lost_queue_is_restored_from_its_backup(fleet, site, jobs, edge, sources):
    (queue,) = fleet.queues
    with idle(jobs, site):
        waiting = order(edge, some(sources, "flac"))
        queue.run(commands("Back up the queue"))
        until(lambda: edge.ask(waiting).status == 200, 30, "Redis is back")
        queue.run("systemctl stop redis-server && rm -rf /var/lib/redis/appendonlydir && systemctl start redis-server")
        until(lambda: edge.ask(waiting).status == 404, 30, "the job is lost")
        queue.run(commands("Restore the queue"))
        until(lambda: edge.ask(waiting).status == 200, 30, "the job is known again")
    assert held(edge, waiting)["state"] == "done"


def test_the_queue_is_closed_to_others(fleet, jobs):
    for queue in fleet.queues:
        listening = queue.run("ss --no-header --listening --tcp --numeric --processes | grep redis-server").splitlines()
        addresses = {line.split()[3].rpartition(":")[0] for line in listening}
        assert not addresses & {"0.0.0.0", "*", "[::]"}
        assert "NOAUTH" in queue.run("redis-cli ping 2>&1 || true")


def test_workers_are_as_hardened_as_servers(site, jobs):
    said = jobs.run(f"systemd-analyze security --no-pager {unit(site)} | tail -n 1")
    assert float(re.search(r"([0-9.]+) [A-Z]+", said)[1]) <= 1.5
    assert {each.uid for each in jobs.below(unit(site))} == {int(jobs.run(f"id -u {site.user}"))}
    # Settings with the password are the service's own.
    assert jobs.run(f"stat -c '%U %a' /etc/slicer/{site.name}.worker.env").strip() == "root 640"
