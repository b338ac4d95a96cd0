"""The file of keys: one key a line, its name and its secret in hexadecimal. The secret is never part of a message."""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mp3_slicer.errors import SlicerError

#: Bytes of a secret: at least as many as SHA-256 gives (RFC 2104 section 3), and one block at most.
LEAST_BYTES, MOST_BYTES = 32, 64
#: Keys in a file: each rotation needs two.
MOST_KEYS = 16
_MAX_FILE = 16 << 10
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_SECRET = re.compile(rf"(?:[0-9A-Fa-f]{{2}}){{{LEAST_BYTES},{MOST_BYTES}}}", re.ASCII)
#: Permissions that the file must not have; the group, the service's own, may read it.
_FORBIDDEN = 0o037


class KeysError(SlicerError):
    """A file of keys that cannot be used; the message is one line that says why and what to do, and holds no secret."""


class Key(NamedTuple):
    """A key by its name, which is part of every URL that it signs."""

    name: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


class Keys:
    """The keys of a file, in its order. Immutable."""

    __slots__ = ("_by_name",)

    def __init__(self, keys: list[Key]) -> None:
        self._by_name = {key.name: key for key in keys}

    def get(self, name: str) -> Key | None:
        """The key of that name."""
        return self._by_name.get(name)

    @property
    def newest(self) -> Key:
        """The last key, the default for signing."""
        return list(self._by_name.values())[-1]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


def is_name(text: str) -> bool:
    """Return whether a key can be called so: 1 to 32 of A to Z, a to z, 0 to 9, _ and -."""
    return bool(_NAME.fullmatch(text))


def read_keys(path: str) -> Keys:
    """Read the keys in a file that only its owner and group can read.

    Raises KeysError: the file cannot be read, is open to others, or holds no key, a line that is none, or a name twice.
    """
    try:
        # Opening a pipe would block.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeysError(f"the key file {path} cannot be read: {error.strerror}") from None
    return _read(path, fd)


def _read(path: str, fd: int) -> Keys:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise KeysError(f"the key file {path} is not a regular file")
    with os.fdopen(fd, "rb") as file:
        if status.st_mode & _FORBIDDEN:
            mode = stat.filemode(status.st_mode)
            raise KeysError(f"the key file {path} is {mode}, open to others than the service: chmod 600 or 640")
        data = file.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise KeysError(f"the key file {path} is larger than {_MAX_FILE} bytes")
    keys = _parse(path, data)
    if not keys:
        raise KeysError(f"the key file {path} holds no key: make one with slicer sign --new-key NAME --key-file {path}")
    return Keys(keys)


def _parse(path: str, data: bytes) -> list[Key]:
    keys: list[Key] = []
    # Bytes that are no ASCII are in no key, and a message names the line only: it may be a secret with a slip in it.
    for number, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not _NAME.fullmatch(words[0]) or not _SECRET.fullmatch(words[1]):
            raise KeysError(
                f"the key file {path}: line {number} is not a name and {2 * LEAST_BYTES} to {2 * MOST_BYTES} hexadecimal digits"
            )
        if any(key.name == words[0] for key in keys):
            raise KeysError(f"the key file {path}: line {number} has the name {words[0]} a second time")
        keys.append(Key(words[0], bytes.fromhex(words[1])))
    if len(keys) > MOST_KEYS:
        raise KeysError(
            f"the key file {path} holds more than {MOST_KEYS} keys: remove those that nothing is signed with"
        )
    return keys


def add_key(path: str, name: str, opener: Callable[[str, int, int], int] = os.open) -> None:
    """Add a new key to a file, which is made for its owner alone where it is missing. Raises KeysError."""
    if not is_name(name):
        raise KeysError(f"{name[:40]!r} is no name of a key: 1 to 32 of A to Z, a to z, 0 to 9, _ and -")
    try:
        fd = opener(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise KeysError(f"the key file {path} cannot be written: {error.strerror}") from None
    with os.fdopen(fd, "ab") as file:
        # Two at once would both find the name free.
        fcntl.flock(fd, fcntl.LOCK_EX)
        size = os.fstat(fd).st_size
        if size:
            # The open file, not whatever has its path by now.
            known = _read(path, os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            if known.get(name):
                raise KeysError(f"the key file {path} has a key {name} already")
            if len(known) >= MOST_KEYS:
                raise KeysError(f"the key file {path} holds {MOST_KEYS} keys, and more are not allowed")
        end = b"" if not size or os.pread(fd, 1, size - 1) == b"\n" else b"\n"
        file.write(end + f"{name} {secrets.token_hex(LEAST_BYTES)}\n".encode())
