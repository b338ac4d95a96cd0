"""The years of one machine with all roles: users, logs, a removed site, Debian 12 that becomes 13
in place, and workers and a queue that are removed."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import farm
from infra.fleet import Fleet
from support.server import until

pytestmark = [pytest.mark.fleets("own"), pytest.mark.long, pytest.mark.timeout(3600)]

NAME = "old"
GROUPS = {group: [NAME] for group in ("edge", "slicers", "queue", "workers")}
#: A client of the machine's Redis.
_REDIS = "REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /etc/redis/redis.conf) redis-cli"
#: Ends all sessions of ssh, so that the next ones have the server's settings of today.
_NEW_SESSIONS = "systemctl daemon-reload; systemctl restart ssh; for one in $(pgrep -u vagrant -x 'sshd(-session)?'); do kill $one; done"
#: Seconds of `apt-get full-upgrade`: most packages of the system are others.
UPGRADE_SECONDS = 1800
SITES = [
    {"name": "main", "media": "/srv/audio", "port": 8000, "server_names": ["_"]},
    {
        "name": "brief",
        "media": "/srv/audio/brief",
        "port": 8001,
        "server_names": ["brief.test"],
        "cpus": 1,
        "uid": 4102,
        "gid": 4202,
    },
]
TARGETS = {
    "main": "/clips/slicer-test/mpeg1-44-stereo-cbr128.mp3?t=1,3.5",
    "brief": "/clips/slicer-test/mpeg1-44-joint-vbr2.mp3?t=2,7",
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[farm.Containers]:
    """The machine, bare."""
    engine = farm.Engine()
    if engine.missing:
        pytest.skip(engine.missing)
    variables = {
        "slicer_instances": SITES,
        "slicer_uid": 4100,
        "slicer_gid": 4200,
        "slicer_log_mib": 1,
        "workers_log_mib": 1,
        "nginx_log_mib": 1,
        "queue_password": secrets.token_hex(24),
    }
    hosts = farm.Containers(tmp_path_factory.mktemp("lifecycle"), "bookworm-ready", GROUPS, variables)
    undo = farm.stop_on_sigterm()
    try:
        hosts.make(media)
        yield hosts
    finally:
        if not os.environ.get("SLICER_KEEP_HOSTS"):
            hosts.destroy()
        undo()
        engine.stop()


@pytest.fixture(scope="module")
def provisioned(hosts: farm.Containers) -> farm.Containers:
    """The machine, provisioned."""
    hosts.provision()
    return hosts


@pytest.fixture
def machine(provisioned: farm.Containers) -> Fleet:
    """The machine as its inventory describes it now, ready."""
    return ready(provisioned)


def ready(hosts: farm.Containers) -> Fleet:
    """The machine as its inventory describes it now, once all sites are ready."""
    machine = Fleet(hosts.inventory, hosts.provision, kind=NAME)
    machine.wait_until_ready()
    return machine


def clips(machine: Fleet) -> dict[str, str]:
    """The SHA-256 and the ETag of a clip of each site, as its slicer sends them, past the cache."""
    (host,) = machine.slicers
    found = {}
    for site in machine.sites:
        url = f"http://{host.listens(site)}{TARGETS[site.name]}"
        host.run(f"curl -fsS -D /tmp/head -o /tmp/clip '{url}'")
        found[site.name] = host.run("sha256sum </tmp/clip; grep -i ^etag: /tmp/head; rm /tmp/head /tmp/clip")
    return found


def commands() -> str:
    """The commands of docs/deploy.md that upgrade the system, up to the reboot."""
    text = (farm.ROOT / "docs/deploy.md").read_text()
    section = text.partition("## From Debian 12 to 13\n")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    script, _, rest = block.partition("reboot\n")
    assert "full-upgrade" in script and not rest
    return script


def current(machine: Fleet) -> str:
    """The release that the machine uses."""
    return machine.slicers[0].run("basename $(readlink --canonicalize /opt/slicer/current)").strip()


def remove(machine: Fleet, **named: str) -> farm.Recap:
    """Run remove.yml."""
    words = [word for name, text in named.items() for word in ("-e", f"remove_{name}={text}")]
    return farm.play(machine.inventory, *words, playbook="ansible/remove.yml")


def refusal(machine: Fleet, **named: str) -> str:
    """What remove.yml says where it refuses, in one line."""
    with pytest.raises(farm.CommandFailed) as failed:
        remove(machine, **named)
    assert not any(farm.Recap(str(failed.value), 0).changed.values())
    return re.sub(r"\s+", " ", str(failed.value))


def traces(machine: Fleet, name: str) -> list[str]:
    """What the machine has of a name: files outside its media, users, series and keys of Redis."""
    (host,) = machine.slicers
    places = "/etc /opt /run /usr /var"
    found = host.run(f"find {places} -xdev -name '*{name}*' ! -path '/run/udev/*' -prune").split()
    found += [f"user {line}" for line in host.run(f"getent passwd | grep {name} || true").split()]
    found += host.run(f"grep -h 'site=\"{name}\"' /var/lib/slicer-edge-metrics/edge.prom | head -n 1").split()
    keys = host.run(f"{_REDIS} --scan --pattern '{name}:*' | head -n 3").split()
    settings = "/etc/nginx/nginx.conf /etc/redis /etc/logrotate.d /usr/local/bin/slicer"
    return found + keys + host.run(f"grep -rl '{name}' {settings} || true").split()


def test_users_have_their_numbers(machine: Fleet) -> None:
    (host,) = machine.slicers
    assert host.run("id slicer; id slicer-brief").splitlines() == [
        "uid=4100(slicer) gid=4200(slicer) groups=4200(slicer)",
        "uid=4102(slicer-brief) gid=4202(slicer-brief) groups=4202(slicer-brief),4200(slicer)",
    ]
    assert {found.uid for found in host.tree(machine.site("brief")).all} == {4102}
    with pytest.raises(farm.CommandFailed, match="slicer has number 4100 in passwd here, not 4105"):
        machine.provision("--tags", "preflight", "-e", "slicer_uid=4105")


def test_media_are_checked_by_a_root_that_cannot_read_them(hosts: farm.Containers, machine: Fleet) -> None:
    """As a network file system with root_squash has it: root lacks the capabilities to read what is not its own."""
    (host,) = machine.slicers
    drop_in = "/etc/systemd/system/ssh.service.d/squash.conf"
    closed = "[Service]\\nCapabilityBoundingSet=~CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH\\n"
    host.run("chown -R slicer-brief:slicer-brief /srv/audio/brief; chmod 700 /srv/audio/brief")
    try:
        hosts.inside(NAME, f"mkdir -p $(dirname {drop_in}); printf '{closed}' >{drop_in}; {_NEW_SESSIONS}")
        assert "Permission denied" in host.run("ls /srv/audio/brief 2>&1 || true")
        done = machine.provision("--tags", "preflight")
        assert done.changes == ""
        said = host.run("slicer doctor --host || true")
        assert re.search(r"^ok +media of brief ", said, re.MULTILINE), said
    finally:
        hosts.inside(NAME, f"rm {drop_in}; {_NEW_SESSIONS}; chmod 755 /srv/audio/brief")
    assert host.run("ls /srv/audio/brief") != ""


def test_logs_that_grow_are_rotated_within_the_hour(machine: Fleet) -> None:
    (host,) = machine.slicers
    assert "OnCalendar=*-*-* *:00:00" in host.property("logrotate.timer", "TimersCalendar")
    logs = (
        "/var/log/nginx/slicer-main.access.log",
        "/var/log/slicer/main/requests.log",
        "/var/log/slicer/main/jobs.log",
    )
    for log in logs:
        host.run(f"yes '{{}}' | head -c 2M >>{log}; rm -f {log}.1")
    host.run("systemctl start logrotate.service")
    for log in logs:
        assert int(host.run(f"stat -c %s {log}.1")) > 2 << 20
    assert machine.edge(machine.site("main")).ask(TARGETS["main"] + "1").status == 200
    for log in logs[:2]:
        until(lambda log=log: "mpeg1-44" in host.run(f"cat {log}"), 10, f"{log} is written")  # type: ignore[misc]


def test_a_site_is_removed_by_its_name(hosts: farm.Containers, machine: Fleet) -> None:
    (host,) = machine.slicers
    before = clips(machine)
    assert machine.edge(machine.site("brief")).ask(TARGETS["brief"]).status == 200
    until(lambda: 'site="brief"' in host.run("cat /var/lib/slicer-edge-metrics/edge.prom"), 30, "counted")
    assert "still in slicer_instances: main, brief" in refusal(machine, site="brief")
    assert "No machine has anything of a site called unknown" in refusal(machine, site="unknown")

    hosts.tell(slicer_instances=SITES[:1])
    assert "still has brief: /etc/slicer/brief.env" in refusal(machine, site="brief")
    stopped = hosts.provision()
    assert "brief left slicer_instances and is served no more." in re.sub(r"\s+", " ", stopped.output)
    assert hosts.provision("--tags", "slicer_service,workers_service").changes == ""
    units = "slicer@brief slicer-worker@brief"
    assert "active" not in host.run(f"systemctl is-active {units} || true").split(), host.journal("slicer-worker@brief")
    assert host.run(f"systemctl is-enabled {units} || true").split() == ["disabled"] * 2
    assert " brief" not in host.run("slicer doctor --host || true")
    left = traces(machine, "brief")
    kept = {f"/etc/slicer/brief.{kind}" for kind in ("env.left", "worker.env.left", "keys")}
    kept |= {f"/var/cache/slicer/brief{kind}" for kind in ("", ".results", ".scratch")}
    assert kept | {"/var/log/slicer/brief"} <= set(left)
    assert host.run("find /var/cache/slicer/brief /var/cache/slicer/brief.results -type f").split()
    assert any(each.startswith("user slicer-brief:") for each in left)
    assert "/var/cache/nginx/slicer_brief" in left and any(each.startswith("brief:") for each in left)

    assert sum(remove(machine, site="brief").changed.values()) > 0
    until(lambda: traces(machine, "brief") == [], 30, "nothing of it is left")
    # The site that is left alone runs as slicer; its former user goes too.
    assert host.run("getent passwd | grep -c ^slicer").strip() == "1"
    assert host.run("test -d /srv/audio/brief && echo media").strip() == "media"
    assert "No machine has anything of a site called brief" in refusal(machine, site="brief")
    assert clips(ready(hosts)) == {"main": before["main"]}


def test_debian_12_becomes_debian_13_in_place(hosts: farm.Containers, machine: Fleet) -> None:
    (host,) = machine.slicers
    main = machine.site("main")
    before, release = clips(machine), current(machine)
    assert release.endswith("-py3.11")
    cached = machine.edge(main).ask(TARGETS["main"])
    assert cached.status == 200
    assert hashlib.sha256(cached.body).hexdigest() in before["main"]
    jobs = int(host.run(f"{_REDIS} dbsize").strip())
    assert jobs > 0, "the play's own check made a job of each site"

    hosts.inside(NAME, f"set -e\n{commands()}", seconds=UPGRADE_SECONDS)
    hosts.reboot(NAME)
    assert host.run(". /etc/os-release; echo $VERSION_ID").strip() == "13"
    # Each unit says what to do, and what is cached is served meanwhile.
    until(lambda: "not made for Python 3.13" in host.journal(main.unit), 60, "the unit says what to do")
    again = machine.edge(main).ask(TARGETS["main"])
    assert (again.status, again.cache, again.body) == (200, "HIT", cached.body)

    machine.provision()
    machine.wait_until_ready()
    assert clips(machine) == before
    assert current(machine) == release.replace("-py3.11", "-py3.13")
    assert int(host.run(f"{_REDIS} dbsize").strip()) >= jobs
    # Files of the roles that dpkg would have asked about.
    for path in ("/etc/nginx/nginx.conf", "/etc/redis/redis.conf"):
        assert "Ansible managed" in host.run(f"head -n 1 {path}")

    # The old release is there, and is no way back.
    assert release in host.run("ls /opt/slicer/releases").split()
    with pytest.raises(farm.CommandFailed) as failed:
        machine.provision("-e", f"slicer_release={release}")
    said = re.sub(r"\s+", " ", str(failed.value))
    assert f"Release {release} does not run on {NAME}, whose Python is 3.13." in said
    assert current(machine) == release.replace("-py3.11", "-py3.13")
    assert clips(machine) == before


def test_a_run_after_the_upgrade_changes_nothing(machine: Fleet) -> None:
    again = machine.provision()
    assert again.changes == ""


def test_workers_and_the_queue_are_removed_by_their_machine(hosts: farm.Containers, machine: Fleet) -> None:
    (host,) = machine.slicers
    before = clips(machine)
    assert "still in the group workers: old" in refusal(machine, workers=NAME)
    assert "still in the group queue: old" in refusal(machine, queue=NAME)
    assert "is no machine of the inventory" in refusal(machine, queue="unknown")
    hosts.regroup({group: [NAME] for group in ("edge", "slicers")})
    assert "still configured for the queue of old" in refusal(machine, queue=NAME)
    remove(machine, workers=NAME)
    hosts.provision()
    remove(machine, queue=NAME)
    units = host.run("systemctl list-unit-files 'slicer-worker*' 'redis*' --no-legend || true")
    assert units.strip() == ""
    assert host.run("find /etc /var/lib /var/log -xdev -path '*redis*' -o -name '*worker*' -o -name 'jobs.log*'") == ""
    assert host.run("getent passwd redis || true") == ""
    assert "has nothing of workers" in refusal(machine, workers=NAME)
    assert "has no queue that this role set up" in refusal(machine, queue=NAME)
    assert clips(machine) == before
