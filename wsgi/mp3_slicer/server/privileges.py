"""Root's privileges: dropped for good before untrusted bytes are read. Folders are made without following other users' links.

Root follows no path that another user can change. A folder is reached from / by descriptors, one name at a time, and a symbolic link is
followed only where root alone can write the folder that it lies in.
"""

import errno
import os
import pwd
import stat
from collections.abc import Callable

_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Symbolic links on one way, as in the kernel (path_resolution(7)).
_MAX_LINKS = 40


def numbers_of(user: str) -> tuple[int, int]:
    """The numbers of a user and of its group. Raises LookupError where there is no such user."""
    account = pwd.getpwnam(user)
    return account.pw_uid, account.pw_gid


def become(user: str | None) -> None:
    """Run as `user` and its groups from now on, in /; None changes nothing. Root alone can, and cannot go back.

    Raises LookupError where there is no such user, PermissionError where the caller is not root.
    """
    if user is None:
        return
    account = pwd.getpwnam(user)
    os.initgroups(user, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    # Its own folder may be one that the user cannot enter.
    os.chdir("/")


def open_as_root(path: str, flags: int, mode: int = 0o600) -> int:
    """Open a file or folder by a path that other users may have planted links on, from the current folder where it is relative.

    Raises OSError: ELOOP where a link that others can change is on the way.
    """

    def step(folder: int, name: str, last: bool) -> int:
        if last:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        return os.open(name, _WALK, dir_fd=folder)

    return _walk(os.path.join(os.getcwd(), path), step)


def make_folder(path: str, user: str | None) -> None:
    """Make the folder at the absolute `path`, open to `user` (None: the caller) and its group, and those missing above it, open to all.

    An existing folder stays unchanged. Raises OSError: ELOOP where a link that others can change is on the way.
    """
    if user is None:
        # Parents are open to all, whatever the umask: others' caches may live beside ours.
        previous = os.umask(0o022)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if not os.path.isdir(path):
                os.mkdir(path, 0o750)
        finally:
            os.umask(previous)
        return
    account = pwd.getpwnam(user)
    os.close(_walk(path, lambda folder, name, last: _enter(folder, name, account if last else None)))


def _walk(path: str, step: Callable[[int, str, bool], int]) -> int:
    """Walk an absolute path by descriptors, and return that of its end.

    `step(folder, name, last)` opens a name that is no link in an open folder. Raises what it raises, and OSError: ELOOP where a link that
    others can change is on the way.
    """
    names = _names(path)
    links = 0
    folder = os.open("/", _WALK)
    while names:
        try:
            name = names.pop()
            try:
                target = os.readlink(name, dir_fd=folder)
            except OSError:
                entered = step(folder, name, not names)
            else:
                links += 1
                if links > _MAX_LINKS or not _is_roots(folder):
                    raise OSError(errno.ELOOP, "a link that others can change is on the way", path)
                names += _names(target)
                entered = os.open("/" if target.startswith("/") else ".", _WALK, dir_fd=folder)
        finally:
            os.close(folder)
        folder = entered
    return folder


def _names(path: str) -> list[str]:
    """The names in a path, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]


def _enter(folder: int, name: str, owner: pwd.struct_passwd | None) -> int:
    """Open the folder `name` in `folder`. One that is missing is made, for `owner` where one is given."""
    made = False
    try:
        os.mkdir(name, 0o750 if owner else 0o755, dir_fd=folder)
        made = True
    except FileExistsError:
        pass
    entered = os.open(name, _WALK, dir_fd=folder)
    # A user that can write `folder` may have replaced it: only an empty folder of root's is the one just made.
    if made and os.fstat(entered).st_uid == os.geteuid() and not os.listdir(entered):
        os.fchmod(entered, 0o750 if owner else 0o755)
        if owner is not None:
            os.fchown(entered, owner.pw_uid, owner.pw_gid)
    return entered


def _is_roots(folder: int) -> bool:
    """Return whether root alone can change the entries of an open folder."""
    status = os.fstat(folder)
    return status.st_uid == 0 and not stat.S_IMODE(status.st_mode) & 0o022
