"""A site whose media are in a bucket: no folder is made for it, it may reach the store, and its credentials are in a closed file alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import templates

ROLES = Path(__file__).parents[3] / "ansible" / "roles"
SECRET = 'a$b"c'


def written(path: Path, template: str, **more: Any) -> str:
    role, name = template.split("/")
    item: Mapping[str, Any] = {
        "name": "history",
        "media": "s3://audio/ä %#",
        "port": 8000,
        "cpus": 1,
        "memory_mib": 512,
        "tasks_max": 9,
        "signed": [],
        "settings": {"SLICER_OBJECTS_ENDPOINT": "https://store.example.org"},
        **more,
    }
    variables = {
        "item": item,
        "slicer_instances": [item],
        "slicer_objects_environment": {"history": {"AWS_SECRET_ACCESS_KEY": SECRET}},
        "slicer_objects_allowed": ["10.9.8.0/24"],
        "slicer_allowed": ["10.0.0.1"],
        "slicer_allowed_extra": ["10.0.0.5"],
        "slicer_allowed_metrics": ["fd00::6"],
        "slicer_jobs_allowed": ["10.0.0.1"],
        "slicer_jobs_brokers": {"history": "redis://queue.example.org"},
        "_slicer_users": {"history": "slicer"},
        "_slicer_started_with": [],
        "_workers_users": {"history": "slicer"},
        "_workers_unit_sum": "",
        "ansible_facts": {"processor_nproc": 2, "memtotal_mb": 4096},
        "_workers_processes": 1,
        "slicer_jobs_publishers": [],
    }
    files = [ROLES / each / kind / "main.yml" for kind in ("defaults", "vars") for each in ("slicer", "workers")]
    templates.write(ROLES / role / "templates" / name, str(path), files, variables)
    return path.read_text(encoding="utf-8")


def test_a_bucket_is_no_mount_and_its_store_can_be_reached(tmp_path: Path) -> None:
    unit = written(tmp_path / "unit", "slicer/instance.conf.j2")
    assert "RequiresMountsFor" not in unit
    assert "IPAddressAllow=10.9.8.0/24\n" in unit
    assert unit.count("IPAddressAllow=10.0.0.1\n") == 1
    assert 'RequiresMountsFor="/srv/audio"' in written(tmp_path / "unit", "slicer/instance.conf.j2", media="/srv/audio")
    assert "IPAddressAllow=10.9.8.0/24\n" in written(tmp_path / "unit", "workers/slicer-worker@.service.j2")


def test_indexes_of_a_bucket_are_made_with_a_way_to_its_store_alone(tmp_path: Path) -> None:
    name = "slicer/slicer-index@.service.j2"
    unit = written(tmp_path / "unit", name)
    assert "PrivateNetwork" not in unit
    assert "IPAddressDeny=any\nIPAddressAllow=localhost\nIPAddressAllow=10.9.8.0/24\nNoNewPrivileges" in unit
    unit = written(tmp_path / "unit", name, media="/srv/audio")
    assert "PrivateNetwork=true\nNoNewPrivileges" in unit
    assert "IPAddress" not in unit


@pytest.mark.parametrize(
    ("media", "timers"),
    [
        ("/srv/audio", "slicer-index@history.timer"),
        ("s3://audio", "slicer-index@history.timer"),
        ("https://a.org/", ""),
    ],
)
def test_what_has_no_list_is_not_indexed_at_night(tmp_path: Path, media: str, timers: str) -> None:
    template = tmp_path / "role" / "timers"
    template.parent.mkdir()
    template.write_text("{{ _slicer_timers_wanted | join(' ') }}")
    files = [ROLES / "slicer" / kind / "main.yml" for kind in ("defaults", "vars")]
    units = [{"name": "history", "media": media}]
    templates.write(template, str(tmp_path / "timers"), files, {"_slicer_units": units})
    assert (tmp_path / "timers").read_text() == timers


def test_a_load_balancer_names_clients_and_prometheus_reads_metrics(tmp_path: Path) -> None:
    unit = written(tmp_path / "unit", "slicer/instance.conf.j2")
    assert "IPAddressAllow=10.0.0.5\n" in unit
    assert "IPAddressAllow=fd00::6\n" in unit
    text = written(tmp_path / "env", "slicer/instance.env.j2")
    assert 'SLICER_PROXIES="127.0.0.0/8,::1,10.0.0.1,10.0.0.5"\n' in text
    assert 'SLICER_METRICS_FROM="127.0.0.0/8,::1,10.0.0.1,fd00::6"\n' in text


@pytest.mark.parametrize("template", ["slicer/instance.env.j2", "workers/worker.env.j2"])
def test_credentials_are_in_the_settings_of_their_site(tmp_path: Path, template: str) -> None:
    text = written(tmp_path / "env", template)
    assert 'AWS_SECRET_ACCESS_KEY="a\\$b\\"c"\n' in text
    assert 'SLICER_MEDIA="s3://audio/ä %#"\n' in text


def test_the_latency_of_a_store_is_an_option_of_the_server(tmp_path: Path) -> None:
    assert "--store-milliseconds" not in written(tmp_path / "env", "slicer/instance.env.j2")
    text = written(tmp_path / "env", "slicer/instance.env.j2", store_milliseconds=40)
    assert " --store-milliseconds 40" in text.partition("SERVE_OPTIONS=")[2].partition("\n")[0]


def test_folders_are_made_of_paths_alone() -> None:
    tasks = yaml.safe_load((ROLES / "slicer" / "tasks" / "configure.yml").read_text())
    (task,) = (each for each in tasks if each["name"] == "See which media folders are missing")
    assert "selectattr('media', 'match', '/')" in task["loop"]
