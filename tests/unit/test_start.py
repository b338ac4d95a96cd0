"""What is loaded when a server starts: no more than the start needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WSGI = Path(__file__).parents[2] / "wsgi"
#: Prints, as the last line, which modules `main` loads beside those that Python has when it starts.
COMMAND = """
import json, sys
before = set(sys.modules)
from mp3_slicer.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted(set(sys.modules) - before)))
"""
#: What no start of a server uses, and takes longest to load.
UNUSED = {
    "asyncio",
    "concurrent",
    "email",
    "http",
    "json",
    "logging",
    "multiprocessing",
    "ssl",
    "urllib",
    "mp3_slicer.mp3",
}


def loaded(tmp_path: Path, script: str, *words: str) -> set[str]:
    """The modules that a script in a Python of its own prints as JSON, in its last line."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("SLICER_")}
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env={**environ, "PYTHONPATH": str(WSGI), "XDG_CACHE_HOME": str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [("serve", ".", "--print"), ("doctor", ".")], ids=lambda words: words[0])
def test_the_standard_library_is_enough(tmp_path: Path, words: tuple[str, ...]) -> None:
    found = loaded(tmp_path, COMMAND, *words)
    # The doctor asks mod_wsgi where its Apache is.
    assert {name.split(".")[0] for name in found} <= sys.stdlib_module_names | {"mp3_slicer", "mod_wsgi"}
    # json is this test's own.
    assert not found & (UNUSED - {"json"})


@pytest.mark.parametrize("command", ["serve", "sign", "plan"])
def test_a_command_loads_no_other(tmp_path: Path, command: str) -> None:
    found = loaded(
        tmp_path,
        COMMAND.replace("main(sys.argv[1:])", "main(sys.argv[1:])\nexcept SystemExit:\n    pass"),
        command,
        "--help",
    )
    named = {name.removeprefix("mp3_slicer.cli.") for name in found if name.startswith("mp3_slicer.cli.")}
    assert command in named
    assert named <= {command, "main", "errors", "values", "options"}


def test_a_daemon_for_clips_loads_nothing_of_renders_and_jobs(tmp_path: Path) -> None:
    script = "import json, sys, mp3_slicer.web.app; print(json.dumps(sorted(sys.modules)))"
    found = loaded(tmp_path, script)
    assert {"mp3_slicer.web.app", "mp3_slicer.mp3.cut"} <= found
    assert not found & {
        "mp3_slicer.render.audio",
        "mp3_slicer.render.peaks",
        "mp3_slicer.jobs",
        "mp3_slicer.server",
        "mp3_slicer.cli",
    }
    assert not found & {"celery", "redis", "pydub", "miniaudio", "lameenc", "tqdm", "multiprocessing", "asyncio"}
