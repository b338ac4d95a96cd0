"""What one client may cause: fills and jobs, counted where there is a limit, and values of every variable that Nginx takes."""

import json
import pathlib
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator

import pytest
import yaml

from support.edge import NGINX, ROLE, Edge, site
from support.server import Server, free_port
from support.stub import Say, Stub, stub_of

DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with stub_of(lambda _: Say(202)) as stub:
        yield stub


def post(edge: Edge, target: str = "/jobs", **fields: str) -> int:
    return edge.get(target, "POST", body=b"{}", Content_Type="application/json", **fields).status


def test_jobs_are_counted_for_each_client_however_they_are_asked_for(front: Callable[..., Edge], stub: Stub) -> None:
    edge = front(site(stub.port), nginx_client_jobs=6, nginx_client_jobs_burst=3, nginx_trusted_proxies=["127.0.0.0/8"])

    def by(number: int) -> dict[str, str]:
        return {"X_Forwarded_For": f"192.0.2.{number}"}

    counted = [202] * 4 + [429] * 2
    assert [post(edge, **by(1)) for _ in range(6)] == counted
    spelled = ("/jobs", "//jobs", "/%6aobs", "/x/../jobs", "/jobs?x", "/jobs")
    assert [post(edge, target, **by(2)) for target in spelled] == counted
    preferring = ("respond-async", "wait=5", "x, Respond-Async;y") * 2
    assert [edge.get("/renders/a.wav?t=1,2", Prefer=prefer, **by(3)).status for prefer in preferring] == counted
    assert edge.get("/peaks/a.json?t=1,2", Prefer="respond-async", **by(3)).status == 429
    refused = edge.get("/jobs", "POST", body=b"{}", **by(3))
    assert (refused.headers["content-type"], refused.headers["retry-after"]) == ("application/problem+json", "2")
    assert json.loads(refused.body)["status"] == 429
    # Nothing else is refused, and nobody else.
    for target in ("/library", "/clips/a.mp3?t=1,2", "/renders/a.wav?t=1,2", "/jobs/" + "0" * 40):
        assert edge.get(target, **by(3)).status == 202
    assert edge.get("/jobs/" + "0" * 40, "DELETE", **by(3)).status != 429
    assert post(edge, **by(4)) == 202


def test_there_are_limits_unless_somebody_takes_them_away() -> None:
    for name in ("nginx_client_connections", "nginx_client_misses", "nginx_client_jobs"):
        assert DEFAULTS[name] > 0, name


def test_the_edge_has_its_numbers_where_fills_are_counted(front: Callable[..., Edge], server: Server) -> None:
    """Both by the role's own defaults, but for ports that this machine has free."""
    assert DEFAULTS["nginx_misses_listen"] != DEFAULTS["nginx_metrics_listen"]
    own = [
        re.findall(r":([0-9]{4})\b", value)
        for name, value in DEFAULTS.items()
        if name.endswith("_listen") and isinstance(value, str) and "127." in value
    ]
    assert len(own) == len({port for (port,) in own}) == 4
    edge = front(site(server.port), nginx_client_misses=600, nginx_misses_listen=f"127.0.0.1:{free_port()}")
    assert edge.get("/clips/show.mp3?t=1,2").status == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.metrics_port}/main/1") as answer:
        assert b"slicer_requests_total" in answer.read()


def test_the_role_refuses_two_servers_at_one_address() -> None:
    listeners = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["_nginx_listeners"]
    for name, value in DEFAULTS.items():
        if name.endswith("_listen") and value:
            assert name in listeners, name


@pytest.mark.parametrize("value", [0, 1])
def test_nginx_takes_every_number_at_its_least(front: Callable[..., Edge], server: Server, value: int) -> None:
    """0 stands for none or no limit where a variable says so; a burst of 0 is one that Nginx does not take."""
    names = [name for name in DEFAULTS if name.startswith("nginx_client_")]
    assert "nginx_client_misses_burst" in names
    for limited in (0, 5):
        given = {name: (value if name.endswith("_burst") else limited or value) for name in names}
        edge = front(
            site(server.port), nginx_misses_listen=f"127.0.0.1:{free_port()}", nginx_hsts_max_age=value, **given
        )
        done = subprocess.run(
            [NGINX, "-p", edge.work, "-e", "stderr", "-t", "-c", edge.conf], capture_output=True, text=True, check=False
        )
        assert (done.returncode, "emerg" in done.stderr) == (0, False), done.stderr
        assert pathlib.Path(edge.conf).read_text().count("burst=0") == 0
        edge.stop()
