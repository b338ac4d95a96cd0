"""Hosts with IPv6 alone and no way out but a proxy: one compiles the packages of Python, and one without a compiler gets them.
The second begins without an edge, behind a load balancer, and then becomes its own edge."""

import contextlib
import http.client
import ipaddress
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import farm
from support.forward import Forward, forwarding
from support.server import folder

pytestmark = [pytest.mark.fleets("own"), pytest.mark.long, pytest.mark.timeout(3600, func_only=True)]


class Sixes(farm.Containers):
    """Hosts without an IPv4 address, which the engine gives them and this takes away."""

    def _network(self) -> ipaddress.IPv6Network:  # type: ignore[override]
        for third in range(256):
            network = ipaddress.IPv6Network(f"fd00:213:{third:x}::/64")
            four = f"--subnet=10.214.{third}.0/24"
            label = f"--label={farm.LABEL}={os.getpid()}"
            with contextlib.suppress(farm.CommandFailed):
                farm.run(["docker", "network", "create", label, "--ipv6", f"--subnet={network}", four, self.prefix])
                self.gateway = str(network[1])
                return network
        raise farm.CommandFailed("docker makes no network")

    def _start(self, name: str, address: str) -> None:
        named = [f"--name={self.prefix}-{name}", f"--hostname={name}", f"--label={farm.LABEL}={os.getpid()}"]
        placed = [f"--network={self.prefix}", f"--ip6={address}"]
        image = f"slicer-host:{self.suite}"
        farm.run(["docker", "run", "--detach", *named, *placed, *farm.RUN_OPTIONS, image])
        pid = farm.run(["docker", "inspect", "--format={{.State.Pid}}", f"{self.prefix}-{name}"]).strip()
        farm.run(["nsenter", f"--target={pid}", "--net", "ip", "-4", "address", "flush", "dev", "eth0"])
        public = self._key.with_suffix(".pub").read_text().strip()
        self.inside(name, f"echo '{public}' >/home/vagrant/.ssh/authorized_keys")


@contextlib.contextmanager
def host_of(work: Path, suite: str, proxy: Forward, source: str, *groups: str, **variables: object) -> Iterator[Sixes]:
    """One host, called `host`, in these groups."""
    work.mkdir()
    media = folder()
    shutil.copy(source, Path(media, "show.mp3"))
    hosts = Sixes(work, suite, {group: ["host"] for group in groups}, variables)
    try:
        hosts.make(Path(media))
        hosts.tell(slicer_proxy=f"http://[{hosts.gateway}]:{proxy.server_port}")
        yield hosts
    finally:
        hosts.destroy()


def got(address: str, port: int) -> bytes:
    """A clip, as a client at the engine's address gets it."""
    with contextlib.closing(http.client.HTTPConnection(address, port, timeout=60)) as connection:
        connection.request("GET", "/clips/show.mp3?t=1,2")
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


@pytest.fixture(scope="module")
def engine() -> Iterator[None]:
    if os.geteuid() != 0 or (engine := farm.Engine()).missing:
        pytest.skip("takes root and a Docker engine")
    yield
    engine.stop()


@pytest.mark.usefixtures("engine")
def test_a_host_of_ipv6_without_a_compiler_or_an_index(tmp_path: Path, cbr: str) -> None:
    wheelhouse = tmp_path / "wheelhouse"
    known = {"slicer_wheelhouse": str(wheelhouse)}
    with forwarding() as proxy, host_of(tmp_path / "one", "trixie-ready", proxy, cbr, "slicers", **known) as builder:
        farm.play(builder.inventory, playbook="ansible/wheelhouse.yml")
        assert [path.suffix for path in wheelhouse.iterdir()] == [".tar"]
        # By pip, which had no other way.
        assert any("py" in name for name in proxy.names), proxy.names
        assert "inactive" in builder.inside("host", "systemctl is-active apache2 nginx || true")
    groups = ("slicers", "queue", "workers")
    known |= {"queue_password": "x" * 30}
    with forwarding() as proxy, host_of(tmp_path / "two", "trixie", proxy, cbr, *groups, **known) as hosts:
        assert "inet " not in hosts.inside("host", "ip address show dev eth0")
        # The engine's address, as the load balancer's. The play's end compares a clip, a render and a job on the slicer.
        hosts.tell(slicer_allowed_extra=[hosts.gateway])
        done = hosts.provision()
        assert "TASK [slicer : Check that each site answered as it should]" in done.output
        assert proxy.names
        assert all(name.endswith("debian.org") for name in proxy.names), proxy.names
        assert hosts.inside("host", "command -v gcc || true") == ""
        assert hosts.inside("host", "command -v nginx || true") == ""
        clip = got(hosts.address("host"), 8000)
        # The same through an edge, which the play's end asks too.
        hosts.regroup({group: ["host"] for group in ("edge", *groups)})
        hosts.provision()
        assert got(hosts.address("host"), 80) == got(hosts.address("host"), 8000) == clip
        assert "FAIL" not in hosts.inside("host", "slicer doctor --host | grep -v clock || true")
        second = hosts.provision("--skip-tags", "preflight,verify")
        assert second.changes == ""
