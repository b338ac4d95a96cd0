"""What a long run of tests prints: a line for each file, and at its end what was skipped and why."""

import subprocess
import sys
from pathlib import Path

from support.stages import AT_THE_END, SHOWN

TESTS = """
import pytest

def test_right():
    pass

def test_wrong():
    assert 1 == 2, "one is not two"

def test_left_out():
    pytest.skip("there is no moon")
"""


def test_what_is_left_out_and_what_failed_is_named(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_some.py").write_text(TESTS)
    # As the stages of `make test` run them.
    words = ["-p", "support.progress", "-q", "--no-header", "--color=no", "-rs", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *words, f"--rootdir={tmp_path}", "-c", "/dev/null", str(tmp_path)]
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines()
    named = [line for line in lines if AT_THE_END.match(line)]
    assert len(named) == 1, done.stdout
    assert "there is no moon" in named[0]
    # While it runs, with the reason; the summary at the end has it again.
    failed = [line for line in lines if SHOWN.match(line) and "FAILED" in line]
    assert failed == ["FAILED tests/test_some.py::test_wrong (call): AssertionError: one is not two"]
