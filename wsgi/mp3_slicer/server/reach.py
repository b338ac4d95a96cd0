"""Access of another user to a path, checked by the kernel as that user: modes, ACLs and read-only mounts all count."""

import grp
import os
import pwd
import subprocess
import sys
from typing import Any

from mp3_slicer.errors import SlicerError


class RunUserError(SlicerError):
    """The user that the server runs as does not exist; the message says how to create it."""


def run_user(name: str) -> str | None:
    """Return the user that Apache must run as: `name` when root starts it, else None (the caller). Raises RunUserError."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(name)
        grp.getgrnam(name)
    except KeyError:
        raise RunUserError(
            f"there is no user and group {name}: create both with: adduser --system --group {name}"
        ) from None
    return name


def obstacle(path: str, user: str | None, mode: str = "r") -> str | None:
    """The first part of `path` that keeps `user` (None: the caller) from it, or None when nothing does.

    `mode` holds the letters r, w and x wanted of the path itself; every folder above it must let the user through.
    """
    # The path as given and as resolved: a symbolic link is reached through its own folders, and then its target's.
    for whole in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
        parents: list[str] = []
        parent = os.path.dirname(whole)
        while parent not in parents:
            parents.insert(0, parent)
            parent = os.path.dirname(parent)
        for folder in parents:
            if not _allowed(folder, "x", user):
                return folder
        if not _allowed(whole, mode, user):
            return whole
    return None


def _allowed(path: str, mode: str, user: str | None) -> bool:
    """Return whether `user` may do all of `mode` with `path`, whose parents they can pass."""
    if user is None:
        return os.access(path, sum({"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}[letter] for letter in mode))
    account = pwd.getpwnam(user)
    identity: dict[str, Any] = {
        "user": account.pw_uid,
        "group": account.pw_gid,
        "extra_groups": os.getgrouplist(user, account.pw_gid),
    }
    script = "".join(f'test -{letter} "$1" && ' for letter in mode) + ":"
    done = subprocess.run(["/bin/sh", "-c", script, "sh", path], cwd="/", timeout=10, check=False, **identity)
    return done.returncode == 0


def interpreter_parts() -> list[str]:
    """The paths that the run user must read to run this interpreter: the environment, its Python, the standard library."""
    return list(dict.fromkeys([sys.prefix, os.path.realpath(sys.executable), os.path.dirname(os.__file__)]))
