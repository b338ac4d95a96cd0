"""The stages of `make test` and `make test-all` run every test of hosts."""

import re
from pathlib import Path

from support.stages import stages

INFRA = Path(__file__).parents[1] / "infra"


def test_each_kind_of_host_is_tested_in_a_stage() -> None:
    run = {stage.environ.get("SLICER_SERVERS"): stage for which in ("test", "all") for stage in stages(which)}
    named = {
        name
        for path in INFRA.glob("test_*.py")
        for words in re.findall(r"mark\.fleets\(([^)]*)\)", path.read_text())
        for name in re.findall(r'"(\w+)"', words)
    }
    assert {"host", "several", "one", "own"} <= named <= set(run)


def test_each_file_that_makes_hosts_for_itself_has_a_stage() -> None:
    run = {stage.command[-1] for stage in stages("all") if stage.environ.get("SLICER_SERVERS") == "own"}
    assert run == {
        f"tests/infra/{path.name}" for path in INFRA.glob("test_*.py") if 'fleets("own")' in path.read_text()
    }
