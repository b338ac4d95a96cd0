"""What happens when daemons, Apache or a whole slicer go away under load."""

import http.client
import os
import pathlib
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from support import templates
from support.edge import DEFAULTS, ROLE, site
from support.server import until


class Crowd:
    """Clients that ask for ever new clips, and what they got."""

    def __init__(self, edge, fresh, clients=8):
        self.statuses = []
        #: Answers that ended early: their head was on its way when something died.
        self.cut = 0
        self._edge, self._fresh = edge, fresh
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._all = [self._pool.submit(self._ask) for _ in range(clients)]

    def _ask(self):
        while not self._stop.is_set():
            try:
                self.statuses.append(self._edge.get(self._fresh()).status)
            except http.client.IncompleteRead:
                self.cut += 1

    def more(self, count=100):
        """Wait for so many further answers."""
        goal = len(self.statuses) + count
        until(lambda: len(self.statuses) >= goal, 60, f"{count} more answers")

    def __enter__(self):
        self.more()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for each in self._all:
            each.result()
        self._pool.shutdown()


def where(edge, url):
    """Which slicer answered a request, by the log."""
    until(lambda: any(each["target"] == url for each in edge.log()), 30, "it is logged")
    return next(each["upstream"] for each in edge.log() if each["target"] == url)


def open_files(pid):
    """The paths that a process has open."""
    folder = f"/proc/{pid}/fd"
    return [os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)]


def test_a_killed_daemon_costs_no_request(start, front, fresh):
    """But those whose first bytes had been passed on: at most one for each of its threads, and the client sees that they are short."""
    server = start()
    edge = front(site(server.port))
    with Crowd(edge, fresh) as crowd:
        for _ in range(3):
            before = server.daemons("clips")
            os.kill(before[0], signal.SIGKILL)
            crowd.more()
            until(lambda before=before: len(server.daemons("clips")) == len(before), 30, "it is replaced")
    assert set(crowd.statuses) == {200}
    assert crowd.cut <= 3 * 3


def test_what_a_killed_daemon_had_begun_is_begun_again(start, front, fresh, no_index):
    server = start()
    edge = front(site(server.port))
    url = fresh()
    with ThreadPoolExecutor(1) as pool:
        with no_index(server):
            waiting = pool.submit(edge.get, url)
            time.sleep(0.5)
            assert not waiting.done()
            (works,) = (pid for pid in server.daemons("clips") if any("/locks/" in path for path in open_files(pid)))
            os.kill(works, signal.SIGKILL)
            until(lambda: works not in server.daemons("clips"), 30, "it is gone")
        answer = waiting.result()
    assert (answer.status, answer.cache) == (200, "MISS")
    address = f"127.0.0.1:{server.port}"
    assert where(edge, url) == f"{address}, {address}"


def test_what_fails_twice_is_not_tried_again(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port))
    tap.close()
    url = fresh()
    assert edge.get(url).status == 503
    assert where(edge, url) == f"127.0.0.1:{tap.port}, 127.0.0.1:{tap.port}"


def test_what_overstayed_is_not_run_again(front, tapping, server, fresh):
    tap = tapping(server.port)
    edge = front(site(tap.port, read_timeout=3), nginx_retry_timeout=2)
    began = time.monotonic()
    with tap.hold():
        assert edge.get(fresh()).status == 504
    assert time.monotonic() - began < 30
    assert len(tap.seen) == 1


def test_clips_are_spread_and_each_keeps_its_slicer(front, tapping, server, fresh):
    taps = [tapping(server.port) for _ in range(3)]
    edge = front(site([tap.port for tap in taps], cache_mib=0))
    urls = [fresh() for _ in range(60)]
    for url in urls:
        edge.get(url)
    shares = [tap.targets for tap in taps]
    assert sum(map(len, shares)) == 60
    assert min(map(len, shares)) >= 5
    for url in urls:
        edge.get(url)
    assert [tap.targets for tap in taps] == [share + share for share in shares]


def test_a_clip_goes_elsewhere_only_while_its_slicer_is_away(front, tapping, server, fresh):
    taps = [tapping(server.port) for _ in range(3)]
    edge = front(site([tap.port for tap in taps], cache_mib=0))
    urls = [fresh() for _ in range(60)]
    for url in urls:
        assert edge.get(url).status == 200
    before = [tap.targets for tap in taps]
    taps[0].close()
    for tap in taps:
        tap.forget()
    for url in urls:
        assert edge.get(url).status == 200
    # The clips of the others stayed where they were; those of the lost one are shared by them.
    for old, tap in zip(before[1:], taps[1:], strict=True):
        assert set(old) < set(tap.targets)
    assert sum(len(tap.targets) for tap in taps[1:]) == 60


def test_a_further_slicer_takes_its_share_only(front, tapping, server, fresh):
    taps = [tapping(server.port) for _ in range(4)]
    few, many = (site([tap.port for tap in taps[:count]], cache_mib=0) for count in (3, 4))
    edge = front(few)
    urls = [fresh() for _ in range(60)]
    for url in urls:
        edge.get(url)
    before = [set(tap.targets) for tap in taps]
    old = edge.workers()
    edge.render([many])
    edge.reload()
    until(lambda: not set(old) & set(edge.workers()), 30, "the new workers are there")
    for tap in taps:
        tap.forget()
    for url in urls:
        edge.get(url)
    after = [set(tap.targets) for tap in taps]
    assert after[3]
    assert all(now <= then for now, then in zip(after[:3], before[:3], strict=True))


def test_a_slicer_that_failed_is_asked_again_at_once(front, tapping, server, fresh):
    """Or a clip that fails everywhere would take all slicers out."""
    taps = [tapping(server.port), tapping(server.port)]
    edge = front(site([tap.port for tap in taps], cache_mib=0))
    urls = [fresh() for _ in range(20)]
    for url in urls:
        assert edge.get(url).status == 200
    before = taps[0].targets
    taps[0].failing = True
    for url in urls:
        assert edge.get(url).status == 200
    taps[0].failing = False
    taps[0].forget()
    for url in urls:
        assert edge.get(url).status == 200
    assert taps[0].targets == before


def test_a_slicer_that_stops_under_load_costs_no_request(start, front, fresh):
    servers = [start(), start()]
    edge = front(site([server.port for server in servers]))
    with Crowd(edge, fresh) as crowd:
        servers[0].stop()
        crowd.more(300)
    assert (set(crowd.statuses), crowd.cut) == ({200}, 0)


def test_a_full_slicer_is_relieved_by_the_next(front, tapping, server, fresh):
    taps = [tapping(server.port), tapping(server.port)]
    edge = front(site([tap.port for tap in taps], clips_connections=2))
    with ThreadPoolExecutor(4) as pool, taps[0].hold(), taps[1].hold():
        waiting = [pool.submit(edge.get, fresh()) for _ in range(4)]
        until(lambda: sum(tap.open for tap in taps) == 4, 30, "all four are under way")
        assert [tap.open for tap in taps] == [2, 2]
        assert edge.get(fresh()).status == 503
        for tap in taps:
            tap.release()
        assert [each.result().status for each in waiting] == [200] * 4


def test_health_is_that_of_any_slicer(start, front):
    servers = [start(), start()]
    edge = front(site([server.port for server in servers]))
    servers[0].stop()
    assert [edge.get("/readyz").status for _ in range(6)] == [200] * 6


def test_errors_of_one_clip_take_no_slicer_away(start, front, tapping, fresh):
    """However often a slicer fails, the next request is tried there: or one bad clip would take the others with it."""
    server = start()
    tap = tapping(server.port)
    edge = front(site(tap.port))
    stop = time.monotonic() + 1
    while time.monotonic() < stop:
        for pid in server.daemons("clips"):
            os.kill(pid, signal.SIGKILL)
        edge.get(fresh())
    until(lambda: edge.get(fresh()).status == 200, 30, "clips are served again")
    assert [edge.get(fresh()).status for _ in range(20)] == [200] * 20


def test_more_sites_and_slicers_take_a_reload_and_no_restart(front, server, tmp_path):
    """Nginx's unit stays the same, and its limit is enough for all of them."""
    few = [site(server.port)]
    many = [site(range(server.port, server.port + 20), f"s{n}", server_names=[f"s{n}.test"]) for n in range(8)] + few
    unit = ROLE / "templates" / "unit.conf.j2"
    for name, sites in (("few", few), ("many", many)):
        templates.write(unit, str(tmp_path / name), DEFAULTS, {"nginx_sites": sites, "nginx_status_listen": ""})
    assert (tmp_path / "few").read_text() == (tmp_path / "many").read_text()
    (limit,) = re.findall("^LimitNOFILE=([0-9]+)$", (tmp_path / "many").read_text(), re.MULTILINE)
    edge = front(*few)
    edge.render(many)
    edge.reload()
    until(lambda: edge.get("/healthz", Host="s1.test").status == 200, 60, "Nginx has the new sites")
    (needed,) = re.findall("worker_rlimit_nofile ([0-9]+);", pathlib.Path(edge.conf).read_text())
    assert int(needed) < int(limit)
