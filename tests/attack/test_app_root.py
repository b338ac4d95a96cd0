"""Root at work in folders of the service's account, which has planted links there: nothing outside changes, and no file is read as root."""

import os
import pathlib
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from slicer.server import preflight
from slicer.server.express import RUN_USER
from slicer.server.preflight import PreflightError
from support import streams
from support.jobs import Broker, broker_of
from support.server import children_of, descendants, folder, serving, status, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has what these links would give away")
SLICER = [sys.executable, "-m", "slicer"]


class Ground:
    """A media folder, folders of the service, and a folder of root's that no command may touch."""

    def __init__(self) -> None:
        self.place = folder()
        self.media = os.path.join(self.place, "media")
        os.mkdir(self.media)
        streams.make("mpeg1-44-stereo-cbr128", self.media, seconds=2)
        self.own = os.path.join(self.place, "own")
        os.mkdir(self.own)
        self.give(self.own)
        self.treasure = os.path.join(self.place, "treasure")
        os.mkdir(self.treasure, 0o755)
        pathlib.Path(self.treasure, "shadow").write_text("root's", encoding="ascii")

    def give(self, path: str) -> None:
        account = pwd.getpwnam(RUN_USER)
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    def plant(self, name: str, target: str) -> None:
        """A link of the service's account at own/NAME."""
        path = os.path.join(self.own, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        above = os.path.dirname(path)
        while above != self.own:
            self.give(above)
            above = os.path.dirname(above)
        os.symlink(target, path)
        self.give(path)

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SLICER_")}
        return clean | {
            f"SLICER_{name}_DIR": os.path.join(self.own, name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")
        }

    def check(self) -> None:
        """Nothing of root's was given away, and nothing was made beside it."""
        assert os.listdir(self.treasure) == ["shadow"]
        for path in (self.treasure, os.path.join(self.treasure, "shadow")):
            assert os.stat(path).st_uid == 0


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    yield made
    made.check()
    shutil.rmtree(made.place)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with broker_of() as running:
        yield running


def index(ground: Ground) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SLICER, "index", ground.media, "--jobs", "1"],
        env=ground.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_index_folder_whose_locks_lead_elsewhere(ground: Ground) -> None:
    ground.plant("index/locks", ground.treasure)
    index(ground)
    ground.check()
    assert all(
        os.lstat(os.path.join(ground.own, "index", name)).st_uid != 0
        for name in os.listdir(os.path.join(ground.own, "index"))
    )


def test_locks_that_would_make_files_elsewhere(ground: Ground) -> None:
    for number in range(64):
        ground.plant(f"index/locks/{number:02d}", os.path.join(ground.treasure, f"{number:02d}"))
    # Without a lock each process indexes by itself.
    assert index(ground).returncode == 0


def test_an_index_folder_that_would_be_made_elsewhere(ground: Ground) -> None:
    ground.plant("index", os.path.join(ground.treasure, "index"))
    done = index(ground)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done


def test_files_are_not_read_as_root(ground: Ground) -> None:
    (name,) = (each for each in os.listdir(ground.media) if each.endswith(".mp3"))
    os.chmod(os.path.join(ground.media, name), 0o600)
    done = index(ground)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    os.chmod(os.path.join(ground.media, name), 0o644)
    assert index(ground).returncode == 0


def test_a_worker_keeps_nothing_of_root(ground: Ground, broker: Broker) -> None:
    environ = ground.environ | {"SLICER_JOBS_BROKER": broker.url, "SLICER_JOBS_NAME": "rootless"}
    with subprocess.Popen(
        [*SLICER, "worker", ground.media, "--short", "1", "--long", "1"], env=environ, stdin=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: len(descendants(process.pid)) >= 5, 60, "its workers are there")
            wanted = str(pwd.getpwnam(RUN_USER).pw_uid)
            for pid in descendants(process.pid):
                found = status(pid)
                assert not found or set(found["Uid"].split()) == set(found["Gid"].split()) == {wanted}, found["Name"]
        finally:
            process.terminate()
            process.wait(60)


def test_a_server_leaves_root_to_apache(ground: Ground) -> None:
    ground.plant("index/locks", ground.treasure)
    environ = {name: value for name, value in ground.environ.items() if name.startswith("SLICER_")}
    with serving(ground.media, environ=environ) as server:
        (apache,) = children_of(server.pid)
        for pid in descendants(apache)[1:]:
            found = status(pid)
            assert not found or "0" not in found["Uid"].split(), found["Name"]


@pytest.mark.parametrize("last", ["new", "new/deeper"])
def test_a_missing_folder_behind_a_link_of_others_is_not_made(ground: Ground, last: str) -> None:
    ground.plant("way", ground.treasure)
    with pytest.raises(PreflightError, match="cannot be made"):
        preflight.own_folder("index folder", os.path.join(ground.own, "way", last), "SLICER_INDEX_DIR", RUN_USER)


def test_a_missing_folder_is_made_where_root_leads(ground: Ground) -> None:
    """A link of root's own is the operator's way of naming a disk, and folders of the service may hold others."""
    os.symlink("own", os.path.join(ground.place, "disk"))
    path = os.path.join(ground.place, "disk", "some", "index")
    preflight.own_folder("index folder", path, "SLICER_INDEX_DIR", RUN_USER)
    account = pwd.getpwnam(RUN_USER)
    assert os.stat(path).st_uid == account.pw_uid
    assert os.stat(os.path.dirname(path)).st_uid == 0
