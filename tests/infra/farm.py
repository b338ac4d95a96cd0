"""Makes hosts to provision, and takes them away again: containers on one network, and a machine made by `vagrant up`.

Everything made here carries the number of the process that made it, so that what a killed run left behind goes with the next one.
"""

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support.server import free_port, until

ROOT = Path(__file__).parents[2]
LABEL = "slicer.infra"
#: Seconds that a playbook may take; compiling mod_wsgi is most of the first run.
PLAYBOOK_SECONDS = 1800
VAGRANT_SECONDS = 2400

#: What systemd needs to run services in their own name spaces and control groups, what root needs to look at the processes of
#: others, and to come back after a reboot.
RUN_OPTIONS = (
    *("--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--cgroupns=private", "--security-opt=apparmor=unconfined"),
    *("--stop-signal=SIGRTMIN+3", "--restart=unless-stopped"),
)


class CommandFailed(Exception):  # noqa: N818 - it says what happened
    """A program failed or took too long; the text has the end of what it printed."""


_running: set[subprocess.Popen[bytes]] = set()


def run(command: Sequence[str], *, seconds: float = 120, **environ: str) -> str:
    """Run a program in the checkout; what it printed. Raises CommandFailed."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environ},
    )
    _running.add(process)
    late = ""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        output, _ = process.communicate()
        late = f"\nnot done after {seconds} s"
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        _running.discard(process)
    text = output.decode(errors="replace") + late
    if process.returncode or late:
        raise CommandFailed(f"{' '.join(command)}: exit status {process.returncode}\n{text[-6000:]}")
    return text


def abort() -> None:
    """Ask all programs that still run, in whatever thread, to end."""
    for process in list(_running):
        process.terminate()


def tool(name: str) -> str:
    """A program of the environment that runs the tests, or else of the system."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or name


def sample() -> Path:
    """The hour of sample audio, which is made where it is missing."""
    run(["make", "sample"], seconds=600)
    places = dict(line.split("=", 1) for line in run(["make", "--silent", "places"]).splitlines() if "=" in line)
    return Path(places["SAMPLE"])


class Engine:
    """The Docker engine of this machine, or one that is started for as long as it is needed."""

    def __init__(self) -> None:
        self.missing = ""  #: why there is none
        self._started = False
        try:
            self._started = "started" in run(["scripts/host-image", "engine"], seconds=90).split()
        except CommandFailed as error:
            self.missing = str(error).strip().splitlines()[-1]

    def stop(self) -> None:
        if self._started:
            run(["scripts/host-image", "stop"])


def why_no_vagrant() -> str:
    """Why `vagrant up` cannot run here; empty where it can."""
    return "" if shutil.which("vagrant") else "there is no vagrant"


def sweep() -> None:
    """Remove what runs that are no more have left behind."""
    for kind, remove in (("container", ["rm", "--force", "--volumes"]), ("network", ["network", "rm"])):
        form = f'{{{{.ID}}}} {{{{.Label "{LABEL}"}}}}'
        listing = ["docker", kind, "ls", *(["--all"] if kind == "container" else []), f"--filter=label={LABEL}"]
        for line in run([*listing, "--format", form]).splitlines():
            number, maker = line.split()
            if not Path(f"/proc/{maker}").exists() or int(maker) == os.getpid():
                run(["docker", *remove, number])


class Recap:
    """What a run of a playbook says at its end: for each host, how many tasks changed something."""

    def __init__(self, output: str, seconds: float) -> None:
        self.output = output
        self.seconds = seconds
        self.changed: dict[str, int] = {}
        for line in output.partition("PLAY RECAP")[2].splitlines()[1:]:
            name, _, counts = line.partition(":")
            numbers = dict(word.split("=") for word in counts.split() if "=" in word)
            if "changed" in numbers:
                self.changed[name.strip()] = int(numbers["changed"])

    @property
    def changes(self) -> str:
        """The tasks that changed something, for people to read."""
        task, found = "", []
        for line in self.output.splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line.rstrip("* ")
            elif line.startswith("changed: "):
                found.append(f"{task} {line}")
        return "\n".join(found)


def play(inventory: Path, *arguments: str, playbook: str = "ansible/site.yml", root: Path = ROOT) -> Recap:
    """Run a playbook on an inventory."""
    began = time.monotonic()
    command = [tool("ansible-playbook"), "-i", str(inventory), str(root / playbook), *arguments]
    output = run(command, seconds=PLAYBOOK_SECONDS, ANSIBLE_CONFIG=str(root / "ansible/ansible.cfg"), **PLAIN)
    return Recap(output, time.monotonic() - began)


#: Output without colours. Host keys are new each time, and control sockets need short paths, so neither is kept in a home folder.
PLAIN = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_HOST_KEY_CHECKING": "False",
    "PYTHONUNBUFFERED": "1",
}


class Containers:
    """Debian hosts as containers on a network of their own, reached by ssh."""

    def __init__(
        self, folder: Path, suite: str, groups: Mapping[str, Sequence[str]], variables: Mapping[str, Any]
    ) -> None:
        self.suite = suite
        self.folder = folder
        self.groups = groups
        self.variables = variables
        self.inventory = folder / "inventory.json"
        self.names = sorted({name for names in groups.values() for name in names})
        # Named after the folder too, so that one process can make several networks.
        self.prefix = f"infra-{os.getpid()}-{folder.name}"
        self._key = folder / "key"

    def make(self, media: Path) -> None:
        """Start the hosts, each with its own copy of the media in /srv/audio, and write their inventory."""
        run(["scripts/host-image", self.suite], seconds=600)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)])
        network = self._network()
        hosts = {}
        for place, name in enumerate(self.names):
            address = str(network[10 + place])
            self._start(name, address)
            run(["docker", "cp", f"{media}/.", f"{self.prefix}-{name}:/srv/audio"])
            hosts[name] = {
                "ansible_host": address,
                "ansible_user": "vagrant",
                "ansible_ssh_private_key_file": str(self._key),
            }
        for name in self.names:
            until(lambda name=name: self._is_up(name), 60, f"{name} boots")
        self.inventory.write_text(
            json.dumps(
                {
                    "all": {
                        "hosts": hosts,
                        "vars": {"ansible_ssh_common_args": SSH_OPTIONS, **self.variables},
                        "children": {
                            group: {"hosts": {name: {} for name in names}} for group, names in self.groups.items()
                        },
                    }
                },
                indent=1,
            )
        )

    def address(self, name: str) -> str:
        """The address of a host that was made."""
        return str(json.loads(self.inventory.read_text())["all"]["hosts"][name]["ansible_host"])

    def tell(self, **variables: Any) -> None:
        """Give all hosts more variables in the inventory, which was written by `make`."""
        inventory = json.loads(self.inventory.read_text())
        inventory["all"]["vars"] |= variables
        self.inventory.write_text(json.dumps(inventory, indent=1))

    def regroup(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Put the hosts into other groups of the inventory."""
        inventory = json.loads(self.inventory.read_text())
        inventory["all"]["children"] = {
            group: {"hosts": {name: {} for name in names}} for group, names in groups.items()
        }
        self.inventory.write_text(json.dumps(inventory, indent=1))

    def _network(self) -> ipaddress.IPv4Network:
        """A network whose addresses we choose: a host keeps its own over a restart."""
        for third in range(256):
            network = ipaddress.ip_network(f"10.213.{third}.0/24")
            with contextlib.suppress(CommandFailed):
                run(
                    [
                        "docker",
                        "network",
                        "create",
                        f"--label={LABEL}={os.getpid()}",
                        f"--subnet={network}",
                        self.prefix,
                    ]
                )
                return network
        raise CommandFailed("docker makes no network")

    def _start(self, name: str, address: str) -> None:
        named = [f"--name={self.prefix}-{name}", f"--hostname={name}", f"--label={LABEL}={os.getpid()}"]
        placed = [f"--network={self.prefix}", f"--ip={address}"]
        run(["docker", "run", "--detach", *named, *placed, *RUN_OPTIONS, f"slicer-host:{self.suite}"])
        public = self._key.with_suffix(".pub").read_text().strip()
        self.inside(name, f"echo '{public}' >/home/vagrant/.ssh/authorized_keys")

    def _is_up(self, name: str) -> bool:
        try:
            return "running" in self.inside(name, "systemctl is-system-running || true")
        except CommandFailed:
            return False

    def inside(self, name: str, script: str, *, seconds: float = 120) -> str:
        """Run a shell script as root in a host, not by ssh."""
        return run(["docker", "exec", f"{self.prefix}-{name}", "sh", "-c", script], seconds=seconds)

    def reboot(self, name: str) -> None:
        """Restart a host, and wait until it is up."""
        run(["docker", "restart", f"{self.prefix}-{name}"])
        until(lambda: self._is_up(name), 90, f"{name} boots")

    def provision(self, *arguments: str) -> Recap:
        return play(self.inventory, *arguments)

    def destroy(self) -> None:
        for name in self.names:
            with contextlib.suppress(CommandFailed):
                run(["docker", "rm", "--force", "--volumes", f"{self.prefix}-{name}"])
        with contextlib.suppress(CommandFailed):
            run(["docker", "network", "rm", self.prefix])


#: Hosts of tests have a new key each time.
SSH_OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


class Vagrant:
    """One machine that is everything, made as the README says."""

    def __init__(self, folder: Path, provider: str, media: Path, variables: Mapping[str, Any]) -> None:
        self.provider = provider
        self.port = free_port()
        self._extra = folder / "variables.json"
        self._extra.write_text(json.dumps(variables))
        # Apart from a developer's own machine of this checkout.
        place = folder / "vagrant"
        self._environ = {
            **PLAIN,
            "VAGRANT_DOTFILE_PATH": str(place),
            "VAGRANT_NO_COLOR": "1",
            "MEDIA": str(media),
            "PORT": str(self.port),
            "ANSIBLE_ARGS": f"-e @{self._extra}",
            "DOCKER_ARGS": f"--label={LABEL}={os.getpid()}",
        }
        self.inventory = place / "provisioners/ansible/inventory/vagrant_ansible_inventory"

    def make(self) -> Recap:
        return self._vagrant("up", f"--provider={self.provider}")

    def provision(self, *arguments: str) -> Recap:
        return self._vagrant("provision", arguments=arguments)

    def destroy(self) -> None:
        with contextlib.suppress(CommandFailed):
            self._vagrant("destroy", "--force")

    def _vagrant(self, *command: str, arguments: Iterable[str] = ()) -> Recap:
        began = time.monotonic()
        environ = {**self._environ, "ANSIBLE_ARGS": " ".join((self._environ["ANSIBLE_ARGS"], *arguments))}
        output = run(["vagrant", *command], seconds=VAGRANT_SECONDS, **environ)
        return Recap(output, time.monotonic() - began)


def stop_on_sigterm() -> Callable[[], None]:
    """Let SIGTERM end the tests as Ctrl-C does, so that hosts are destroyed; returns what undoes that."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    return lambda: signal.signal(signal.SIGTERM, before) and None
