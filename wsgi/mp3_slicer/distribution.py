"""The distribution that this code came in: its name, its extras as pip takes them, its version and its commit.

Its name is not that of the command: on PyPI, `slicer` belongs to another project.
"""

import os
import sys

from mp3_slicer import __version__

NAME = "mp3-slicer"
#: The commit that a wheel was built from, as hatch_build.py writes it; a checkout has no such file.
COMMIT = "commit.json"


def with_extras(*extras: str) -> str:
    """Return the requirement that adds `extras`, like `mp3-slicer[jobs,renders]`."""
    return f"{NAME}[{','.join(extras)}]"


def pip_install(*extras: str) -> str:
    """Return the shell command that adds `extras` to a Python environment."""
    return f"pip install '{with_extras(*extras)}'"


_FOLDER = os.path.dirname(os.path.abspath(__file__))
#: The roles of Ansible install each release as a folder in one of this name.
_RELEASES = "releases"


def commit(folder: str = _FOLDER) -> str:
    """Return the first 12 digits of the commit that `folder` names; empty for a checkout."""
    import json

    try:
        with open(os.path.join(folder, COMMIT), encoding="utf-8") as file:
            return str(json.load(file)["commit"][:12])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def release(prefix: str = sys.prefix) -> str:
    """Return the name of the release that the roles installed at `prefix`, like `1.0.0-1a2b3c4d`; empty for another environment.

    `prefix` may be a link, which leads to the next release later: a process asks when it starts.
    """
    folder = os.path.realpath(prefix)
    return os.path.basename(folder) if os.path.basename(os.path.dirname(folder)) == _RELEASES else ""


def version(folder: str = _FOLDER) -> str:
    """Return the version, and the commit where `folder` says it: `1.0.0 (commit 1a2b3c4d5e6f of 2026-11-28)`."""
    # No server needs it to start.
    import json

    try:
        with open(os.path.join(folder, COMMIT), encoding="utf-8") as file:
            commit = json.load(file)
        changed = ", changed since" if commit["changed"] else ""
        return f"{__version__} (commit {commit['commit'][:12]} of {commit['date']}{changed})"
    except (OSError, ValueError, LookupError, TypeError):
        return __version__
