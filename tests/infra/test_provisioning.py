"""What the playbook did: what came out answers as the README says, and a second run has nothing to do."""

import subprocess

import pytest


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
def test_check_mode_changes_nothing_and_finds_nothing_to_change(fleet):
    recap = fleet.provision("--check", "--diff")
    assert recap.changes == ""
    assert not any(recap.changed.values())
