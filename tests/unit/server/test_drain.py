"""What is no server is refused; tests/http drains real ones."""

import os
import subprocess
import sys
import time

import pytest

from mp3_slicer.server import drain
from mp3_slicer.server.sizes import GIB, compute


@pytest.mark.parametrize("pid", [0, -1, 4194304, None], ids=["0", "-1", "nobody's", "ourselves"])
def test_what_is_no_server(pid):
    pid = os.getpid() if pid is None else pid
    with pytest.raises(drain.DrainError, match=f"process {pid} is no"):
        drain.drain(pid)


def test_a_process_that_only_looks_like_one(tmp_path):
    """Its child has the words of Apache, and there are its sizes; but it has no daemon."""
    (tmp_path / "sizes.conf").write_text(
        "".join(f"Define {key} {value}\n" for key, value in compute(1, GIB).defines().items())
    )
    child = "import time; time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, '-f', {str(tmp_path)!r} + '/httpd.conf'])"
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        try:
            end = time.monotonic() + 20
            while not drain._children(process.pid):
                assert time.monotonic() < end
                time.sleep(0.05)
            with pytest.raises(drain.DrainError, match="is no `slicer serve`"):
                drain.drain(process.pid)
        finally:
            for pid in drain._children(process.pid):
                os.kill(pid, 9)
            process.kill()


def test_a_wait_ends():
    started = time.monotonic()
    with pytest.raises(drain.DrainError, match=r"it hangs, after 0\.2 s"):
        drain._wait(lambda: False, 0.2, "it hangs")
    assert 0.2 <= time.monotonic() - started < 20
