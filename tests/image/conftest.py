"""Fixtures: the image of this checkout in each engine, and media for its containers."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image.engine import ROOT, Engine, lacking, podman
from support import streams


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The image of this checkout, built by `make image` in Docker."""
    with _docker() as engine:
        yield engine.build()


@pytest.fixture(scope="session", params=["docker", "podman"])
def built(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, str]]:
    """An engine, and the image of this checkout that was built in it."""
    if request.param == "docker":
        yield Engine("docker"), request.getfixturevalue("image")
    else:
        with _podman() as engine:
            yield engine, engine.build()


@contextmanager
def _docker() -> Iterator[Engine]:
    if missing := lacking("docker"):
        pytest.skip(f"there is no {missing}")
    engine = [str(ROOT / "scripts" / "host-image")]
    started = subprocess.run([*engine, "engine"], capture_output=True, text=True, timeout=120, check=False)
    if started.returncode:
        pytest.skip(started.stderr.strip().splitlines()[-1])
    try:
        yield Engine("docker")
    finally:
        if "started" in started.stdout.split():
            subprocess.run([*engine, "stop"], timeout=120, check=False)


@contextmanager
def _podman() -> Iterator[Engine]:
    if missing := lacking("podman", "buildah", "runc"):
        pytest.skip(f"there is no {missing}")
    if os.geteuid():
        pytest.skip("Podman makes its base from Debian's packages as root")
    # Not below /tmp, which may be memory.
    with tempfile.TemporaryDirectory(prefix="slicer-podman-", dir="/var/tmp") as folder:
        engine = podman(Path(folder))
        try:
            yield engine
        finally:
            engine.run("rm", "--all", "--force", check=False)
            engine.run("rmi", "--all", "--force", seconds=300, check=False)
            # What a build that was ended left mounted goes with it.
            Engine("buildah", engine.environ).run("rm", "--all", check=False)


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
