"""What operators bound by variables, each seen from outside: the longest request, memory of a process, requests of a process, and that one
site cannot starve another."""

import statistics
import threading
import time

import pytest

from infra.load import Load
from mp3_slicer.server.sizes import stuck_seconds
from support.server import until

pytestmark = pytest.mark.fleets("one")
strict = pytest.mark.parametrize("site", ["strict"], indirect=True)

# Runs on a slicer: a file that takes long to look at for the first time. Between a little audio it has holes, which cost no disk.
_LONG_WALK = """
import sys
source, target = sys.argv[1:]
piece = open(source, "rb").read()[:40000]
with open(target, "wb") as file:
    for number in range(1200):
        file.seek(number * (15 << 20))
        file.write(piece)
"""


@strict
def test_a_request_that_overstays_ends_in_504_and_others_go_on(fleet, site, edge, sources, measure):
    folder = f"{site.media}/slicer-test"
    for host in fleet.slicers:
        host.python(_LONG_WALK, f"{folder}/{sources[0].path.name}", f"{folder}/slow.mp3")
    answers = []
    try:
        with Load(edge, lambda: sources[0].some(), threads=2, pause=0.1) as load:
            load.wait_for(5)
            thread = threading.Thread(
                target=lambda: answers.append(edge.ask("/clips/slicer-test/slow.mp3?t=0,1")), daemon=True
            )
            thread.start()
            thread.join(60)
            load.wait_for(5)
    finally:
        for host in fleet.slicers:
            host.run(f"rm -f {folder}/slow.mp3")
    (answer,) = answers
    measure(
        f"a request of at most {site.options['request_timeout']} s ended after {answer.seconds:.1f} s; meanwhile {load.summary()}"
    )
    assert answer.status == 504
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    sizes = fleet.slicers[0].sizes(site)
    assert sizes.request_timeout == site.options["request_timeout"]
    # mod_wsgi interrupts it, and ends the process where that does not help; each takes its time.
    longest = stuck_seconds(sizes.request_timeout, sizes.clips_threads) + sizes.interrupt_timeout
    assert sizes.request_timeout <= answer.seconds <= longest + 5
    assert load.failed == []
    assert len(load.results) >= 20
    for host in fleet.slicers:
        host.wait_until_ready(site)


def test_a_process_that_exceeds_its_memory_ends_alone(fleet, site, edge, sources, measure):
    host = fleet.slicers[0]
    host.wait_until_ready(site)
    before = host.tree(site)
    victim, *others = before.daemons("clips")
    # It has more than this already, so the next bit of memory it wants is refused. Its user may lower the limit, as root may.
    host.run(f"runuser -u {site.user} -- prlimit --pid {victim.pid} --data={1 << 20}")
    with Load(edge, lambda: sources[0].some(10), threads=6, pause=0) as load:
        until(
            lambda: victim.pid not in {each.pid for each in host.tree(site).daemons("clips")},
            60,
            "it has been replaced",
        )
        load.wait_for(50)
    host.wait_until_ready(site)
    after = host.tree(site)
    measure(load.summary())
    assert {each.pid for each in others} < {each.pid for each in after.daemons("clips")}
    assert {each.limits["Max data size"] for each in after.daemons("clips")} == {victim.limits["Max data size"]}
    assert after.apache.pid == before.apache.pid
    assert [each.pid for each in after.children] == [each.pid for each in before.children]
    # Its clients get a refusal at worst, or see that a body that it had begun ends short; never a clip that is not right.
    outcomes = {(result.outcome.partition(":")[0], result.retry_after) for result in load.failed}
    assert outcomes <= {("503", True), ("IncompleteRead", False)}
    assert len(load.failed) < len(load.results) / 2


@strict
def test_a_process_is_replaced_after_so_many_requests_and_nobody_notices(fleet, site, edge, sources, measure):
    before = {host.name: {each.pid for each in host.tree(site).daemons("clips")} for host in fleet.slicers}
    most = site.options["max_requests"]

    def replaced():
        return all(
            not before[host.name] & {each.pid for each in host.tree(site).daemons("clips")} for host in fleet.slicers
        )

    with Load(edge, lambda: sources[0].some(), threads=4, pause=0.005) as load:
        load.wait_for(most * len(fleet.slicers))
        until(replaced, 60, "every process has been replaced")
        load.wait_for(100)
    measure(load.summary())
    assert load.failed == []


def test_a_site_that_is_flooded_starves_no_other(fleet, site, edge, sources, measure):
    flooded = fleet.edge(fleet.site("strict"))

    def run(seconds):
        with Load(edge, lambda: sources[1].some(), threads=2, pause=0.05) as load:
            time.sleep(seconds)
        return load

    calm = run(3)
    with Load(flooded, lambda: sources[0].some(15), threads=64, pause=0) as flood:
        flood.wait_for(64)
        busy = run(8)
    times = {
        name: sorted(each.ended - each.began for each in load.results)
        for name, load in (("calm", calm), ("busy", busy))
    }
    described = {
        name: f"median {1000 * statistics.median(each):.0f} ms, worst {1000 * each[-1]:.0f} ms"
        for name, each in times.items()
    }
    measure(f"{described}; the flood: {flood.summary()}")
    assert calm.failed == busy.failed == []
    assert {result.outcome for result in flood.results} <= {"200", "503"}
    assert statistics.median(times["busy"]) < 0.5
    assert times["busy"][-1] < 3
    for host in fleet.slicers:
        host.wait_until_ready(fleet.site("strict"))
