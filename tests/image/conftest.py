"""Fixtures: the image of this checkout, and media for its containers."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import streams

ROOT = Path(__file__).parents[2]
#: Building it takes minutes where nothing of it is there yet.
BUILD_SECONDS = 1400


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The image of this checkout, built by `make image`."""
    if not shutil.which("docker"):
        pytest.skip("there is no docker")
    engine = [str(ROOT / "scripts" / "host-image")]
    started = subprocess.run([*engine, "engine"], capture_output=True, text=True, timeout=120, check=False)
    if started.returncode:
        pytest.skip(started.stderr.strip().splitlines()[-1])
    try:
        done = subprocess.run(
            [ROOT / "scripts" / "image"], capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        yield done.stdout.strip()
    finally:
        if "started" in started.stdout.split():
            subprocess.run([*engine, "stop"], timeout=120, check=False)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a minute, and with a file that takes a while to send."""
    folder = tmp_path_factory.mktemp("media")
    folder.chmod(0o755)
    shutil.copy(streams.make("mpeg1-44-stereo-cbr128", str(folder)), folder / "show.mp3")
    data = (folder / "show.mp3").read_bytes()
    body = data[streams.frames(data)[1] :]
    with open(folder / "long.mp3", "wb") as file:
        file.writelines(body for _ in range(48))
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder
