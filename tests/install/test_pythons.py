"""The wheel in an empty environment, as pip installs it: `slicer cut` and `slicer serve` on each Python that this machine has."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import streams
from support.server import Server, folder

#: Compiling mod_wsgi takes most of the time.
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
#: Those of `requires-python` and the classifiers.
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
#: A python3-config of pyenv in PATH would describe another Python.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def interpreter(version: str, place: str) -> str | None:
    """A Python of this version that Apache's run user can reach: the system's, or one of pyenv, linked into `place`."""
    if found := shutil.which(f"python{version}", path=PATH):
        return found
    for home in sorted(Path.home().glob(f".pyenv/versions/{version}.*")):
        # Root's home is closed to others. Links where that is possible: it is hundreds of megabytes.
        subprocess.run(f"cp -al '{home}' '{place}' 2>/dev/null || cp -a '{home}' '{place}'", shell=True, check=True)
        return os.path.join(place, "bin", f"python{version}")
    return None


@pytest.fixture(scope="module")
def wheel() -> str:
    """The wheel of this checkout."""
    command = ["scripts/bootstrap", "dist", sys.prefix]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return str(ROOT / done.stdout.strip())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_cuts_and_serves(version: str, wheel: str, tmp_path: Path):
    work = folder()
    python = interpreter(version, os.path.join(work, "python"))
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    # The versions that the lock has; what this machine built is not looked at.
    versions = re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / "requirements" / "serve.txt").read_text(), re.MULTILINE)
    (tmp_path / "constraints").write_text("\n".join(versions))
    environ = {**os.environ, "PATH": PATH, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    for name in ("PYTHONPATH", "PIP_CONSTRAINT"):
        environ.pop(name, None)
    home = os.path.join(work, "venv")
    inside = os.path.join(home, "bin", "python")
    for command in (
        [python, "-m", "venv", home],
        [inside, "-m", "pip", "install", "-q", "--constraint", str(tmp_path / "constraints"), f"{wheel}[apache]"],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    media = folder()
    show, clip = os.path.join(media, "show.mp3"), str(tmp_path / "clip.mp3")
    shutil.copy(streams.make("mpeg1-44-stereo-cbr128", str(tmp_path)), show)
    os.chmod(show, 0o644)
    slicer = [os.path.join(home, "bin", "slicer")]
    said = subprocess.run([*slicer, "--version"], env=environ, capture_output=True, text=True, check=True).stdout
    assert re.match(r"slicer \d+\.\d+\.\d+( \(commit .*\))?$", said), said
    subprocess.run([*slicer, "cut", show, "--t", "20,30", "-o", clip], env=environ, check=True, timeout=120)
    # -I: nothing of the checkout, nor of the test's own environment.
    server = Server(media, "--cpus", "1", environ=environ, slicer=("-I", "-m", "mp3_slicer"), python=inside)
    try:
        code, headers, body = server.get("/clips/show.mp3?t=20,30")
        assert (code, headers["content-type"]) == (200, "audio/mpeg")
        assert body == Path(clip).read_bytes()
        assert f"Python/{version}" in server.log()
    finally:
        assert server.stop() == 0
    assert len(streams.decode_ffmpeg(clip)) == 10 * 44100 * 2
