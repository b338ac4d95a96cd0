"""What Slicer is made of: locked with hashes, under licences that go with ours, listed, and built to the same bytes."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support.programs import script

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.fixture(scope="module")
def supply():
    """scripts/supply as a module."""
    return script("supply")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_of_a_lock_has_one_version_and_hashes(lock):
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip())
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[^\s;]+( ; [^\\]+)? \\\n", entry), entry
        hashes = re.findall(r"--hash=(\S+)", entry)
        assert hashes
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), entry
        # No address: whoever installs brings their own index.
        assert "://" not in entry


def test_every_package_from_npm_has_its_sum():
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for path, entry in packages.items():
        if path:
            algorithm, _, digest = entry["integrity"].partition("-")
            assert algorithm == "sha512"
            assert len(base64.b64decode(digest)) == 64


def test_nothing_is_installed_without_hashes():
    """Every pip that our programs run takes what a lock names, with hashes, or what was built here and nothing else."""
    found = 0
    files = [
        ROOT / "Makefile",
        ROOT / "Containerfile",
        *(ROOT / "scripts").iterdir(),
        *(ROOT / "ansible").rglob("*.yml"),
    ]
    for path in files:
        text = path.read_text(encoding="utf-8")
        # A command may go on in the next line.
        for match in re.finditer(r"(?:-m pip\b[^\n]*?|'pip', |_slicer_pip \+ \[)'?\b(?:install|wheel)\b", text):
            command = re.split(r"(?<!\\)\n(?! {20})", text[match.start() :], maxsplit=1)[0]
            found += 1
            from_lock = re.search(r"-r\b|--requirement", command)
            assert "--require-hashes" in command if from_lock else "--no-deps" in command, f"{path}: {command}"
    assert found >= 7


def test_the_page_of_licences_is_up_to_date(supply):
    assert supply.PAGE.read_text(encoding="utf-8") == supply.page(supply.with_licences())


def test_a_licence_that_does_not_go_with_ours_is_refused(supply, monkeypatch, capsys):
    assert not supply.unknown("Apache-2.0 OR GPL-3.0-only", supply.SERVED)
    assert supply.unknown("MIT AND GPL-3.0-or-later", supply.SERVED) == ["GPL-3.0-or-later"]
    assert not supply.unknown("MIT AND GPL-3.0-or-later", supply.USED)
    real = supply.licence_of
    monkeypatch.setattr(supply, "licence_of", lambda name: "AGPL-3.0-only" if name == "werkzeug" else real(name))
    with pytest.raises(SystemExit) as ended:
        supply.with_licences()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "supply: werkzeug: AGPL-3.0-only is not among the licences that go with ours\n"


def test_the_bill_of_materials_is_valid_whole_and_the_same_each_time(supply):
    packages = supply.with_licences()
    text = supply.sbom(packages)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert supply.sbom(packages) == text
    parts = {(part["name"], part["version"]): part for part in json.loads(text)["components"]}
    lock = (ROOT / "requirements" / "serve.txt").read_text(encoding="utf-8")
    wanted = set(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE))
    page = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"][
        "node_modules/wavesurfer.js"
    ]
    assert set(parts) == wanted | {("wavesurfer.js", page["version"])}
    assert all(part["hashes"] and part["licenses"] and part["purl"] for part in parts.values())
    (digits,) = parts["wavesurfer.js", page["version"]]["hashes"]
    assert "sha512-" + base64.b64encode(bytes.fromhex(digits["content"])).decode() == page["integrity"]


def test_a_wheel_is_the_same_bytes_whoever_builds_it_and_when(tmp_path):
    sums = []
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    # What npm gives is there already: it was fetched for the wheel that is installed.
    vendor = [str(path.relative_to(ROOT)) for path in (ROOT / "wsgi/mp3_slicer/studio/vendor").iterdir()]
    assert vendor
    for number, (mask, when) in enumerate(((0o022, 1_000_000_000), (0o077, 1_700_000_000))):
        copy = tmp_path / f"copy{number}"
        wanted = (*(name for name in tracked if name.startswith(("wsgi/", "apache/"))), *vendor)
        for name in (
            *wanted,
            *(
                "pyproject.toml",
                "hatch_build.py",
                "package.json",
                "package-lock.json",
                ".npmrc",
                "README.md",
                "LICENSE",
            ),
        ):
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
            os.utime(target, (when, when))
            target.chmod(target.stat().st_mode & ~mask)
        (copy / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "bootstrap", copy / "scripts")
        environ = {**os.environ, "SOURCE_DATE_EPOCH": str(when), "PYTHONHASHSEED": str(number)}
        done = subprocess.run(
            [copy / "scripts" / "bootstrap", "dist", sys.prefix],
            cwd=copy,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        wheel = copy / done.stdout.strip()
        sums.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
        with zipfile.ZipFile(wheel) as archive:
            assert {"mp3_slicer/studio/vendor/wavesurfer.js", "mp3_slicer/apache/slicer.conf"} <= set(
                archive.namelist()
            )
    assert sums[0] == sums[1]
