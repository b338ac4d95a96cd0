"""The collection that `make collection` builds, installed in an empty folder: it needs no other file of this checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
INVENTORY = {
    "all": {
        "vars": {"ansible_connection": "local", "slicer_host": {"address": "10.0.0.9", "cpus": 2, "memory_mib": 4096}},
        "children": {
            "edge": {"hosts": {"edge1": {}}},
            # A host's own variable comes before the playbook's for its group.
            "slicers": {"hosts": {"slicer1": {"slicer_host": {"address": "10.0.0.9", "cpus": 2, "memory_mib": 4096}}}},
        },
    }
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the collection installed, and an inventory."""
    place = tmp_path_factory.mktemp("collection")
    # The modules alone: making the real wheel takes longer than all of this.
    wheel = place / "mp3_slicer-1.2.3.dev4-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted((ROOT / "wsgi" / "mp3_slicer").rglob("*.py")):
            archive.write(path, path.relative_to(ROOT / "wsgi"))
    build = [sys.executable, ROOT / "scripts" / "collection", BIN.parent, wheel, place]
    built = subprocess.run(build, check=True, capture_output=True, text=True, timeout=120).stdout.strip()
    assert built == f"{place}/slicer-slicer-1.2.3-dev4.tar.gz"
    run(
        place,
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "--no-deps",
        "-p",
        str(place / "collections"),
        built,
    )
    (place / "hosts.json").write_text(json.dumps(INVENTORY))
    return place


def run(place: Path, program: str, *words: str) -> str:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("ANSIBLE")}
    environ |= {
        "ANSIBLE_COLLECTIONS_PATH": str(place / "collections"),
        "ANSIBLE_HOME": str(place / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LC_ALL": "C.UTF-8",
    }
    command = [str(BIN / program), *words]
    done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_playbook_of_the_installed_collection_is_whole(place: Path) -> None:
    said = run(place, "ansible-playbook", "-i", "hosts.json", "slicer.slicer.site", "--list-tasks")
    for role in sorted(path.name for path in (ROOT / "ansible" / "roles").iterdir()):
        assert f"slicer.slicer.{role} : " in said, role


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "ansible").glob("*.yml")))
def test_each_playbook_of_the_checkout_is_in_the_collection(place: Path, name: str) -> None:
    assert run(place, "ansible-playbook", "-i", "hosts.json", f"slicer.slicer.{name}", "--syntax-check")
    installed = place / "collections/ansible_collections/slicer/slicer"
    plays = yaml.safe_load((installed / "playbooks" / f"{name}.yml").read_text())
    # The checkout's ansible.cfg is not there to say so.
    assert all(play["become"] for play in plays)
    assert f"slicer.slicer.{name}" in (installed / "README.md").read_text()


def test_its_filters_and_variables_work_without_the_checkout(place: Path) -> None:
    # Beside its own playbook, whose variables for groups it has then.
    installed = place / "collections/ansible_collections/slicer/slicer"
    play = {
        "name": "Look",
        "hosts": "edge",
        "gather_facts": False,
        "vars": {"slicer_instances": [{"name": "main", "media": "/srv/audio", "port": 8000}]},
        "tasks": [{"name": "Look", "ansible.builtin.debug": {"msg": "{{ nginx_sites | to_json }}"}}],
    }
    (installed / "playbooks" / "look.yml").write_text(json.dumps([play]))
    assert "10.0.0.9" in run(place, "ansible-playbook", "-i", "hosts.json", "slicer.slicer.look")
    (installed / "playbooks" / "look.yml").unlink()
    files = installed / "files"
    assert {path.name for path in files.iterdir()} == {
        "apache",
        "monitoring",
        "requirements",
        "mp3_slicer-1.2.3.dev4-py3-none-any.whl",
    }
