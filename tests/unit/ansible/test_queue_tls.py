"""Group variables of a queue with a certificate: machines are told to speak TLS with it, and to check it."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import yaml

ANSIBLE = pathlib.Path(__file__).parents[3] / "ansible"
PASSWORD = "secret-of-the-tests"
SITES = [{"name": "main"}, {"name": "other-1"}]
#: Each site's own.
PASSWORDS = {site["name"]: hashlib.sha256(f"{site['name']} {PASSWORD}".encode()).hexdigest() for site in SITES}


def asked(work: pathlib.Path, hosts: dict[str, list[str]], **variables: Any) -> dict[str, dict[str, Any]]:
    """What each machine of an inventory is told, by the playbook's own variables."""
    addresses = {
        name: {"slicer_address": f"10.0.0.{number}"}
        for number, name in enumerate(sorted({host for group in hosts.values() for host in group}), 1)
    }
    inventory = {group: {"hosts": {name: addresses[name] for name in names}} for group, names in hosts.items()}
    inventory["all"] = {"vars": {"queue_password": PASSWORD, "slicer_instances": SITES, **variables}}
    (work / "hosts.yml").write_text(yaml.safe_dump(inventory))
    values = "brokers=slicer_jobs_brokers, sites=queue_sites | default({}), allowed=slicer_jobs_allowed"
    values += ", listen=queue_listen | default(''), from=queue_allowed | default([])"
    done = subprocess.run(
        [
            *(pathlib.Path(sys.executable).with_name("ansible"), "all", "-i", work / "hosts.yml", "-c", "local"),
            *("--playbook-dir", ANSIBLE, "-m", "ansible.builtin.debug", "-a", f"msg={{{{ dict({values}) }}}}"),
        ],
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FILTER_PLUGINS": str(ANSIBLE / "plugins/filter")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.split(r"^(\w+) \| SUCCESS => ", done.stdout, flags=re.MULTILINE)[1:]
    return {name: json.loads(text)["msg"] for name, text in zip(said[::2], said[1::2], strict=True)}


def test_machines_check_the_queue_at_the_address_of_its_certificate(tmp_path: pathlib.Path) -> None:
    hosts = {"edge": ["a"], "slicers": ["a", "b"], "workers": ["b"], "queue": ["b"]}
    told = asked(tmp_path, hosts, queue_tls_ca="text")
    for name in ("a", "b"):
        assert told[name]["brokers"] == {
            site: f"rediss://site-{site}:{password}@10.0.0.2:6379/0?ssl_ca_certs=/etc/slicer/queue-ca.pem"
            for site, password in PASSWORDS.items()
        }
        # Its own machine, too, connects to the address and not to a loopback one.
        assert "10.0.0.2" in told[name]["allowed"]
    assert told["b"]["sites"] == PASSWORDS
    assert (told["b"]["listen"], told["b"]["from"]) == ("10.0.0.2", ["10.0.0.2", "10.0.0.1"])


def test_one_machine_with_a_certificate_listens_at_its_address(tmp_path: pathlib.Path) -> None:
    hosts = {group: ["a"] for group in ("edge", "slicers", "workers", "queue")}
    told = asked(tmp_path, hosts, queue_tls_ca="text")["a"]
    assert (told["listen"], told["from"], told["allowed"]) == ("10.0.0.1", ["10.0.0.1"], ["10.0.0.1"])
    assert "@10.0.0.1:6379/" in told["brokers"]["main"]


def test_without_a_queue_there_are_no_brokers(tmp_path: pathlib.Path) -> None:
    told = asked(tmp_path, {"edge": ["a"], "slicers": ["a"]})["a"]
    assert (told["brokers"], told["sites"]) == ({}, {})


def test_without_a_certificate_nothing_is_otherwise(tmp_path: pathlib.Path) -> None:
    hosts = {group: ["a"] for group in ("edge", "slicers", "workers", "queue")}
    assert asked(tmp_path, hosts)["a"] == {
        "brokers": {site: f"redis://site-{site}:{password}@127.0.0.1:6379/0" for site, password in PASSWORDS.items()},
        "sites": PASSWORDS,
        "allowed": [],
        "listen": "127.0.0.1",
        "from": [],
    }
