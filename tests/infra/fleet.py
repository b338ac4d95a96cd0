"""What the tests see of servers, whoever made them: their sites, and what runs on each machine. Everything comes from an inventory."""

import contextlib
import functools
import importlib.util
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import testinfra
import yaml

from infra import farm
from infra.load import Edge, Source
from mp3_slicer.server.sizes import Sizes, compute
from support.server import until

MIB = 1 << 20
#: Threads that mod_wsgi 6.1 runs in each daemon beside those that take requests.
OWN_THREADS = 4

# Runs on the machine: every process below a pid, or below the main one of a unit, as /proc has it.
_LOOK = """
import json, os, subprocess, sys
def read(*path):
    try:
        with open(os.path.join("/proc", *path), "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""
main = sys.argv[1]
if not main.isdigit():
    show = ["systemctl", "show", "--property=MainPID", "--value", main]
    main = subprocess.run(show, capture_output=True, check=True, text=True).stdout
found, todo = [], [int(main)] if int(main) else []
while todo:
    pid = str(todo.pop())
    status = dict(line.split(":\\t", 1) for line in read(pid, "status").splitlines() if ":\\t" in line)
    if not status or status["State"].startswith("Z"):
        continue
    limits = {line[:25].strip(): line[25:].split()[0] for line in read(pid, "limits").splitlines()[1:]}
    found.append({
        "pid": int(pid), "parent": int(status["PPid"]), "threads": int(status["Threads"]), "uid": int(status["Uid"].split()[0]),
        "arguments": read(pid, "cmdline").replace("\\0", " ").strip(), "limits": limits, "cgroup": read(pid, "cgroup"),
        "python": "/lib-dynload/" in read(pid, "maps"), "private": status["NoNewPrivs"].strip(),
    })
    todo += [int(word) for word in read(pid, "task", pid, "children").split()]
print(json.dumps(found))
"""

# Runs on the machine: Apache's own numbers.
_STATUS = """
import json, sys, urllib.request
text = urllib.request.urlopen(f"http://{sys.argv[1]}/server-status?auto", timeout=30).read().decode()
print(json.dumps(dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)))
"""


# Runs on the machine: what a site says of itself.
_READY = """
import sys, urllib.request
print(urllib.request.urlopen(f"http://{sys.argv[1]}/readyz", timeout=10).status)
"""


#: One connection for all that is asked of a machine, found dead within seconds where the machine was restarted.
_CONNECTION = (
    f"-o ControlMaster=auto -o ControlPersist=60 -o ControlPath={tempfile.gettempdir()}/slicer-ssh-{os.getpid()}-%C "
    "-o ConnectTimeout=30 -o ServerAliveInterval=3 -o ServerAliveCountMax=3"
)


@functools.cache
def _filters() -> ModuleType:
    """The playbook's own."""
    path = farm.ROOT / "ansible/plugins/filter/slicer_sites.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Process(NamedTuple):
    """A process of a server, as /proc describes it; `limits` are the soft ones, by the names of /proc/PID/limits."""

    pid: int
    parent: int
    threads: int
    uid: int
    arguments: str
    limits: Mapping[str, str]
    cgroup: str
    python: bool
    private: str


@dataclass(frozen=True)
class Site:
    """One site, as the inventory has it."""

    name: str
    port: int
    media: str
    server_name: str
    options: Mapping[str, Any]
    together: Sequence[Mapping[str, Any]]

    @classmethod
    def all(cls, instances: Sequence[Mapping[str, Any]]) -> list["Site"]:
        """The sites that share machines."""
        names = [each.get("server_names", ["_"])[0] for each in instances]
        return [
            cls(each["name"], int(each["port"]), each["media"], "localhost" if name == "_" else name, each, instances)
            for each, name in zip(instances, names, strict=True)
        ]

    def memory_mib(self, budget: Mapping[str, int]) -> int:
        """What this site may use of a machine's memory: its own number, or an equal part of what the others leave."""
        if "memory_mib" in self.options:
            return int(self.options["memory_mib"])
        named = [int(each["memory_mib"]) for each in self.together if "memory_mib" in each]
        return (budget["sites"] - sum(named)) // (len(self.together) - len(named))

    @property
    def unit(self) -> str:
        return f"slicer@{self.name}.service"

    @property
    def user(self) -> str:
        """Who it runs as, by the role."""
        return str(self.options.get("user") or (f"slicer-{self.name}" if len(self.together) > 1 else "slicer"))

    @property
    def clip_max_age(self) -> int:
        return int(self.options.get("settings", {}).get("SLICER_CLIP_MAX_AGE", 86400))


class Tree(NamedTuple):
    """The processes of one site on one machine."""

    all: Sequence[Process]

    def daemons(self, group: str) -> list[Process]:
        """The processes of a daemon group, oldest first. They keep Apache's name; only their arguments tell."""
        return sorted(each for each in self.all if each.arguments.startswith(f"(wsgi:{group})"))

    @property
    def children(self) -> list[Process]:
        """Apache's prefork children."""
        apache = self.apache.pid
        return sorted(each for each in self.all if each.parent == apache and "(wsgi:" not in each.arguments)

    @property
    def apache(self) -> Process:
        """Apache's parent."""
        (found,) = [
            each
            for each in self.all
            if each.parent == self.all[0].pid and each.arguments.startswith("apache2 (mod_wsgi-express)")
        ]
        return found

    def shape(self) -> dict[str, Any]:
        """What no load may change: which processes there are, and their threads."""
        return {
            "clips": [(each.pid, each.threads) for each in self.daemons("clips")],
            "renders": [(each.pid, each.threads) for each in self.daemons("renders")],
            "children": [each.pid for each in self.children],
        }


class Host:
    """A machine, by ssh and sudo."""

    def __init__(self, name: str, variables: Mapping[str, Any], groups: Sequence[str]) -> None:
        self.name = name
        self.variables = variables
        self.groups = groups
        self.address = variables.get("ansible_host", name)
        user = variables.get("ansible_user") or variables.get("ansible_ssh_user")
        port = variables.get("ansible_port") or variables.get("ansible_ssh_port")
        spec = f"ssh://{f'{user}@' if user else ''}{self.address}{f':{port}' if port else ''}"
        key = variables.get("ansible_ssh_private_key_file") or variables.get("ansible_private_key_file")
        extra = " ".join(
            str(variables[name]) for name in ("ansible_ssh_common_args", "ansible_ssh_extra_args") if name in variables
        )
        self.test = testinfra.get_host(
            spec, sudo=True, ssh_identity_file=key, ssh_extra_args=f"{extra or farm.SSH_OPTIONS} {_CONNECTION}"
        )

    def __repr__(self) -> str:
        return self.name

    def run(self, script: str) -> str:
        """What a shell script prints, run as root. Raises AssertionError where it fails."""
        done = self.test.run(script)
        assert done.rc == 0, (
            f"{self.name}: {script[:200]}: exit status {done.rc}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
        return str(done.stdout)

    def python(self, code: str, *arguments: object) -> str:
        """What a Python program prints, run as root."""
        words = " ".join(shlex.quote(str(word)) for word in arguments)
        return self.run(f"python3 -c {shlex.quote(code)} {words}")

    def main_pid(self, unit: str) -> int:
        return int(self.run(f"systemctl show --property=MainPID --value {unit}"))

    def property(self, unit: str, name: str) -> str:
        return self.run(f"systemctl show --property={name} --value {unit}").strip()

    def below(self, whom: str | int) -> list[Process]:
        """A process, or the main one of a unit, and all that descend from it."""
        return [Process(**each) for each in json.loads(self.python(_LOOK, whom))]

    def tree(self, site: Site) -> Tree:
        found = self.below(site.unit)
        assert found, f"{site.unit} does not run on {self.name}:\n{self.journal(site.unit)}"
        return Tree(found)

    def journal(self, unit: str, lines: int = 40) -> str:
        return self.run(f"journalctl --no-pager --unit={unit} --lines={lines}")

    def kill(self, *pids: int, signal: str = "KILL") -> None:
        self.run(f"kill -{signal} {' '.join(str(pid) for pid in pids)}")

    @contextlib.contextmanager
    def held(self, site: Site) -> Iterator[None]:
        """While the block runs, the daemons of clips stand still: what is asked waits."""
        pids = [each.pid for each in self.tree(site).daemons("clips")]
        self.kill(*pids, signal="STOP")
        try:
            yield
        finally:
            self.kill(*pids, signal="CONT")

    def listens(self, site: Site) -> str:
        """The address at which a site's Apache can be asked on the machine itself."""
        for line in self.run("ss --no-header --listening --tcp --numeric").splitlines():
            address, _, port = line.split()[3].rpartition(":")
            if int(port) == site.port:
                return f"{'127.0.0.1' if address in ('0.0.0.0', '*', '[::]') else address}:{port}"
        raise AssertionError(f"nothing listens on {site.port} of {self.name}:\n{self.journal(site.unit)}")

    def apache_says(self, site: Site) -> Mapping[str, str]:
        """Apache's own status. Asking is a request that it counts once it has answered."""
        status: dict[str, str] = json.loads(self.python(_STATUS, self.listens(site)))
        return status

    def boot(self) -> str:
        """What is another one after a reboot."""
        return self.property("basic.target", "ActiveEnterTimestampMonotonic") + self.run("cat /proc/1/stat").split()[21]

    def is_ready(self, site: Site) -> bool:
        """Whether a site answers on the machine itself."""
        return self.python(_READY, self.listens(site)).strip() == "200"

    def wait_until_ready(self, site: Site, seconds: float = 60) -> None:
        def ready() -> bool:
            try:
                return self.is_whole(site) and self.is_ready(site)
            except (AssertionError, RuntimeError, ValueError):
                return False  # it does not run yet, or the machine is away

        until(ready, seconds, f"{site.name} is ready on {self.name}")

    def is_whole(self, site: Site) -> bool:
        """Whether every daemon has started its threads."""
        tree, sizes = self.tree(site), self.sizes(site)
        clips, renders = tree.daemons("clips"), tree.daemons("renders")
        threads = {sizes.clips_threads + OWN_THREADS} | {sizes.renders_threads + OWN_THREADS}
        return (
            len(clips) == sizes.clips_processes
            and len(renders) == sizes.renders_processes
            and {each.threads for each in clips + renders} == threads
        )

    @cached_property
    def cpus(self) -> int:
        """CPUs that the machine may use."""
        return int(self.run("nproc"))

    @cached_property
    def memory_mib(self) -> int:
        return int(self.run("grep MemTotal /proc/meminfo").split()[1]) // 1024

    def sizes(self, site: Site) -> Sizes:
        """The numbers that a site must have on this machine."""
        known = {
            name: int(site.options[name])
            for name in ("request_timeout", "max_requests", "backlog")
            if name in site.options
        }
        if "clips_memory_mib" in site.options:
            known["clips_memory_bytes"] = int(site.options["clips_memory_mib"]) * MIB
        return compute(int(site.options.get("cpus", self.cpus)), site.memory_mib(self.budget(site)) * MIB, **known)

    def budget(self, site: Site) -> Mapping[str, int]:
        """How the playbook divides the machine's memory."""
        beside = {
            "edge": "edge" in self.groups,
            "queue_mib": 2 * int(self.variables.get("queue_memory_mib", 256)) + 128 if "queue" in self.groups else 0,
            "workers": "workers" in self.groups,
            "workers_mib": self.variables.get("workers_memory_mib", 0),
        }
        found: Mapping[str, int] = _filters().slicer_budget(self.memory_mib, site.together, beside)
        return found


@dataclass
class Count:
    """What slicers were asked: requests, and the size of their answers in KiB."""

    requests: int = 0
    kbytes: int = 0


@dataclass
class Fleet:
    """The machines of an inventory, and how to provision them again."""

    inventory: Path
    provision: Callable[..., farm.Recap]
    edge_address: tuple[str, int] | None = None
    kind: str = "given"
    sources: Sequence[Source] = ()
    first: farm.Recap | None = None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def _listing(self) -> dict[str, Any]:
        command = [farm.tool("ansible-inventory"), "-i", str(self.inventory), "--list", "--playbook-dir", "ansible"]
        # Warnings go to standard error, which is not part of the answer.
        text = farm.run(["sh", "-c", '"$@" 2>/dev/null', "sh", *command], ANSIBLE_VERBOSITY="0")
        listing: dict[str, Any] = json.loads(text)
        return listing

    def _group(self, name: str) -> list[Host]:
        variables = self._listing["_meta"]["hostvars"]
        return [self._host(each, variables.get(each, {})) for each in self._members(name)]

    def _members(self, group: str) -> Sequence[str]:
        found: Sequence[str] = self._listing.get(group, {}).get("hosts", [])
        return found

    def _host(self, name: str, variables: Mapping[str, Any]) -> Host:
        if name not in self._hosts:
            groups = [group for group in ("edge", "slicers", "queue", "workers") if name in self._members(group)]
            self._hosts[name] = Host(name, variables, groups)
        return self._hosts[name]

    @cached_property
    def _hosts(self) -> dict[str, Host]:
        return {}

    @cached_property
    def slicers(self) -> list[Host]:
        return self._group("slicers")

    @cached_property
    def edges(self) -> list[Host]:
        return self._group("edge")

    @cached_property
    def workers(self) -> list[Host]:
        """Those that do jobs; none where there are no jobs."""
        return self._group("workers")

    @cached_property
    def queues(self) -> list[Host]:
        return self._group("queue")

    @property
    def hosts(self) -> list[Host]:
        found = (*self.edges, *self.slicers, *self.queues, *self.workers)
        return list({host.name: host for host in found}.values())

    @cached_property
    def sites(self) -> list[Site]:
        instances = self.overrides or self.slicers[0].variables.get("slicer_instances")
        if instances is None:
            instances = yaml.safe_load((farm.ROOT / "ansible/roles/slicer/defaults/main.yml").read_text())[
                "slicer_instances"
            ]
        return Site.all(instances)

    #: The sites where they are not the inventory's own.
    overrides: Sequence[Mapping[str, Any]] | None = None

    def site(self, name: str) -> Site:
        return next(site for site in self.sites if site.name == name)

    def edge(self, site: Site) -> Edge:
        address, port = self.edge_address or (self.edges[0].address, 80)
        return Edge(address, port, site.server_name)

    @contextlib.contextmanager
    def counting(self, site: Site) -> Iterator["Count"]:
        """Count what all slicers together are asked while the block runs. The question about it is not counted."""

        def now() -> tuple[int, int]:
            said = [host.apache_says(site) for host in self.slicers]
            return sum(int(each["Total Accesses"]) for each in said), sum(int(each["Total kBytes"]) for each in said)

        count = Count()
        accesses, kbytes = now()
        yield count
        after, kbytes_after = now()
        # The first question was still under way when its answer was made.
        count.requests = after - accesses - len(self.slicers)
        count.kbytes = kbytes_after - kbytes

    def wait_until_ready(self, seconds: float = 60) -> None:
        for host in self.slicers:
            for site in self.sites:
                host.wait_until_ready(site, seconds)


def given_inventory() -> Path | None:
    """The inventory of servers that exist already, where one is named."""
    named = os.environ.get("SLICER_INVENTORY", "")
    return Path(named).resolve() if named else None
