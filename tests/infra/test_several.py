"""An edge in front of several slicers: each clip has its own, a lost one is noticed by nobody, and they share a queue over TLS."""

import json
import shlex

import pytest

from infra import farm
from infra.load import Load
from support.server import until

pytestmark = pytest.mark.slicers(2)


def served(fleet, site):
    """How many requests each slicer has answered."""
    return {host.name: int(host.apache_says(site)["Total Accesses"]) for host in fleet.slicers}


def test_clips_are_spread_and_each_has_its_slicer(fleet, site, edge, sources):
    before = served(fleet, site)
    for _ in range(60):
        edge.ask(sources[0].some().target)
    after = served(fleet, site)
    shares = [after[name] - before[name] for name in before]
    assert min(shares) > 60 / len(shares) / 3


def test_a_clip_is_the_same_from_every_slicer(fleet, site, sources):
    asked = """
import hashlib, sys, urllib.request
print(hashlib.sha256(urllib.request.urlopen(f"http://{sys.argv[1]}{sys.argv[2]}", timeout=30).read()).hexdigest())
"""
    clip = sources[0].some()
    assert {host.python(asked, host.listens(site), clip.target).strip() for host in fleet.slicers} == {
        clip.digest.hex()
    }


def test_a_lost_slicer_costs_nobody_a_request(fleet, site, edge, sources, measure):
    lost = fleet.slicers[-1]
    with Load(edge, lambda: sources[0].some(), threads=4, pause=0.01) as load:
        load.wait_for(50)
        lost.run(f"systemctl stop {site.unit}")
        load.wait_for(300)
        lost.run(f"systemctl start {site.unit}")
        lost.wait_until_ready(site)
        before = served(fleet, site)[lost.name]
        load.wait_for(100)
        until(lambda: served(fleet, site)[lost.name] > before + 5, 30, "it serves again")
    measure(f"a slicer was away: {load.summary()}")
    assert load.failed == []


def test_a_restart_of_all_slicers_costs_nobody_a_request(fleet, site, edge, sources, measure):
    before = {host.name: host.main_pid(site.unit) for host in fleet.slicers}
    with Load(edge, lambda: sources[0].some(), threads=3, pause=0.03) as load:
        load.wait_for(20)
        done = farm.play(fleet.inventory, "--limit", "slicers", playbook="ansible/restart.yml")
        load.wait_for(20)
    measure(f"restarted in {done.seconds:.0f} s; {load.summary()}")
    assert load.failed == []
    assert all(host.main_pid(site.unit) != before[host.name] for host in fleet.slicers)


# Runs on a slicer: ask it for a job; the status.
_ORDER = """
import sys, urllib.request
body = sys.argv[2].encode()
asked = urllib.request.Request(f"http://{sys.argv[1]}/jobs", body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(asked, timeout=30).status)
"""
# Runs on a slicer, with Slicer's Python: what Redis says to who reads a key, by the settings of a site.
_READ = """
import re, sys
from redis import Redis, RedisError
(url,) = re.findall(r'^SLICER_JOBS_BROKER="(.*)"$', open(sys.argv[1]).read(), re.MULTILINE)
assert url.startswith("rediss://"), url[:9]
try:
    print(len(Redis.from_url(url).hgetall(sys.argv[2])))
except RedisError as error:
    print(type(error).__name__)
"""


@pytest.mark.fleets("several")
@pytest.mark.thrown_away
def test_jobs_are_kept_over_tls_and_each_site_has_its_own(fleet, site, edge, sources):
    (queue,) = fleet.queues
    listens = f"-h {queue.address} -p 6379"
    # Whoever speaks no TLS is not heard; whoever does, and checks the certificate, has to prove themselves.
    assert "NOAUTH" not in queue.run(f"redis-cli {listens} ping 2>&1 || true")
    assert "NOAUTH" in queue.run(f"redis-cli {listens} --tls --cacert /etc/redis/slicer-tls.ca ping 2>&1 || true")
    wanted = sources[0].some(3).target.replace("/clips/", "/renders/").replace(".mp3?", ".flac?")
    answer = edge.ask(
        "/jobs", "POST", headers={"Content-Type": "application/json"}, body=json.dumps({"request": wanted}).encode()
    )
    assert answer.status == 202, answer.body
    job = answer.headers["location"].rpartition("/")[2]
    # Each slicer finds the job that one of them has noted.
    for slicer in fleet.slicers:
        said = slicer.python(_ORDER, slicer.listens(site), json.dumps({"request": wanted}))
        assert said.strip() == "202"
        for name, found in ((site.name, False), ("brief", True)):
            command = (
                f"/opt/slicer/current/bin/python -c {shlex.quote(_READ)} /etc/slicer/{name}.env {site.name}:job:{job}"
            )
            assert (slicer.run(command).strip() == "NoPermissionError") is found, name
