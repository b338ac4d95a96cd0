"""A process that must not outlive the one that started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

WSGI = Path(__file__).parents[2] / "wsgi"
#: A child, which says that it runs and then waits for ever, with a parent that is killed.
CHILD = """
import os, signal, sys
from mp3_slicer.parent import end_with
end_with(int(sys.argv[1]), signal.SIGKILL)
print(os.getpid(), flush=True)
signal.pause()
"""
PARENT = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())]).wait()
"""
ENVIRON = {**os.environ, "PYTHONPATH": str(WSGI)}


def test_a_child_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=ENVIRON) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.kill()
        try:
            # The pipe ends when nobody has it any more, the child as little as its parent.
            assert parent.communicate(timeout=30)[0] == b""
        except subprocess.TimeoutExpired:
            os.kill(child, signal.SIGKILL)
            raise


def test_a_child_whose_parent_has_gone_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(os.getppid())], stdout=subprocess.PIPE, env=ENVIRON, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
