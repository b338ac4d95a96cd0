"""The file of one result: 20 bytes with its length, a line of facts, and the bytes themselves.

It is written without a name where the file system allows that, synced, then named and renamed: it is whole or absent, and a process
that is killed leaves nothing behind. An open result can be read to its end, even if its file is removed meanwhile.
"""

import errno
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from mp3_slicer.render.content import pieces_of

#: The suffix of a file that is not whole yet.
TEMPORARY = ".tmp"
#: Bytes of the first line, at most.
MAX_LINE = 4096
_PIECE = 1 << 18

Facts = Mapping[str, str | int]


class Stored:
    """A result that was found, open. `with` closes it, and so does the loss of the last reference."""

    __slots__ = ("_closed", "_fd", "_offset", "facts", "length")

    def __init__(self, fd: int, offset: int, length: int, facts: dict[str, str | int]) -> None:
        self._fd = fd
        self._offset = offset
        self._closed = False
        self.length = length  #: bytes
        self.facts = facts  #: given when it was stored

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
            os.close(self._fd)

    def name(self, folder: str, key: str) -> str:
        """Give a file without a name a unique one in its folder, and return its path. Raises OSError."""
        path = os.path.join(folder, f"{key}.{secrets.token_hex(8)}{TEMPORARY}")
        # Naming a folder makes Python follow the link in /proc; it says nothing else, as the path is absolute.
        os.link(f"/proc/self/fd/{self._fd}", path, src_dir_fd=self._fd, follow_symlinks=True)
        return path

    def read(self) -> bytes:
        """All bytes of it."""
        return b"".join(self.pieces())

    def pieces(self, start: int = 0, stop: int | None = None, size: int = _PIECE) -> Iterator[bytes]:
        """The bytes start..stop-1, all of them by default, in pieces of at most `size`. Safe for several readers at a time."""
        return pieces_of(self._fd, self._offset, start, self.length if stop is None else stop, size)


def create(folder: str, key: str) -> tuple[int, str | None]:
    """Return a new open file, and its path: None if the file system supports files without a name. Raises OSError."""
    if sys.platform == "linux":
        try:
            return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), None
        except OSError as error:
            # Errors of file systems without such files: open(2).
            if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}:
                raise
    return tempfile.mkstemp(prefix=f"{key}.", suffix=TEMPORARY, dir=folder)


def write(fd: int, facts: Facts, pieces: Iterable[bytes], largest: int) -> int | None:
    """Fill a new file. Returns its length, or None where it would be larger than `largest` or the disk is full."""
    line = json.dumps(dict(facts), separators=(",", ":"), sort_keys=True).encode() + b"\n"
    if len(line) + 20 > MAX_LINE:
        raise ValueError("there is too much to say of this result")
    # The length is written last, in front, with enough digits for any.
    offset = 20 + len(line)
    for piece in pieces:
        if offset + len(piece) > largest:
            return None
        if not _written(fd, piece, offset):
            return None
        offset += len(piece)
    if not _written(fd, b"%019d\n" % (offset - 20 - len(line)) + line, 0):
        return None
    try:
        os.fchmod(fd, 0o644)
        os.fsync(fd)
    except OSError:
        return None
    return offset


def _written(fd: int, data: bytes, offset: int) -> bool:
    """Write all of `data` at an offset; False where the disk is full or broken."""
    view = memoryview(data)
    try:
        while view:
            done = os.pwrite(fd, view, offset)
            view, offset = view[done:], offset + done
    except OSError:
        return False
    return True


def parsed(head: bytes) -> tuple[int, int, dict[str, str | int]] | None:
    """Where the bytes of a result begin, their length and its facts, by the beginning of its file; None where that is of no result."""
    end = head[:MAX_LINE].find(b"\n", 20)
    if end < 0 or head[19:20] != b"\n" or not head[:19].isdigit():
        return None
    try:
        facts = json.loads(head[20:end])
    except (ValueError, RecursionError):
        return None
    return (end + 1, int(head[:19]), facts) if isinstance(facts, dict) else None


def opened(fd: int) -> Stored | None:
    """The result in an open file, or None where it is not a whole one."""
    found = parsed(os.pread(fd, MAX_LINE, 0))
    if found is None:
        return None
    begin, length, facts = found
    return Stored(fd, begin, length, facts) if os.fstat(fd).st_size == begin + length else None
