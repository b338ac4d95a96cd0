"""ffmpeg as a child process: fed by a pipe, watched while it works, and never left behind.

It gets the samples through its standard input, so it also ends by itself should this process be killed. Results go to nameless files.
Its process group is its own; whatever ends the work here (the deadline, an error, an exception thrown into the thread from outside)
kills that group and waits for the child.
"""

import errno
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mp3_slicer.render.audio.pcm import Pcm
from mp3_slicer.render.errors import TooLargeError, ToolError, ToolMissingError
from mp3_slicer.render.limits import Deadline

#: Bytes of ffmpeg's messages that are kept, from the end.
_KEEP = 1 << 14
#: Seconds between two looks at the size of the output.
_LOOK_SECONDS = 0.25
#: Environment variables that ffmpeg gets.
_PASSED_ON = frozenset({"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH"})
#: ffmpeg's name for our samples.
SAMPLES = f"s16{'le' if sys.byteorder == 'little' else 'be'}"


def raw_input(pcm: Pcm) -> list[str]:
    """Arguments that make ffmpeg read the samples of `pcm` from its standard input."""
    return ["-f", SAMPLES, "-ar", str(pcm.rate), "-ac", str(pcm.channels), "-i", "pipe:0"]


def run(
    arguments: list[str],
    blocks: Iterable[bytes],
    *,
    deadline: Deadline,
    files: tuple[BinaryIO, ...] = (),
    largest: int | None = None,
    level: str = "error",
) -> str:
    """Run ffmpeg, feed it, wait for its end, and return its messages.

    `files` are open in the child under the same descriptors; the last of them is its output, and may grow to `largest` bytes.
    Raises WorkTimeoutError, TooLargeError, ToolMissingError, ToolError where it fails, MemoryError where it
    gets none, and whatever comes out of `blocks`.
    """
    command = [_program(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", level, "-y", *arguments]
    process: subprocess.Popen[bytes] | None = None
    try:
        try:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=[file.fileno() for file in files],
                process_group=0,
                env=_environment(),
            )
        except OSError as error:
            if error.errno in {errno.ENOMEM, errno.EAGAIN}:
                raise MemoryError("no memory to start ffmpeg") from None
            raise ToolError(f"ffmpeg cannot be started: {error.strerror}") from None
        said = _Talk(process, deadline, files[-1] if files else None, largest).run(iter(blocks))
        code = process.wait(timeout=max(deadline.left, 1.0))
    except subprocess.TimeoutExpired:
        raise ToolError("ffmpeg closed its outputs and did not end") from None
    finally:
        if process is not None:
            _end(process)
    if code and os.strerror(errno.ENOMEM) in said:
        raise MemoryError("no memory for ffmpeg")
    if os.strerror(errno.ENOSPC) in said:
        # The disk of scratch files is full. Not every format makes ffmpeg end with an error then.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if code:
        # What it says names no file of anybody's: its input is a pipe and its outputs are numbers.
        raise ToolError(f"ffmpeg ended with {code}: {said.strip()[-300:]}")
    return said


class _Talk:
    """Feeding a child and listening to it, both without ever waiting for one of them alone."""

    def __init__(
        self, process: subprocess.Popen[bytes], deadline: Deadline, output: BinaryIO | None, largest: int | None
    ) -> None:
        if process.stdin is None or process.stderr is None:  # pragma: no cover
            raise TypeError("the child has no pipes")
        self._input, self._error = process.stdin, process.stderr
        self._deadline = deadline
        self._output = output
        self._largest = largest
        self._said = bytearray()
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._error.fileno(), False)

    def run(self, blocks: Iterator[bytes]) -> str:
        """Go on until the child closed its standard error, which its end does."""
        poll = select.poll()
        listening = self._error.fileno()
        poll.register(listening, select.POLLIN)
        poll.register(self._input.fileno(), select.POLLOUT)
        waiting = memoryview(b"")
        while True:
            self._deadline.check()
            self._check_size()
            for fd, _ in poll.poll(1000 * min(_LOOK_SECONDS, self._deadline.left)):
                if fd == listening:
                    if not self._listen():
                        return self._said.decode("utf-8", "replace")
                    continue
                waiting, more = self._feed(waiting, blocks)
                if not more:
                    poll.unregister(fd)
                    self._input.close()

    def _feed(self, waiting: memoryview, blocks: Iterator[bytes]) -> tuple[memoryview, bool]:
        """Write what the pipe takes. Returns what is left of the block, and whether there is more to come."""
        if not waiting:
            block = next(blocks, None)
            if block is None:
                return waiting, False
            waiting = memoryview(block)
        try:
            return waiting[os.write(self._input.fileno(), waiting) :], True
        except BlockingIOError:
            return waiting, True
        except BrokenPipeError:
            # It has heard enough, or failed: its exit code tells.
            return waiting, False

    def _listen(self) -> bool:
        """Take what the child says; False once it has closed that end."""
        try:
            heard = os.read(self._error.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        self._said += heard
        del self._said[:-_KEEP]
        return bool(heard)

    def _check_size(self) -> None:
        if self._output is not None and self._largest is not None:
            size = os.fstat(self._output.fileno()).st_size
            if size > self._largest:
                raise TooLargeError(f"the result has more than {self._largest} bytes, which is the limit")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the child's group, if the child has not been waited for, and wait for it. Close its pipes."""
    try:
        if process.returncode is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                # It has just ended, or has no group yet; its number is still ours until it is waited for.
                process.kill()
    finally:
        process.wait()
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                pipe.close()


def _program() -> str:
    found = shutil.which("ffmpeg") or shutil.which("ffmpeg", path=os.defpath)
    if found is None:
        raise ToolMissingError("ffmpeg is not installed")
    return found


def _environment() -> dict[str, str]:
    """The environment that a program needs to be found and to run, without the settings and their secrets."""
    return {name: value for name, value in os.environ.items() if name in _PASSED_ON}
