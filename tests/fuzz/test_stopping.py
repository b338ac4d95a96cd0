"""A round of fuzzing that is stopped: what it found is said, and nothing of it is left."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.server import descendants, until

FOUND = """
import os, signal, sys
from fuzz import __main__, cuts

def spread(*_, report, **__):
    report.outcomes["exact"], report.findings[7] = 5, "599-1399: noise"
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()

cuts.spread = spread
sys.argv = ["fuzz", "cuts"]
sys.exit(__main__.main())
"""


def start(*words: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("kind", "number", "whole_group"),
    [
        ("cuts", signal.SIGTERM, False),
        ("cuts", signal.SIGINT, False),
        ("cuts", signal.SIGTERM, True),
        ("files", signal.SIGTERM, False),
    ],
)
def test_a_stopped_round_says_what_it_found_and_leaves_nothing(
    kind: str, number: signal.Signals, whole_group: bool
) -> None:
    process = start("-m", "fuzz", kind, "--minutes", "10", "--processes", "1", "--first", "1")
    folder = None
    try:
        if kind == "cuts":
            until(lambda: decoding(process.pid), 60, "a clip is decoded")
            folder = decoding(process.pid)
        else:
            until(lambda: any(map(busy, descendants(process.pid))), 60, "files are examined")
        others = descendants(process.pid)
        for each in [process.pid, *(others if whole_group else ())]:
            # Of the others one may have ended by itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert out.startswith(f"{kind}: ")
    assert "findings" in out
    assert errors.strip() == f"stopped by {number.name}"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in others), 30, "its processes have ended")
    assert folder is None or not folder.exists()


def decoding(pid: int) -> Path | None:
    """The folder that a descendant's ffmpeg writes to."""
    for each in descendants(pid):
        try:
            words = Path(f"/proc/{each}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[0] == "ffmpeg":
            return Path(words[-2]).parent
    return None


def busy(pid: int) -> bool:
    """Whether a process took a second of CPU."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
    except OSError:
        return False
    return int(ticks) >= os.sysconf("SC_CLK_TCK")


def test_findings_are_told_when_it_is_stopped() -> None:
    process = start("-c", FOUND)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert out.startswith("cuts: 5 compared, 1 findings; exact 5; from ")
    assert errors.splitlines() == ["--- stream 7", "599-1399: noise", "stopped by SIGTERM"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["api", "--count", "5"], "api: --minutes, not --count"),
        (["clips"], "there is only files, cuts, parsers, api"),
    ],
)
def test_what_cannot_be_fuzzed_so_is_refused(words: list[str], said: str) -> None:
    process = start("-m", "fuzz", *words)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said in errors


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ([], "--minutes 10"),
        (["MINUTES=3"], "--minutes 3"),
        (["COUNT=5"], "--count 5"),
        (["KIND=cuts", "COUNT=5"], "cuts --count 5"),
        (["KIND=cuts parsers", "MINUTES=3"], "cuts parsers --minutes 3"),
    ],
)
def test_make_hands_on_kind_and_count(variables: list[str], words: str) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        ["make", "--dry-run", "fuzz", *variables], cwd=root, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if " -m fuzz " in line]
    assert line.split(" -m fuzz ")[1].split() == words.split()


def test_a_count_without_a_kind_is_of_files() -> None:
    process = start("-m", "fuzz", "--count", "3", "--processes", "1", "--first", "1")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    (line,) = out.splitlines()
    assert line.startswith("files: 3 from 1 on")
