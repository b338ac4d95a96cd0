"""What runs on each slicer: processes, threads, limits, sockets, users. Seen from /proc and the kernel, not from configuration."""

import itertools
import json
import re
import threading

import pytest

from infra.fleet import OWN_THREADS

# Runs on the machine as Slicer's user: the first thing below these folders that it may write.
_WRITABLE = "runuser -u {user} -- find {places} -writable ! -type l -print -quit 2>/dev/null"
# The same of what it may read.
_READABLE = "runuser -u {user} -- find {places} -readable -print -quit 2>/dev/null"

pytestmark = pytest.mark.fleets("host", "several")
every_site = pytest.mark.parametrize("site", ["main", "brief", "strict"], indirect=True)


@every_site
def test_each_group_has_its_processes_threads_and_limits(fleet, site):
    for host in fleet.slicers:
        tree, sizes = host.tree(site), host.sizes(site)
        clips, renders = tree.daemons("clips"), tree.daemons("renders")
        assert (len(clips), len(renders)) == (sizes.clips_processes, sizes.renders_processes)
        assert {each.threads for each in clips} == {sizes.clips_threads + OWN_THREADS}
        assert {each.threads for each in renders} == {sizes.renders_threads + OWN_THREADS}
        assert {each.limits["Max data size"] for each in clips} == {str(sizes.clips_memory_bytes)}
        assert {each.limits["Max data size"] for each in renders} == {str(sizes.renders_memory_bytes)}
        assert len(tree.children) == sizes.max_request_workers


@every_site
def test_clips_need_not_wait_for_a_turn_of_renders(fleet, site):
    """The unit lets the service ask for long turns and lower priorities."""
    for host in fleet.slicers:
        tree = host.tree(site)
        pids = [each.pid for each in (tree.apache, *tree.children, *tree.daemons("clips"), *tree.daemons("renders"))]
        program = (
            "import os; from mp3_slicer import timeslice; "
            f"print(timeslice.of(), *(f'{{timeslice.of(pid)}}:{{os.getpriority(0, pid)}}' for pid in {pids}))"
        )
        own, *found = host.test.check_output("/opt/slicer/current/bin/python -c %s", program).split()
        renders = len(tree.daemons("renders"))
        # A kernel before 6.12 knows no turns, and says 0 of all.
        long = str(100_000_000 if own != "0" else 0)
        assert set(found[:-renders]) == {f"{own}:0"}
        assert set(found[-renders:]) == {f"{long}:10"}


@every_site
def test_a_burst_changes_no_process(fleet, site, edge, sources):
    before = {host.name: host.tree(site).shape() for host in fleet.slicers}
    workers = {host.name: host.sizes(site).max_request_workers for host in fleet.slicers}
    seen = []

    def look():
        for host in fleet.slicers:
            tree = host.tree(site)
            assert len(tree.children) <= workers[host.name]
            seen.append((host.name, tree.shape()))

    watching = threading.Event()
    failures = []

    def watch():
        while not watching.is_set():
            try:
                look()
            except AssertionError as error:
                failures.append(error)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    statuses = []
    for _ in range(3):
        targets = [sources[number % len(sources)].some().target for number in range(200)]
        statuses += [answer.status for answer in edge.ask_at_once(targets)]
    watching.set()
    watcher.join(30)
    assert not failures
    # Who comes when all is taken is refused, at once or after the wait that a queue allows, and nothing else happens to anybody.
    assert set(statuses) <= {200, 503, 504}
    assert statuses.count(200) >= 150
    assert len(seen) >= 2
    # A daemon that is recycled after so many requests is replaced, as it was told to.
    if not site.options.get("max_requests"):
        assert all(shape == before[name] for name, shape in seen)
        assert {host.name: host.tree(site).shape() for host in fleet.slicers} == before
    else:
        assert all(shape["children"] == before[name]["children"] for name, shape in seen)


def test_a_burst_at_apache_itself_changes_no_process(fleet, site):
    """Without the edge, which never lets so many through."""
    burst = """
import selectors, socket, sys, time
address, _, port = sys.argv[1].rpartition(":")
selector, waiting, statuses = selectors.DefaultSelector(), 0, []
for _ in range(200):
    connection = socket.create_connection((address, int(port)))
    connection.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
    selector.register(connection, selectors.EVENT_READ)
    waiting += 1
end = time.monotonic() + 60
while waiting and time.monotonic() < end:
    for key, _ in selector.select(1):
        statuses.append(key.fileobj.recv(64)[9:12].decode())
        selector.unregister(key.fileobj)
        waiting -= 1
print(" ".join(statuses))
"""
    for host in fleet.slicers:
        before = host.tree(site).shape()
        statuses = host.python(burst, host.listens(site)).split()
        assert len(statuses) == 200
        assert set(statuses) == {"200"}
        assert host.tree(site).shape() == before


def test_apache_is_prefork_and_runs_no_python_itself(fleet, site):
    """A child has one thread, and none of the modules that any Python of ours loads; the daemons, which do run it, have them."""
    for host in fleet.slicers:
        tree = host.tree(site)
        assert host.apache_says(site)["ServerMPM"] == "prefork"
        assert {each.threads for each in tree.children} == {1}
        assert {each.python for each in tree.daemons("clips") + tree.daemons("renders")} == {True}
        assert {each.python for each in tree.children} == {False}


@every_site
def test_the_queues_in_front_of_the_daemons_are_as_long_as_they_should_be(fleet, site):
    for host in fleet.slicers:
        sizes = host.sizes(site)
        words = host.tree(site).apache.arguments.split()
        root = words[words.index("-f") + 1].rpartition("/")[0]
        lines = [
            line.split() for line in host.run("ss --no-header --listening --unix").splitlines() if f" {root}/" in line
        ]
        assert sorted(int(line[3]) for line in lines) == sorted([sizes.clips_backlog, sizes.renders_backlog])


def test_everything_runs_as_a_user_that_may_write_nothing_but_its_cache(fleet, site):
    for host in fleet.slicers:
        uid = int(host.run(f"id --user {site.user}"))
        assert uid != 0
        assert {each.uid for each in host.tree(site).all} == {uid}
        assert {each.private for each in host.tree(site).all} == {"1"}  # NoNewPrivs
        places = f"/opt/slicer /etc/slicer /etc/systemd /etc/nginx {site.media}"
        assert host.test.run(_WRITABLE.format(user=site.user, places=places)).stdout == ""
        # The look itself works: the same user may write the index.
        assert host.test.run(_WRITABLE.format(user=site.user, places="/var/cache/slicer")).stdout != ""


def test_no_site_can_read_what_another_one_has(fleet):
    """Not its keys and settings, indexes, results and logs, nor what its processes were started with."""
    if len(fleet.sites) < 2:
        pytest.skip("there is one site")
    for host in fleet.slicers:
        assert len({site.user for site in fleet.sites}) == len(fleet.sites)
        for site in fleet.sites:
            user = site.user
            own = f"/var/cache/slicer/{site.name}/ /run/slicer-{site.name} /var/log/slicer/{site.name}/ /etc/slicer/{site.name}.*"
            # The look itself works: it finds what is the site's own.
            assert host.test.run(_READABLE.format(user=user, places=own)).stdout != ""
            others = " ".join(
                f"/var/cache/slicer/{each.name} /var/cache/slicer/{each.name}.* /run/slicer-{each.name} "
                f"/run/slicer-worker-{each.name} /var/log/slicer/{each.name} /etc/slicer/{each.name}.*"
                for each in fleet.sites
                if each is not site
            )
            assert host.test.run(_READABLE.format(user=user, places=others)).stdout == ""
            pid = host.main_pid(next(each for each in fleet.sites if each is not site).unit)
            assert host.test.run(f"runuser -u {user} -- cat /proc/{pid}/environ").rc != 0


def test_no_log_and_no_cached_clip_is_for_everybody_to_read(fleet):
    for host in fleet.edges:
        for place in ("/var/log/nginx", "/var/cache/nginx"):
            assert host.run(f"find {place} -type f -perm /o=rwx -print -quit") == ""


def test_units_are_enabled_and_run_and_nothing_else_does(fleet):
    for host in fleet.slicers:
        for site in fleet.sites:
            assert host.test.service(site.unit).is_enabled
            assert host.test.service(site.unit).is_running
        # The distribution's own Apache with its site, should it be installed.
        assert host.run("systemctl is-active apache2 || true").strip() != "active"
    for host in fleet.edges:
        assert host.test.service("nginx").is_enabled
        assert host.test.service("nginx").is_running
    for host in fleet.hosts:
        assert host.run("systemctl --failed --no-legend --plain") == ""


# What a process is to be found listening, apart from what the machine itself needs.
_OURS = re.compile(r'"(nginx|apache2|python[0-9.]*|slicer|redis-server)"')


def _listening(host):
    """(address, port) of each TCP socket that a program of ours listens on."""
    found = set()
    for line in host.run("ss --no-header --listening --tcp --numeric --processes").splitlines():
        if _OURS.search(line):
            address, _, port = line.split()[3].rpartition(":")
            found.add((address, int(port)))
    return found


def test_sockets_are_bound_where_they_should_be_and_nowhere_else(fleet):
    together = len(fleet.hosts) == 1
    for host in fleet.hosts:
        expected = set()
        if host in fleet.edges:
            expected |= {("0.0.0.0", 80), ("127.0.0.1", 8081), ("127.0.0.1", 8083), ("127.0.0.1", 8084)}
            # Where workers publish what clients are held for.
            if fleet.queues:
                expected.add((host.address if fleet.workers and not together else "127.0.0.1", 8082))
        if host in fleet.queues:
            expected |= {("127.0.0.1", 6379)} | (set() if together else {(host.address, 6379)})
        if host in fleet.slicers:
            address = "127.0.0.1" if together else host.address
            expected |= {(address, site.port) for site in fleet.sites}
        found = _listening(host) - {("[::]", 80)}
        assert found == expected


def test_the_port_of_a_slicer_is_for_edges_and_its_own_numbers_for_nobody_else(fleet, site, edge):
    """Through the edge, /server-status is not there; Apache shows it to its own machine alone."""
    answer = edge.ask("/server-status?auto")
    assert answer.status == 404
    assert b"Accesses" not in answer.body
    if len(fleet.hosts) > 1:
        other = fleet.edges[0]
        asked = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(f"http://{sys.argv[1]}/server-status?auto", timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
        assert other.python(asked, f"{fleet.slicers[0].address}:{site.port}").strip() in ("403", "404")


def test_the_unit_is_closed_to_what_it_does_not_need(fleet, site):
    """systemd's own measure, from 0 (closed) to 10."""
    for hosts, unit, most in (
        (fleet.slicers, site.unit, 1.5),
        (fleet.edges, "nginx", 4.2),
        (fleet.edges, "slicer-edge-metrics", 1.2),
    ):
        for host in hosts:
            said = host.run(f"systemd-analyze security --no-pager {unit} | tail -n 1")
            assert float(re.search(r"([0-9.]+) [A-Z]+", said)[1]) <= most, said


@every_site
def test_memory_and_tasks_of_a_unit_are_limited_by_the_kernel(fleet, site):
    """Not only said to systemd: read from the control group that a daemon is in."""
    effective = r"""
import json, os, sys
groups = [line.strip().split(":", 2) for line in open(f"/proc/{sys.argv[1]}/cgroup")]
found = {}
for name, (v1, v2) in {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}.items():
    for _, controllers, group in groups:
        base, file = ("/sys/fs/cgroup", v2) if not controllers else (f"/sys/fs/cgroup/{name}", v1)
        path = f"{base}{group}/{file}"
        if controllers in ("", name) and os.path.exists(path):
            found[name] = open(path).read().strip()
print(json.dumps(found))
"""
    for host in fleet.slicers:
        tree = host.tree(site)
        found = json.loads(host.python(effective, tree.daemons("clips")[0].pid))
        assert found == {"memory": host.property(site.unit, "MemoryMax"), "pids": host.property(site.unit, "TasksMax")}
        assert int(found["memory"]) <= host.memory_mib << 20
        assert int(found["pids"]) >= sum(each.threads for each in tree.all)
        assert int(found["pids"]) <= 4 * sum(each.threads for each in tree.all)


def test_the_log_is_in_the_journal_and_says_no_warning(fleet, site):
    for host in fleet.slicers:
        log = host.journal(site.unit, 1000)
        assert "Apache" in log or "slicer" in log
        assert "WSGI0079" not in log  # the locale is there


def ill(host):
    """What the doctor finds ill on a machine: the name of each check, and what it says to do.

    What tests did to units before may still be in their logs, and nothing sets the clock of a machine without a network.
    """
    said = host.test.run("/opt/slicer/current/bin/python -m mp3_slicer doctor --host")
    lines = said.stdout.splitlines()
    # Names are padded to the longest, and two spaces end them.
    found = {
        re.split(r" {2,}", line)[1]: advice.strip(" →")
        for line, advice in itertools.pairwise(lines)
        if line.startswith("FAIL")
    }
    assert said.rc == (1 if found else 0), said.stdout + said.stderr
    return {name: advice for name, advice in found.items() if not name.startswith("log of ") and name != "clock"}


def test_the_doctor_finds_a_stopped_site_and_says_how_to_start_it(fleet, site):
    for host in fleet.slicers:
        assert ill(host) == {}
        host.run(f"systemctl stop {site.unit}")
        try:
            found = ill(host)
        finally:
            host.run(f"systemctl start {site.unit}")
            host.wait_until_ready(site)
        assert set(found) == {site.unit, f"site {site.name}", f"release of {site.name}"}
        assert f"systemctl start {site.unit}" in found[site.unit]
        assert found[f"release of {site.name}"] == f"systemctl start slicer@{site.name}"


@pytest.mark.parametrize("what", ["media", "scratch"])
def test_the_doctor_finds_a_missing_and_a_full_disk(fleet, site, what):
    path = {"media": site.media, "scratch": f"/var/cache/slicer/{site.name}.scratch"}[what]
    for host in fleet.slicers:
        # An empty folder, as where a disk is not mounted; and one that is full.
        host.run(f"mount -t tmpfs -o size=64k,mode=755 none {path}")
        try:
            if what == "scratch":
                host.run(f"dd if=/dev/zero of={path}/filler bs=4096 2>/dev/null || true; test -s {path}/filler")
            found = ill(host)
        finally:
            host.run(f"umount {path}")
        name, advice = {
            "media": (f"media of {site.name}", f"findmnt --target {path}"),
            "scratch": (path, f"du -xh --max-depth=2 {path}"),
        }[what]
        assert advice in found[name]
        assert ill(host) == {}
        host.wait_until_ready(site)
