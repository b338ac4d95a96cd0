"""The server root: a fresh private folder for one run, with a copy of everything Apache reads, removed afterwards.

Copies, because then nothing depends on where Slicer is installed: mod_wsgi-express writes some paths into a shell script
and a configuration without quotes, and the run user may not reach a checkout.
"""

import os
import pwd
import re
import shutil
import tempfile
from collections.abc import Mapping

from mp3_slicer.server.files import Files

# sun_path holds 108 bytes with its end (unix(7)); mod_wsgi appends "/wsgi.<pid>.<generation>.<number>.sock".
LONGEST = 108 - 1 - len("/wsgi.4194304.999.99.sock") - len("/slicer-12345678")

#: The file in a server root that every daemon with the application loaded keeps open.
LOADED = "loaded"
#: The folder of the daemons' counts in a server root.
COUNTS = "counts"

# Characters that are safe unquoted in express's apachectl and httpd.conf.
_PLAIN = re.compile(r"/[A-Za-z0-9._/+@:-]*")


def candidates(environ: Mapping[str, str]) -> list[str]:
    """Folders in which a server root may be made, best first."""
    if os.geteuid() == 0:
        return ["/run", "/tmp"]  # noqa: S108 - mkdtemp makes the folder private
    return [path for name in ("XDG_RUNTIME_DIR", "TMPDIR") if (path := environ.get(name))] + ["/tmp"]  # noqa: S108


def make(folders: list[str]) -> str:
    """Make an empty server root in the first of `folders` that is plain, short and writable; return its path.

    Only the owner may list it; others may pass through it, as Apache's run user must. Raises OSError when none will do.
    """
    for folder in folders:
        path = os.path.realpath(folder)
        if not _PLAIN.fullmatch(path) or len(path) > LONGEST or not os.access(path, os.W_OK | os.X_OK):
            continue
        root = tempfile.mkdtemp(prefix="slicer-", dir=path)
        os.chmod(root, 0o711)  # noqa: S103 - pass through, not list
        return root
    raise OSError(f"none of {', '.join(folders)} can hold the server root: name a short, writable folder in TMPDIR")


def fill(root: str, files: Files, defines: Mapping[str, str]) -> None:
    """Copy the Apache files and the entry point into `root`, readable by all, and write sizes.conf from `defines`."""
    errors = os.path.join(root, "errors")
    os.mkdir(errors)
    os.chmod(errors, 0o755)  # noqa: S103 - nothing secret, and independent of the umask
    for name in sorted(os.listdir(os.path.join(files.apache, "errors"))):
        _copy(os.path.join(files.apache, "errors", name), os.path.join(errors, name))
    for name in ("slicer.conf", "rewrite.conf", "envvars"):
        _copy(os.path.join(files.apache, name), os.path.join(root, name))
    _copy(files.entry_point, os.path.join(root, "slicer.wsgi"))
    # Empty; the entry point opens it when it has loaded the application.
    loaded = os.path.join(root, LOADED)
    os.close(os.open(loaded, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644))
    os.chmod(loaded, 0o644)
    with open(os.path.join(root, "sizes.conf"), "w", encoding="ascii") as sizes:
        sizes.writelines(f"Define {name} {value}\n" for name, value in defines.items())


def own_counts(root: str, user: str | None) -> None:
    """Make the private folder of the daemons' counts in `root`; they run as `user` (None: the caller)."""
    path = os.path.join(root, COUNTS)
    os.mkdir(path, 0o700)
    os.chmod(path, 0o700)
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def remove(root: str) -> None:
    """Remove a server root and everything in it, if it is still there."""
    shutil.rmtree(root, ignore_errors=True)


def _copy(source: str, target: str) -> None:
    """Copy a file's bytes and let everyone read the copy."""
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)
