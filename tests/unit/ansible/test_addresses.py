"""Group variables of inventories with other addresses and groups: hosts of IPv6 alone, and slicers that a load balancer of others asks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ANSIBLE = Path(__file__).parents[3] / "ansible"
VALUES = (
    *(
        "slicer_address",
        "slicer_listen",
        "slicer_allowed",
        "slicer_allowed_metrics",
        "slicer_beside",
        "slicer_jobs_allowed",
    ),
    *(
        "slicer_jobs_brokers",
        "slicer_jobs_publishers",
        "queue_listen",
        "queue_allowed",
        "slicer_metrics_address",
        "nginx_sites",
    ),
    *("nginx_publish_listen", "nginx_publish_from", "slicer_metrics_from", "slicer_install_environment"),
)
#: What a host says of itself, in a kernel with IPv4 for itself alone, and in one without.
SIX: dict[str, Any] = {"default_ipv4": {}, "lo": {"ipv4": {"address": "127.0.0.1"}, "ipv6": [{"address": "::1"}]}}
BARE: dict[str, Any] = {"default_ipv4": {}, "lo": {"ipv6": [{"address": "::1"}]}}


def ansible(work: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook on the inventory in `work`, as this user."""
    return subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", work / "hosts.json", *words],
        env={
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_BECOME": "false",
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def told(
    work: Path, groups: dict[str, list[str]], facts: dict[str, Any], **variables: Any
) -> dict[str, dict[str, Any]]:
    """What each machine of an inventory is told by the playbook's own variables; without a variable of its group, None."""
    names = sorted({name for each in groups.values() for name in each})
    # Each says this of itself, with an address of its own.
    said = {"memtotal_mb": 4096, "processor_nproc": 2, "default_ipv6": {"address": "fd00::{{ host_number }}"}, **facts}
    sites = [{"name": "main", "media": "/srv", "port": 8000}]
    inventory: dict[str, Any] = {group: {"hosts": dict.fromkeys(each)} for group, each in groups.items()}
    inventory["all"] = {
        "vars": {"ansible_connection": "local", "queue_password": "secret", "slicer_instances": sites, **variables},
        "hosts": {name: {"host_number": number} for number, name in enumerate(names, 1)},
    }
    (work / "hosts.json").write_text(json.dumps(inventory))
    values = ", ".join(f"{name}={name} | default(None)" for name in VALUES)
    tasks = [
        {"name": "Say it", "ansible.builtin.set_fact": {**said, "cacheable": True}},
        {
            "name": "Write it",
            "ansible.builtin.copy": {
                "content": f"{{{{ dict({values}) | to_json }}}}",
                "dest": f"{work}/{{{{ inventory_hostname }}}}.json",
                "mode": "0600",
            },
        },
    ]
    (work / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (work / "group_vars").symlink_to(ANSIBLE / "group_vars")
    done = ansible(work, work / "play.json")
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: json.loads((work / f"{name}.json").read_text()) for name in names}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    groups = {"edge": ["a"], "slicers": ["b", "c"], "workers": ["c"], "queue": ["d"], "monitoring": ["e"]}
    return told(tmp_path_factory.mktemp("several"), groups, SIX)


def test_hosts_without_ipv4_reach_each_other_by_ipv6(several: dict[str, dict[str, Any]]) -> None:
    assert {name: each["slicer_address"] for name, each in several.items()} == {
        name: f"fd00::{number}" for number, name in enumerate("abcde", 1)
    }
    b = several["b"]
    assert (b["slicer_listen"], b["slicer_allowed"]) == ("fd00::2", ["fd00::2", "fd00::1"])
    assert "@[fd00::4]:6379/0" in b["slicer_jobs_brokers"]["main"]
    assert b["slicer_jobs_publishers"] == ["http://[fd00::1]:8082"]
    assert b["slicer_jobs_allowed"] == ["fd00::1", "fd00::4"]
    a = several["a"]
    assert (a["slicer_metrics_address"], a["slicer_metrics_from"]) == ("[fd00::1]:8083", ["fd00::5"])
    assert (a["nginx_publish_listen"], a["nginx_publish_from"]) == ("[fd00::1]:8082", ["fd00::3"])
    assert [each["address"] for each in a["nginx_sites"][0]["upstreams"]] == ["[fd00::2]", "[fd00::3]"]
    d = several["d"]
    assert (d["queue_listen"], d["queue_allowed"]) == ("fd00::4", ["fd00::4", "fd00::2", "fd00::3"])


@pytest.mark.parametrize(("facts", "loopback", "url"), [(SIX, "127.0.0.1", "127.0.0.1"), (BARE, "::1", "[::1]")])
def test_one_machine_reaches_itself(tmp_path: Path, facts: dict[str, Any], loopback: str, url: str) -> None:
    (one,) = told(tmp_path, {group: ["a"] for group in ("edge", "slicers", "workers", "queue")}, facts).values()
    assert (one["slicer_listen"], one["queue_listen"], one["slicer_allowed"]) == (loopback, loopback, [])
    assert f"@{url}:6379/" in one["slicer_jobs_brokers"]["main"]
    assert one["slicer_jobs_publishers"] == [f"http://{url}:8082"]
    assert one["slicer_metrics_address"] == f"{url}:8083"
    assert one["nginx_sites"][0]["upstreams"] == [{"address": url, "port": 8000}]


def test_slicers_without_an_edge(tmp_path: Path) -> None:
    groups = {"slicers": ["a", "b"], "workers": ["b"], "queue": ["a"], "monitoring": ["c"]}
    found = told(tmp_path, groups, SIX, slicer_allowed_extra=["fd00::99"])
    for name, address in (("a", "fd00::1"), ("b", "fd00::2")):
        one = found[name]
        assert (one["slicer_listen"], one["slicer_allowed"]) == (address, [address])
        # Prometheus reads where there is no edge to do it.
        assert one["slicer_allowed_metrics"] == ["fd00::3"]
        assert one["slicer_beside"]["edge"] is False
        assert one["slicer_jobs_publishers"] == []
    assert found["b"]["slicer_jobs_allowed"] == ["fd00::1"]


def test_installing_tasks_are_told_of_proxy_index_and_authorities(
    tmp_path: Path, several: dict[str, dict[str, Any]]
) -> None:
    assert several["a"]["slicer_install_environment"] == {}
    proxy, index = "http://proxy.test:3128", "https://pypi.test/simple"
    given = {"slicer_proxy": proxy, "slicer_no_proxy": "deb.test", "slicer_pip_index": index, "slicer_ca": "text"}
    (one,) = told(tmp_path, {"slicers": ["a"]}, SIX, **given).values()
    assert one["slicer_install_environment"] == {
        "http_proxy": proxy,
        "https_proxy": proxy,
        "no_proxy": "deb.test",
        "PIP_INDEX_URL": index,
        "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
    }


def test_a_slicer_beside_its_edge_may_be_asked_by_others_too(tmp_path: Path) -> None:
    (one,) = told(tmp_path, {"edge": ["a"], "slicers": ["a"]}, SIX, slicer_allowed_extra=["fd00::99"]).values()
    assert (one["slicer_listen"], one["slicer_allowed"]) == ("fd00::1", ["fd00::1", "fd00::1"])


def test_slicers_that_nothing_would_ask_are_refused(tmp_path: Path) -> None:
    everyone = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "slicer_address": "fd00::1",
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"vars": everyone}, "slicers": {"hosts": {"a": None}}}))
    done = ansible(tmp_path, ANSIBLE / "site.yml", "--tags", "preflight")
    assert done.returncode != 0
    assert "nothing could ask the slicers" in done.stdout, done.stdout + done.stderr
