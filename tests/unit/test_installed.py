"""The release of a process: the folder that its environment's path led to when it was asked; and the commit of its files."""

import json
from pathlib import Path

from mp3_slicer.distribution import COMMIT, commit, release


def test_a_release_of_the_roles_has_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "releases" / "1.2-0a1b2c3d"
    folder.mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1.2-0a1b2c3d")
    assert release(str(tmp_path / "current")) == "1.2-0a1b2c3d"
    assert release(str(tmp_path)) == ""
    assert release(str(tmp_path / "none")) == ""


def test_a_wheel_has_its_commit(tmp_path: Path) -> None:
    assert commit(str(tmp_path)) == ""
    (tmp_path / COMMIT).write_text(
        json.dumps({"commit": "4bf92f3577b34da6a3ce929d0e0e4736", "date": "2026-11-28", "changed": False})
    )
    assert commit(str(tmp_path)) == "4bf92f3577b3"
    (tmp_path / COMMIT).write_text("[]")
    assert commit(str(tmp_path)) == ""
