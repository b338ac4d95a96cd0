"""Checks of folders and files that the start of a server and the doctor share. None changes anything."""

import os
import stat
import subprocess
from dataclasses import dataclass

from mp3_slicer.server import reach

#: Seconds that a program or a server may take.
WAIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check: whether it passed, the finding, and the advice if it failed (else empty)."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def output(*command: str) -> str:
    """Return the output of a program, stripped; empty if it is missing, fails to start or takes longer than 10 s."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=WAIT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def readable(name: str, path: str, user: str | None) -> Check:
    """Return whether `user` (None: the caller) can read `path`, and list it if it is a folder."""
    if not os.path.exists(path) and reach.obstacle(os.path.dirname(os.path.abspath(path)), None) is None:
        return Check(name, False, f"{path} does not exist", "name a folder that does")
    blocked = reach.obstacle(path, user, "rx" if os.path.isdir(path) else "r")
    if blocked is None:
        return Check(name, True, path)
    who = user or "this user"
    mode = stat.filemode(os.stat(blocked).st_mode) if os.path.exists(blocked) else "missing"
    return Check(
        name,
        False,
        f"{who} cannot read {path}: {blocked} is {mode}",
        f"move it to a folder that {who} can enter, such as one in /srv",
    )


def writable(name: str, path: str, user: str | None, variable: str) -> Check:
    """Return whether `user` (None: the caller) can write the folder `path`, or it will be made by `slicer serve`.

    `variable` is the setting that can name another one.
    """
    if not os.path.exists(path):
        parent = path
        while not os.path.exists(parent):
            parent = os.path.dirname(parent)
        # The user that starts the server makes it, and gives it to the run user.
        if os.access(parent, os.W_OK | os.X_OK):
            return Check(name, True, f"{path} will be made")
        return Check(name, False, f"{path} is missing and {parent} cannot be written", f"name another in {variable}")
    blocked = reach.obstacle(path, user, "rwx")
    if blocked is None:
        return Check(name, True, path)
    who = user or "this user"
    return Check(
        name,
        False,
        f"{who} cannot write {path}: {blocked} keeps them out",
        f"chown {who} {path}, or name another in {variable}",
    )
