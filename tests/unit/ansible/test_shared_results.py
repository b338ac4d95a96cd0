"""Role workers refuses machines that would not find each other's results."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[3] / "ansible"


def check(work: Path, workers: list[str], **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the role's checks for a server on the host one, and these workers."""
    hosts = {
        "slicers": {"hosts": {"one": {}}},
        "workers": {"hosts": {name: {} for name in workers}},
        "all": {
            "vars": {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "slicer_jobs_brokers": {"main": "redis://one"},
                **variables,
            }
        },
    }
    (work / "hosts.yml").write_text(yaml.safe_dump(hosts))
    role = {"name": str(ANSIBLE / "roles" / "workers"), "tasks_from": "check"}
    play = {"hosts": "workers", "gather_facts": False, "tasks": [{"ansible.builtin.import_role": role}]}
    (work / "play.yml").write_text(yaml.safe_dump([play]))
    return subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", work / "hosts.yml", work / "play.yml"],
        cwd=work,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("workers", [["two"], ["one", "two"]])
def test_workers_elsewhere_need_a_word_about_results(tmp_path: Path, workers: list[str]) -> None:
    refused = check(tmp_path, workers)
    assert refused.returncode != 0
    assert "/var/cache/slicer/NAME.results" in refused.stdout
    assert "workers_shared_results" in refused.stdout
    said = check(tmp_path, workers, workers_shared_results=True)
    assert said.returncode == 0, said.stdout


def test_one_machine_needs_none(tmp_path: Path) -> None:
    done = check(tmp_path, ["one"])
    assert done.returncode == 0, done.stdout


BUCKET = {"name": "a", "media": "s3://audio", "port": 8001, "settings": {"SLICER_SHARED_RESULTS": "s3://results"}}


@pytest.mark.parametrize(
    ("sites", "is_enough"),
    [
        ([BUCKET], True),
        ([BUCKET, {**BUCKET, "media": "https://media.example.org/"}], True),
        ([BUCKET, {**BUCKET, "media": "/srv/audio"}], False),
        ([BUCKET, {**BUCKET, "settings": {}}], False),
        ([BUCKET, {"name": "b", "media": "s3://other", "port": 8002}], False),
        ([], False),
    ],
)
def test_media_and_results_in_buckets_need_none(tmp_path: Path, sites: list[object], is_enough: bool) -> None:
    done = check(tmp_path, ["two"], slicer_instances=sites)
    assert (done.returncode == 0) == is_enough, done.stdout
