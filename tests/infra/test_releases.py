"""A new release while listeners listen, and the way back."""

import json
import shutil
import sys

import pytest

from infra import farm
from infra.load import Load

pytestmark = pytest.mark.fleets("several")

VERSION = "99.0.0"

# Runs on a slicer: the version that each of so many answers names.
_VERSIONS = """
import json, sys, urllib.request
ask = lambda: json.load(urllib.request.urlopen(f"http://{sys.argv[1]}/healthz", timeout=30))["version"]
print(json.dumps([ask() for _ in range(20)]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of another version of Slicer, made from a copy of the checkout."""
    copy = tmp_path_factory.mktemp("copy")
    built_from = (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "hatch_build.py",
        "package.json",
        "package-lock.json",
        ".npmrc",
    )
    for name in built_from:
        shutil.copy2(farm.ROOT / name, copy)
    for name in ("wsgi", "apache"):
        shutil.copytree(farm.ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "wsgi/mp3_slicer/__init__.py").write_text(f'"""Another version."""\n\n__version__ = "{VERSION}"\n')
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(copy / "dist")]
    farm.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)])
    (made,) = (copy / "dist").glob("*.whl")
    return made


def current(host):
    """The release that a slicer uses."""
    return host.run("basename $(readlink --canonicalize /opt/slicer/current)").strip()


def versions(host, site):
    return set(json.loads(host.python(_VERSIONS, host.listens(site))))


def test_a_release_and_the_way_back_cost_nobody_a_request(fleet, site, edge, sources, wheel, measure):
    before = {host.name: current(host) for host in fleet.slicers}
    (old,) = set(before.values())
    known = {host.name: versions(host, site) for host in fleet.slicers}
    apache = {host.name: host.tree(site).apache.pid for host in fleet.slicers}
    with Load(edge, lambda: sources[0].some(), threads=3, pause=0.03) as load:
        load.wait_for(20)
        there = fleet.provision("-e", f"slicer_wheel={wheel}")
        load.wait_for(20)
        (new,) = {current(host) for host in fleet.slicers}
        assert new.startswith(f"{VERSION}-")
        for host in fleet.slicers:
            for each in fleet.sites:
                assert versions(host, each) == {VERSION}
        back = fleet.provision("-e", f"slicer_release={old}")
        load.wait_for(20)
    measure(f"there in {there.seconds:.0f} s, back in {back.seconds:.0f} s; {load.summary()}")
    assert load.failed == []
    assert {host.name: current(host) for host in fleet.slicers} == before
    assert {host.name: versions(host, site) for host in fleet.slicers} == known
    # Only code has changed: its processes were replaced one by one, and Apache went on.
    assert {host.name: host.tree(site).apache.pid for host in fleet.slicers} == apache
