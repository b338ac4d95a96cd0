"""What is missing on a machine costs what needs it, and nothing else. In processes of their own, which see no ffmpeg or no package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys

for name in sys.argv[2:]:
    if name == "ffmpeg":
        os.defpath = os.environ["PATH"] = "/nonexistent"
    else:
        sys.modules[name] = None  # as Python notes what cannot be imported

from werkzeug.test import Client
from mp3_slicer.settings import Settings
from mp3_slicer.web.app import create_app

client = Client(create_app(Settings.from_environ(os.environ)))
answers = []
for target in json.loads(sys.argv[1]):
    answer = client.get(target)
    answers.append([answer.status_code, answer.json if answer.status_code >= 400 else len(answer.data)])
print(json.dumps(answers))
"""


@pytest.fixture
def ask(cbr: str, tmp_path: Path):
    (tmp_path / "media").mkdir()
    shutil.copy(cbr, tmp_path / "media" / "show.mp3")
    names = ("INDEX", "RESULTS", "SCRATCH")
    environ = {"SLICER_MEDIA": str(tmp_path / "media")} | {f"SLICER_{each}_DIR": str(tmp_path / each) for each in names}

    def run(targets: list[str], *missing: str):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(targets), *missing],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return run


NEEDS_NOTHING = ["/renders/show.wav?t=1,2&fade=0.1,0&gain=2", "/renders/show.mp3?t=1,2&normalize=peak&trim=-60"]
NEEDS_FFMPEG = [
    *("/renders/show.ogg?t=1,2", "/renders/show.wav?t=1,2&speed=1.5", "/renders/show.wav?t=1,2&rate=8000"),
    *("/renders/show.mp3?t=1,2&normalize=ebu", "/renders/show.flac?t=1,2", "/renders/show.m4a?t=1,2"),
]


def test_without_ffmpeg_there_is_what_needs_none(ask) -> None:
    answers, _ = ask([*NEEDS_NOTHING, "/peaks/show.json", *NEEDS_FFMPEG], "ffmpeg")
    assert [code for code, _ in answers] == [200] * 3 + [501] * 6
    for _, members in answers[3:]:
        assert members["type"] == "urn:slicer:problem:not-installed"
        assert "mp3 and wav" in members["detail"]


def test_with_ffmpeg_there_is_all(ask) -> None:
    answers, _ = ask([*NEEDS_NOTHING, *NEEDS_FFMPEG])
    assert {code for code, _ in answers} == {200}


@pytest.mark.parametrize("module", ["miniaudio", "lameenc", "pydub", "audioop"])
def test_without_a_package_there_are_clips(module: str, ask) -> None:
    targets = [
        "/clips/show.mp3?t=1,2",
        "/renders/show.wav?t=1,2",
        "/peaks/show.json",
        "/info/show.mp3",
        "/renders/show.wav",
    ]
    answers, said = ask(targets, module)
    assert [code for code, _ in answers] == [200, 501, 501, 200, 501]
    assert answers[1][1]["type"] == "urn:slicer:problem:not-installed"
    assert "mp3-slicer[renders]" in answers[1][1]["detail"]
    assert module in said
    assert "Traceback" not in said


def test_clips_load_nothing_of_it() -> None:
    code = (
        "import sys, mp3_slicer.web.app\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('miniaudio', 'lameenc', 'pydub', 'audioop', 'celery')\n"
        "       or name.startswith(('mp3_slicer.render.audio', 'mp3_slicer.render.peaks', 'mp3_slicer.jobs'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
