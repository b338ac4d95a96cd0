"""Commands of root on files of other users: a process of the run user reads the bytes, through descriptors that root opened.

Root keeps only work that needs root, such as writing a clip into its own folder. No process of root reads any part of a source.
"""

import os
import secrets
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

from mp3_slicer.errors import SlicerError
from mp3_slicer.server import privileges, reach
from mp3_slicer.server.express import RUN_USER

#: Paths of this process's own descriptors, which lie in no folder.
_OWN = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
#: Bytes of the error that a process reports.
_SAID_BYTES = 4096
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class RefusedError(SlicerError):
    """The error of the run user's process, in one line."""


def user() -> str | None:
    """Return the user that reads files of others: the run user for root, if it exists, else None, the caller."""
    try:
        return reach.run_user(RUN_USER)
    except reach.RunUserError:
        return None


def open_for_reading(path: str, flags: int, *, user: str) -> int:
    """Open a file as `user`, or if that is not permitted, as root without following other users' links. Raises OSError."""
    try:
        with _acting_as(user):
            return os.open(path, flags)
    except PermissionError:
        return privileges.open_as_root(path, flags)


@contextmanager
def _acting_as(user: str) -> Iterator[None]:
    """Have the kernel check permissions as for `user` during the block. For a process with one thread."""
    groups = os.getgroups()
    uid, gid = privileges.numbers_of(user)
    os.initgroups(user, gid)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def run(user: str | None, work: Callable[[], object]) -> int:
    """Do `work` in a process of `user` (None: here) and return 0, or 1 if its output was closed.

    Raises RefusedError with the process's error, and, if it is done here, whatever `work` raises.
    """
    if user is None:
        work()
        return 0
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    # Until the number of the child is known.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    child = os.fork()
    if child == 0:
        _be_child(user, work, reader, writer)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(writer)
        with open(reader, "rb") as pipe:
            said = pipe.read(_SAID_BYTES)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise
    if said:
        # It read other users' bytes: no control characters of theirs.
        text = said.decode("utf-8", "replace")
        raise RefusedError("".join(letter if letter.isprintable() else " " for letter in text))
    if status not in {0, 1}:
        raise RefusedError(f"the process that read the file ended with {status}")
    return status


def _be_child(user: str, work: Callable[[], object], reader: int, writer: int) -> None:
    """Do the work as `user`, and end the process in any case."""
    status = 2
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(reader)
        privileges.become(user)
        work()
        sys.stdout.flush()
        status = 0
    except BrokenPipeError:
        status = 1
    except BaseException as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        with suppress(OSError):
            os.write(writer, said.encode("utf-8", "replace")[:_SAID_BYTES])
    finally:
        os._exit(status)


@contextmanager
def whole_file(path: str) -> Iterator[IO[bytes]]:
    """Yield a file for root to write, which appears whole when the block ends without an error. Other users' links are not followed.

    Raises RefusedError, OSError.
    """
    name = os.path.basename(path)
    if path.startswith(_OWN):
        with open(path, "wb") as device:
            yield device
        return
    if not name or os.path.isdir(path):
        raise RefusedError(f"{path} is a folder" if path else "the clip's file has no name")
    try:
        folder = privileges.open_as_root(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise RefusedError(f"there is no folder {_folder_of(path)}") from None
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode) and not os.path.isfile(
                path
            ):
                # A pipe or a device is written to, not replaced.
                with open(privileges.open_as_root(path, os.O_WRONLY), "wb") as device:
                    yield device
                return
        yield from _replaced(folder, name, path)
    finally:
        os.close(folder)


def _folder_of(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _replaced(folder: int, name: str, path: str) -> Iterator[IO[bytes]]:
    """Yield a new file in an open folder, which becomes `name` at the end; `path` is for messages."""
    temporary = f".slicer-{secrets.token_hex(8)}"
    mask = os.umask(0)
    os.umask(mask)
    try:
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        except OSError as error:
            raise RefusedError(f"{_folder_of(path)} cannot be written: {error.strerror}") from None
        with open(fd, "wb") as file:
            yield file
            os.fchmod(fd, 0o666 & ~mask)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
