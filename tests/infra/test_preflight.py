"""What the play looks at before any change, and at its end, on a whole machine; each refusal is in tests/unit/ansible/test_preflight.py."""

import pytest

from infra import farm


@pytest.mark.fleets("one")
@pytest.mark.thrown_away
def test_the_end_of_the_play_finds_what_clients_would(fleet, measure):
    (host,) = fleet.hosts
    recap = fleet.provision("--tags", "preflight,verify")
    measure(f"preflight and verify: {recap.seconds:.0f} s")
    assert not any(recap.changed.values())
    host.run("systemctl stop slicer-worker@main")
    try:
        with pytest.raises(farm.CommandFailed, match="slicer-worker@main"):
            fleet.provision("--tags", "verify")
    finally:
        host.run("systemctl start slicer-worker@main")
