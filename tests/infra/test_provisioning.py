"""What the playbook did: what came out answers as the README says, and a second run has nothing to do."""

import json
import subprocess

import pytest

from infra import farm
from infra.secrecy import nothing_said


@pytest.mark.fleets("one")
@pytest.mark.thrown_away
def test_the_clip_of_the_readme(fleet, tmp_path):
    address, port = fleet.edge_address
    clip = tmp_path / "clip.mp3"
    subprocess.run(
        ["curl", "-fsS", f"http://{address}:{port}/clips/show.mp3?t=3000,3010", "-o", clip], check=True, timeout=60
    )
    decoded = subprocess.run(["mpg123", "-q", "-s", clip], check=True, capture_output=True, timeout=60).stdout
    assert len(decoded) == 10 * 44100 * 2 * 2


@pytest.mark.fleets("one", "several")
def test_a_second_run_changes_nothing(fleet, measure):
    if fleet.first:
        measure(f"first run: {fleet.first.seconds:.0f} s")
        assert all(fleet.first.changed.values())
    second = fleet.provision("--diff")
    measure(
        f"second run: {second.seconds:.0f} s, {sum(second.changed.values())} changed on {len(second.changed)} hosts"
    )
    assert set(second.changed) == {host.name for host in fleet.hosts}
    assert second.changes == ""
    assert not any(second.changed.values())


@pytest.mark.fleets("several")
def test_check_mode_changes_nothing_and_a_dead_machine_stops_nobody(fleet, tmp_path):
    dead = fleet.slicers[-1]
    (tmp_path / "dead.json").write_text(json.dumps({"all": {"hosts": {dead.name: {"ansible_port": 1}}}}))
    with pytest.raises(farm.CommandFailed, match="exit status 4") as failed:
        fleet.provision("--check", "--diff", "-i", str(tmp_path / "dead.json"))
    said = str(failed.value)
    assert f"left as they were: {dead.name}." in said
    # The edge keeps the dead one, so that nothing changes there either.
    assert farm.Recap(said, 0).changed == {host.name: 0 for host in fleet.hosts}


@pytest.mark.fleets("several")
@pytest.mark.thrown_away
def test_sites_of_one_user_become_those_of_their_own(fleet, edge, sources):
    """As on a machine that an earlier version set up: one user for all, with what it has made, which stays.

    The play shows what it changes, and no secret.
    """
    site = fleet.sites[0]
    clip = sources[0].some(2)
    assert edge.ask(clip.target).status == 200
    indexes = {}
    for host in fleet.slicers:
        # Its settings were others, too: the unit that they are made for has another sum.
        host.run(
            "for one in /etc/systemd/system/slicer@*.service.d/instance.conf; do "
            "sed -i 's/^User=.*/User=slicer/; s/^Group=.*/Group=slicer/' $one; done; "
            "for one in /etc/slicer/*.env; do echo '# of an earlier version' >>$one; done; "
            "chgrp slicer /etc/slicer/*; chown -R slicer:slicer /var/log/slicer; "
            "systemctl daemon-reload; systemctl restart 'slicer@*'"
        )
        host.wait_until_ready(site)
        assert host.run(f"stat --format=%U /var/cache/slicer/{site.name}").strip() == "slicer"
        indexes[host.name] = host.run(f"ls /var/cache/slicer/{site.name}")
    with nothing_said(fleet) as said:
        said.append(fleet.provision("--diff", "-vvv").output)
    fleet.wait_until_ready()
    for host in fleet.slicers:
        for each in fleet.sites:
            places = f"/var/cache/slicer/{each.name} /var/cache/slicer/{each.name}.* /var/log/slicer/{each.name} /run/slicer-{each.name}"
            assert host.run(f"find {places} ! -user {each.user} -print -quit") == ""
            assert {found.uid for found in host.tree(each).all} == {int(host.run(f"id --user {each.user}"))}
        assert set(indexes[host.name].split()) <= set(host.run(f"ls /var/cache/slicer/{site.name}").split())
    assert edge.ask(clip.target).status == 200


@pytest.mark.fleets("several")
def test_indexes_are_made_in_advance_as_the_sites_user(fleet, site):
    host = fleet.slicers[0]
    place = f"/var/cache/slicer/{site.name}"
    host.run(f"systemctl start slicer-index@{site.name}.service")
    assert "\n0 indexed, " in "\n" + host.run(f"slicer --site {site.name} index || true")
    assert host.run(f"find {place} ! -user {site.user} -print -quit") == ""
    assert host.property(f"slicer-index@{site.name}.timer", "ActiveState") == "active"
