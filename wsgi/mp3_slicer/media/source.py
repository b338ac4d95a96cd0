"""A source: an MP3 file in the media folder, opened once for everything that is read of it."""

import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from mp3_slicer.errors import SlicerError
from mp3_slicer.mp3 import FileReader, Reader, SourceChangedError

if TYPE_CHECKING:
    from mp3_slicer.mp3 import Span

if sys.platform == "darwin":  # pragma: no cover
    import fcntl

#: Errors by which a path names no file that may be served. After all others that is unknown.
_MISSING = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ENXIO,
        errno.ENODEV,
    )
)
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class SourceMissingError(SlicerError):
    """The file does not exist, or must not be served: the two are never distinguished."""


class SourceUnavailableError(OSError):
    """It is unknown whether the file exists: the folder is away, the disk fails, or the process has too many files open."""

    is_repeat = False  #: whether its cause was logged before


class SourceArchivedError(SlicerError):
    """The object is in an archive, from which its owner must restore it before it can be read."""


class SourceTooLargeError(SlicerError):
    """The file is larger than the settings allow."""


class Identity(NamedTuple):
    """The identity of a source: any of these differs after it was replaced, rewritten, cut short or grown."""

    path: bytes  #: real path, no symbolic links; of an object its URL
    device: int  #: 0 for an object
    inode: int  #: 0 for an object
    size: int  #: bytes
    mtime_ns: int  #: time of last modification, in nanoseconds since 1970
    tag: str = ""  #: what a store calls this version of an object; empty for a file


class Visit(Reader, Protocol):
    """A reader that knows whether what it read is current."""

    def check_current(self) -> None:
        """Raise SourceChangedError unless what is under the path of the source still is this one, unchanged since it was opened."""


class Source(Visit, Protocol):
    """An open source: a file, or an object of a store. `with` closes it, and so does the loss of the last reference."""

    @property
    def identity(self) -> Identity:
        """Its identity."""

    def ahead(self, span: "Span") -> Visit:
        """A reader for the cut of a span."""

    def check(self) -> None:
        """Raise SourceChangedError if what is open is not what was opened."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class FileSource(FileReader):
    """An open file."""

    __slots__ = ("_asked", "_closed", "_ctime_ns", "identity")

    def __init__(self, fd: int, status: os.stat_result, asked: bytes = b"") -> None:
        """`asked` is the path under which it was opened, where that matters later."""
        super().__init__(fd)
        self._asked = asked
        self.identity = Identity(real_path(fd), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        #: Time of the last change of what the file is called and who may read it; no part of what it holds.
        self._ctime_ns = status.st_ctime_ns
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; twice is harmless."""
        if not self._closed:
            self._closed = True
            os.close(self.fd)

    def check(self) -> None:
        """Raise SourceChangedError if the open file was written to since it was opened.

        A file that was renamed over is not affected: the open one is still the old one, whole.
        """
        now = os.fstat(self.fd)
        if now.st_size != self.identity.size or now.st_mtime_ns != self.identity.mtime_ns:
            raise SourceChangedError("the file was changed while it was read")

    def check_current(self) -> None:
        """Raise SourceChangedError unless the file under the path still is this one, unchanged since it was opened."""
        try:
            now = os.stat(self._asked)
        except OSError:
            raise SourceChangedError("the file is gone") from None
        was = self.identity
        if (now.st_ino, now.st_size, now.st_mtime_ns, now.st_dev) != (was.inode, was.size, was.mtime_ns, was.device):
            raise SourceChangedError("the file was replaced")
        # Withdrawn by its mode, or by a folder on its way that now leads elsewhere.
        if now.st_ctime_ns != self._ctime_ns or real_path(self.fd) != was.path:
            raise SourceChangedError("the file was moved, or who may read it changed")


def open_source(root: bytes, path: bytes) -> FileSource:
    """Open the regular file `path` below the folder `root`, which must be a real path.

    The path that counts is the one the kernel opened, so a symbolic link may point anywhere within the folder and nowhere else,
    and no rename between check and use helps. Raises SourceMissingError for everything that is not such a file, and
    SourceUnavailableError where that cannot be said: a folder that is empty may wait for its disk to be mounted.
    """
    try:
        # Without O_NONBLOCK a pipe would wait here for a writer.
        asked = root + b"/" + path
        fd = os.open(asked, _FLAGS)
    except ValueError:
        raise SourceMissingError from None
    except OSError as error:
        if error.errno not in _MISSING:
            raise SourceUnavailableError(error.errno, f"the file cannot be opened: {error.strerror}") from error
        if not _holds_anything(root):
            raise SourceUnavailableError(error.errno, "the media folder is empty or cannot be read") from error
        raise SourceMissingError from None
    try:
        status = os.fstat(fd)
        source = FileSource(fd, status, asked)
    except BaseException:
        os.close(fd)
        raise
    if not stat.S_ISREG(status.st_mode) or not source.identity.path.startswith(root.rstrip(b"/") + b"/"):
        source.close()
        raise SourceMissingError
    return source


def _holds_anything(folder: bytes) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def open_file(path: str, opener: Callable[[str, int], int] = os.open) -> FileSource:
    """Open any regular file by its path, for the command line. Raises OSError, or SourceMissingError if it is no regular file."""
    fd = opener(path, _FLAGS)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise SourceMissingError
    return FileSource(fd, status)


def real_path(fd: int) -> bytes:
    """The path of an open file as the kernel has it, symbolic links resolved."""
    if sys.platform == "darwin":  # pragma: no cover
        return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")
    return os.readlink(b"/proc/self/fd/%d" % fd)
