"""Whatever ends a render, nothing of it is left: no process, no zombie, no open file, no file on disk."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from mp3_slicer.mp3 import FileReader
from mp3_slicer.render import Limits, RenderRequest, TooLargeError, ToolError, WorkTimeoutError, plan
from mp3_slicer.render.audio import ffmpeg
from mp3_slicer.render.audio.render import render
from mp3_slicer.render.audio.scratch import nameless_file, path_of
from mp3_slicer.render.limits import Deadline
from support import streams
from support.cutting import index_of, opened
from support.descriptors import descriptors
from unit.render.sounds import LIMITS, make

ENDLESS = ["-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"]
WSGI = str(Path(__file__).parents[4] / "wsgi")


def children() -> set[int]:
    """This process's, zombies among them."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found |= {int(pid) for pid in Path(f"/proc/self/task/{task}/children").read_text().split()}
    return found


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    had = children(), descriptors()
    yield
    # What earlier tests left may go meanwhile; nothing may come.
    assert (children() - had[0], descriptors() - had[1]) == (set(), set())
    assert list(folder.iterdir()) == []


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(1 << 16)


def test_a_deadline_ends_it_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(WorkTimeoutError, match=r"longer than 0\.5 s"):
        ffmpeg.run(ENDLESS, (), deadline=Deadline(0.5))
    assert time.monotonic() - began < 20


def test_a_deadline_ends_a_child_that_does_not_read() -> None:
    began = time.monotonic()
    with pytest.raises(WorkTimeoutError):
        ffmpeg.run(ENDLESS, endless(), deadline=Deadline(0.5))
    assert time.monotonic() - began < 20


def test_an_error_among_the_blocks_ends_it() -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(1000)
        raise RuntimeError("a block")

    with pytest.raises(RuntimeError, match="a block"):
        ffmpeg.run(ENDLESS, broken(), deadline=Deadline(60))


class Aborted(BaseException):
    """What a server throws into a thread whose request has taken too long."""


#: So much that no machine is done with it before it is interrupted.
LONG = [("t", "0,19")] * 8


@pytest.mark.parametrize("after", [0.02, 0.1, 0.3, 0.6])
@pytest.mark.parametrize(
    "options", [("m4a", *LONG), ("wav", *LONG, ("normalize", "ebu:-9")), ("ogg", *LONG, ("speed", "0.5"))]
)
def test_an_exception_from_outside_ends_it(cbr: str, after: float, options) -> None:
    """At any moment of a render, in the thread that waits for it."""
    form, *pairs = options
    ended: list[BaseException] = []

    began = threading.Event()
    fd = os.open(cbr, os.O_RDONLY)
    index = index_of(cbr)
    request = RenderRequest.parse(form, pairs)

    def work() -> None:
        try:
            began.set()
            render(request, FileReader(fd), index, LIMITS).close()
        except BaseException as error:
            error.__traceback__ = None
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    time.sleep(after)
    throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for _ in range(3):
        # Python drops what is thrown into a finalizer. Very rarely it hits one, and is thrown again.
        assert throw(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Aborted)) == 1
        thrown = time.monotonic()
        thread.join(10)
        if not thread.is_alive():
            break
    os.close(fd)
    assert not thread.is_alive()
    assert [type(error) for error in ended] == [Aborted]
    assert time.monotonic() - thrown < 10


def test_a_child_that_is_killed_is_an_error(cbr: str) -> None:
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for pid in children():
                try:
                    if os.readlink(f"/proc/{pid}/exe").endswith("ffmpeg"):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                except OSError:
                    continue
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(ToolError, match="ended with -9"):
        make(cbr, "m4a")
    thread.join()


def test_when_the_process_is_killed_its_child_ends_too(cbr: str, tmp_path: Path) -> None:
    """Its input ends, and so does it; its files have no names."""
    folder = tmp_path / "killed"
    folder.mkdir()
    code = textwrap.dedent(
        """
        import os, sys, threading, time
        from mp3_slicer.mp3 import FileReader, build_whole_index
        from mp3_slicer.render import Limits, RenderRequest
        from mp3_slicer.render.audio.render import render
        fd = os.open(sys.argv[1], os.O_RDONLY)
        request = RenderRequest.parse("m4a", [("t", "0,19")])
        threading.Thread(target=render, args=(request, FileReader(fd), build_whole_index(FileReader(fd)), Limits())).start()
        while not (pids := "".join(open(f"/proc/self/task/{task}/children").read() for task in os.listdir("/proc/self/task"))):
            time.sleep(0.001)
        print(pids, flush=True)
        time.sleep(60)
        """
    )
    environ = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": WSGI}
    process = subprocess.Popen([sys.executable, "-c", code, cbr], stdout=subprocess.PIPE, text=True, env=environ)
    assert process.stdout is not None
    with process, process.stdout:
        pid = int(process.stdout.readline().split()[0])
        process.kill()
    end = time.monotonic() + 20
    while _runs(pid):
        assert time.monotonic() < end, "it goes on for nobody"
        time.sleep(0.05)
    assert list(folder.iterdir()) == []


def _runs(pid: int) -> bool:
    try:
        return "ffmpeg" in os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False


@pytest.mark.parametrize("form", ["mp3", "wav", "flac", "m4a", "ogg"])
def test_limits_end_renders(cbr: str, form: str) -> None:
    with pytest.raises(TooLargeError):
        make(cbr, form, limits=Limits(output_bytes=30_000))
    index = index_of(cbr)
    planned = plan(RenderRequest.parse(form, [("trim", "-60"), ("normalize", "ebu")]), index, LIMITS)
    with opened(cbr) as fd, pytest.raises(WorkTimeoutError):
        render(planned, FileReader(fd), index, Limits(work_seconds=Fraction(1, 100)))


def test_an_output_is_watched_while_it_grows() -> None:
    with nameless_file() as output:
        command = ["-f", "lavfi", "-i", "anoisesrc", "-f", "s16le", path_of(output)]
        with pytest.raises(TooLargeError):
            ffmpeg.run(command, (), deadline=Deadline(30), files=(output,), largest=100_000)


def test_what_ffmpeg_says_is_told_and_bounded() -> None:
    with pytest.raises(ToolError, match="nosuchcodec"):
        ffmpeg.run(
            ["-f", "s16le", "-ar", "8000", "-i", "pipe:0", "-c:a", "nosuchcodec", "-f", "wav", "-"],
            (),
            deadline=Deadline(30),
        )
    command = ["-f", "lavfi", "-i", "anoisesrc=d=100", "-af", "ametadata=print,ebur128", "-f", "null", "-"]
    assert 1000 < len(ffmpeg.run(command, (), deadline=Deadline(60), level="info")) <= 1 << 14


def test_a_child_may_stop_listening_early() -> None:
    blocks = (bytes(1 << 16) for _ in range(100))
    command = ["-f", "s16le", "-ar", "8000", "-i", "pipe:0", "-t", "1", "-f", "null", "-"]
    assert ffmpeg.run(command, blocks, deadline=Deadline(30)) == ""


def test_without_ffmpeg_it_says_so(cbr: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "defpath", str(tmp_path))
    with pytest.raises(ToolError, match="not installed"):
        make(cbr, "ogg")
    make(cbr, "mp3", ("t", "1,2"), ("fade", "0.1,0.1")).close()
    (tmp_path / "ffmpeg").write_bytes(b"\x7fELF")
    (tmp_path / "ffmpeg").chmod(0o755)
    with pytest.raises(ToolError, match="cannot be started"):
        make(cbr, "ogg")


def test_the_operators_environment_makes_no_reports(cbr: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FFREPORT", f"file={tmp_path}/report.log:level=56")
    make(cbr, "flac", ("t", "1,2")).close()
    assert not (tmp_path / "report.log").exists()


def test_a_result_is_gone_when_it_is_closed(cbr: str) -> None:
    made = make(cbr, "flac", ("t", "1,2"))
    assert os.fstat(made.file.fileno()).st_nlink == 0
    made.close()
    made.close()


def test_pieces_of_a_result(cbr: str) -> None:
    with make(cbr, "mp3", ("t", "1,2"), limits=LIMITS) as made:
        data = made.read()
        assert b"".join(made.pieces(100, 5000, 7)) == data[100:5000]
        assert list(made.pieces(5, 5)) == []
        os.ftruncate(made.file.fileno(), 10)
        with pytest.raises(EOFError):
            made.read()


def test_memory_is_bounded_by_blocks_and_not_by_spans(tmp_path: Path, cbr: str) -> None:
    """Under a limit on memory as a server sets it, ten minutes take no more than ten seconds."""
    audio = Path(cbr).read_bytes()
    places = streams.frames(audio)
    long = tmp_path / "long.mp3"
    long.write_bytes(audio[places[1] :] * 30)
    code = textwrap.dedent(
        """
        import os, resource, sys
        from mp3_slicer.mp3 import FileReader, build_whole_index
        from mp3_slicer.render import Limits, RenderRequest, plan
        from mp3_slicer.render.audio.render import render
        def data():
            return int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) * 1024
        fd = os.open(sys.argv[1], os.O_RDONLY)
        index = build_whole_index(FileReader(fd))
        pairs = [pair.split("=") for pair in sys.argv[3].split("&")]
        request = RenderRequest.parse(sys.argv[2], pairs)
        limits = Limits(work_seconds=280, output_bytes=1 << 30)
        resource.setrlimit(resource.RLIMIT_DATA, (data() + plan(request, index, limits).estimate.memory_bytes,) * 2)
        print(render(request, FileReader(fd), index, limits).samples)
        """
    )
    for form, query in (
        ("wav", "t=0,590"),
        ("mp3", "t=0,20&t=100,130&crossfade=9&channels=1&bitrate=64"),
        ("wav", "t=0,100&normalize=peak&trim=-60&fade=60,30"),
    ):
        command = [sys.executable, "-c", code, str(long), form, query]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": WSGI}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) > 1_000_000


def test_children_work_under_a_limit_on_memory(cbr: str) -> None:
    code = textwrap.dedent(
        """
        import os, resource, sys
        from mp3_slicer.mp3 import FileReader, build_whole_index
        from mp3_slicer.render import Limits, RenderRequest
        from mp3_slicer.render.audio.render import render
        resource.setrlimit(resource.RLIMIT_DATA, (192 << 20, 192 << 20))
        fd = os.open(sys.argv[1], os.O_RDONLY)
        for form in ("flac", "opus", "m4a"):
            pairs = [("t", "0,15"), ("speed", "1.5"), ("rate", "48000"), ("normalize", "ebu:-9")]
            render(RenderRequest.parse(form, pairs), FileReader(fd), build_whole_index(FileReader(fd)), Limits(work_seconds=60)).close()
        """
    )
    environ = {**os.environ, "PYTHONPATH": WSGI}
    done = subprocess.run([sys.executable, "-c", code, cbr], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_helper_sees_children(tmp_path: Path) -> None:
    """What finds nothing left would find something."""
    seen: Callable[[], set[int]] = children
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert process.pid in seen()
        process.kill()
        time.sleep(0.2)
        assert process.pid in seen(), "a zombie too"
    finally:
        process.wait()
