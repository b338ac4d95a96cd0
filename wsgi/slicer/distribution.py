"""The distribution that this code came in: its name, its extras as pip takes them, its version and its commit.

Its name is not that of the command: on PyPI, `slicer` belongs to another project.
"""

import os

from slicer import __version__

NAME = "mp3-slicer"
#: The commit that a wheel was built from, as hatch_build.py writes it; a checkout has no such file.
COMMIT = "commit.json"


def with_extras(*extras: str) -> str:
    """Return the requirement that adds `extras`, like `mp3-slicer[jobs,renders]`."""
    return f"{NAME}[{','.join(extras)}]"


def pip_install(*extras: str) -> str:
    """Return the shell command that adds `extras` to a Python environment."""
    return f"pip install '{with_extras(*extras)}'"


def version(folder: str = os.path.dirname(os.path.abspath(__file__))) -> str:
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
