"""What lies beside a source and its parser does not expect is named in /info, and costs nothing else."""

import importlib
import json
import shutil
from pathlib import Path

import pytest
from werkzeug.test import Client

from mp3_slicer import pictures
from mp3_slicer.settings import Settings
from mp3_slicer.web import beside
from mp3_slicer.web.app import create_app


def broken(*_: object) -> None:
    """A parser with a defect."""
    raise KeyError("what the file holds")


@pytest.fixture
def client(tmp_path: Path, cbr: str) -> Client:
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(cbr, media / "show.mp3")
    for name in ("show.vtt", "show.chapters.json", "show.xml"):
        (media / name).write_text("anything", encoding="utf-8")
    folders = {f"SLICER_{name}_DIR": str(tmp_path / name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")}
    return Client(create_app(Settings.from_environ({"SLICER_MEDIA": str(media), **folders})))


def test_defects_of_parsers_are_flaws_of_files(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("mp3_slicer.transcripts.choose"), "read", broken)
    for module, names in (
        (beside, ("read_chapters_json", "read_points", "read_tags")),
        (pictures, ("read_cover", "has_cover")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, broken)
    info = client.get("/info/show.mp3")
    assert info.status_code == 200
    found = {each["file"]: each["detail"] for each in json.loads(info.data)["unreadable"]}
    assert set(found) == {"show.vtt", "show.chapters.json", "show.xml", "show.mp3"}
    assert all("a defect of Slicer, KeyError in test_beside.py, line " in each for each in found.values())
    assert "holds" not in info.text
    for target in ("/transcripts/show.vtt", "/chapters/show.json", "/covers/show.mp3"):
        assert client.get(target).status_code == 404
    assert client.get("/clips/show.mp3?t=1,2").status_code == 200
