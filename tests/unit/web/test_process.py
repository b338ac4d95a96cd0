"""What a process does that may take no more memory. In a process of its own: it changes the limit and sends itself a signal."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, resource, signal, sys
from mp3_slicer.web.process import make_room

soft, hard = int(sys.argv[1]) << 20, int(sys.argv[2]) << 20 if sys.argv[2] != "-1" else -1
resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
signal.signal(signal.SIGUSR1, lambda *_: print("asked to go"))
make_room({"PATH_INFO": "/x", "mod_wsgi.process_group": sys.argv[3]})
print(resource.getrlimit(resource.RLIMIT_DATA)[0] - soft >> 20)
"""


def run(*words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "out of memory: /x\n"
    return done.stdout.splitlines()


@pytest.mark.parametrize(("hard", "room"), [("-1", "32"), ("500", "32"), ("410", "10"), ("400", "0")])
def test_a_daemon_gets_room_to_end_in_and_goes(hard: str, room: str) -> None:
    assert run("400", hard, "clips") == ["asked to go", room]


def test_whatever_else_runs_the_application_is_let_live() -> None:
    assert run("400", "-1", "") == ["0"]
