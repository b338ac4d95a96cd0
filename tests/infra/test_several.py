"""An edge in front of several slicers: each clip has its own, and a lost one is noticed by nobody."""

import pytest

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
