"""Root at work in folders of the service's account, which has planted links there: nothing outside changes, and no file is read as root."""

import os
import pathlib
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mp3_slicer.server import preflight
from mp3_slicer.server.express import RUN_USER
from mp3_slicer.server.preflight import PreflightError
from support import streams
from support.jobs import Broker
from support.server import children_of, descendants, folder, serving, status, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has what these links would give away")
SLICER = [sys.executable, "-m", "mp3_slicer"]


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


# ------------------------------------------------------------------------------------------ one file: cut, info, sign


def command(ground: Ground, *words: str, cwd: str | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*SLICER, *words], env=ground.environ, capture_output=True, timeout=120, check=False, cwd=cwd, umask=0o022
    )


@pytest.fixture
def source(ground: Ground) -> str:
    """A source that everybody can read."""
    (name,) = (each for each in os.listdir(ground.media) if each.endswith(".mp3"))
    return os.path.join(ground.media, name)


@pytest.mark.parametrize("what", ["cut", "cut to standard output", "info"])
def test_one_file_is_read_by_a_process_of_the_run_user(ground: Ground, source: str, what: str) -> None:
    """A pipe as standard output stands still until it is read, and meanwhile the process that writes to it is looked at."""
    long = os.path.join(ground.media, "long.mp3")
    data = pathlib.Path(source).read_bytes()
    with open(long, "wb") as file:
        file.writelines(data for _ in range(200))
    pipe = os.path.join(ground.place, "pipe")
    os.mkfifo(pipe)
    words = {
        "cut": ["cut", long, "--t", "0,300", "-o", pipe],
        "cut to standard output": ["cut", long, "--t", "0,300", "-o", "-"],
        "info": ["info", long],
    }[what]
    wanted = str(pwd.getpwnam(RUN_USER).pw_uid)
    with subprocess.Popen([*SLICER, *words], env=ground.environ, stdout=subprocess.PIPE) as process:
        assert process.stdout
        if what == "info":
            uids = set()
            while process.poll() is None:
                uids |= {fields["Uid"] for pid in children_of(process.pid) if (fields := status(pid))}
            # Between fork and change it is root's for a moment.
            assert any(set(each.split()) == {wanted} for each in uids)
            return
        with open(pipe, "rb") if what == "cut" else process.stdout as reader:
            assert reader.read(1)
            (child,) = children_of(process.pid)
            for name in ("Uid", "Gid"):
                assert set(status(child)[name].split()) == {wanted}
            assert "0" not in status(child)["Groups"].split()
            reader.read()
        assert process.wait(60) == 0


def test_what_root_alone_can_read_and_write_is_still_cut(ground: Ground, source: str) -> None:
    own = os.path.join(ground.treasure, "own")
    os.mkdir(own, 0o700)
    try:
        shutil.copy(source, os.path.join(own, "a.mp3"))
        os.chmod(os.path.join(own, "a.mp3"), 0o600)
        for clip in ("clip.mp3", os.path.join(own, "clip.mp3")):
            done = command(ground, "cut", "a.mp3", "--t", "0,1", "-o", clip, cwd=own)
            assert (done.returncode, done.stderr) == (0, b"")
            made = os.stat(os.path.join(own, "clip.mp3"))
            assert (made.st_uid, made.st_mode & 0o777) == (0, 0o644)
            os.unlink(os.path.join(own, "clip.mp3"))
        assert command(ground, "info", "a.mp3", cwd=own).returncode == 0
        # A link of root's own is followed.
        os.symlink("a.mp3", os.path.join(own, "link.mp3"))
        assert command(ground, "info", "link.mp3", cwd=own).returncode == 0
        assert command(ground, "cut", "a.mp3", "--t", "0,1", "-o", "/dev/null", cwd=own).returncode == 0
        assert len(command(ground, "cut", "a.mp3", "--t", "0,1", "-o", "/dev/stdout", cwd=own).stdout) > 1000
        assert sorted(os.listdir(own)) == ["a.mp3", "link.mp3"]
    finally:
        shutil.rmtree(own)


@pytest.mark.parametrize("link", ["file", "folder"])
def test_links_to_a_source_of_roots_own_are_not_followed(ground: Ground, source: str, link: str) -> None:
    """What only root may read is told to nobody who planted a link to it, nor to who reads the clip."""
    shutil.copy(source, os.path.join(ground.treasure, "a.mp3"))
    os.chmod(os.path.join(ground.treasure, "a.mp3"), 0o600)
    try:
        target = os.path.join(ground.treasure, "a.mp3") if link == "file" else ground.treasure
        ground.plant("way", target)
        path = os.path.join(ground.own, "way", *([] if link == "file" else ["a.mp3"]))
        for words in (["info", path], ["cut", path, "--t", "0,1", "-o", os.path.join(ground.place, "clip.mp3")]):
            done = command(ground, *words)
            assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        assert not os.path.exists(os.path.join(ground.place, "clip.mp3"))
    finally:
        os.unlink(os.path.join(ground.treasure, "a.mp3"))


def test_links_to_what_the_run_user_reads_are_followed(ground: Ground, source: str) -> None:
    ground.plant("show.mp3", source)
    assert command(ground, "info", os.path.join(ground.own, "show.mp3")).returncode == 0


@pytest.mark.parametrize("last", ["clip.mp3", "deeper/clip.mp3"])
def test_a_clip_is_not_put_where_a_link_of_others_leads(ground: Ground, source: str, last: str) -> None:
    os.makedirs(os.path.join(ground.treasure, "deeper"))
    try:
        ground.plant("way", ground.treasure)
        done = command(ground, "cut", source, "--t", "0,1", "-o", os.path.join(ground.own, "way", last))
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert os.listdir(os.path.join(ground.treasure, "deeper")) == []
    finally:
        os.rmdir(os.path.join(ground.treasure, "deeper"))


def test_a_link_in_the_place_of_the_clip_is_replaced(ground: Ground, source: str) -> None:
    ground.plant("clip.mp3", os.path.join(ground.treasure, "shadow"))
    clip = os.path.join(ground.own, "clip.mp3")
    assert command(ground, "cut", source, "--t", "0,1", "-o", clip).returncode == 0
    assert not os.path.islink(clip)
    assert pathlib.Path(ground.treasure, "shadow").read_text(encoding="ascii") == "root's"


def test_a_clip_that_cannot_be_cut_leaves_nothing(ground: Ground) -> None:
    path = os.path.join(ground.media, "no.mp3")
    pathlib.Path(path).write_bytes(b"no audio" * 1000)
    done = command(ground, "cut", path, "--t", "0,1", "-o", os.path.join(ground.own, "clip.mp3"))
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert done.stderr.startswith(b"slicer: ")
    assert os.listdir(ground.own) == []


@pytest.mark.parametrize("kind", ["file", "missing", "folder"])
def test_a_key_is_not_put_where_a_link_of_others_leads(ground: Ground, kind: str) -> None:
    shadow = pathlib.Path(ground.treasure, "shadow")
    os.chmod(shadow, 0o600)
    shadow.write_text("", encoding="ascii")
    try:
        targets = {"file": str(shadow), "missing": os.path.join(ground.treasure, "new"), "folder": ground.treasure}
        ground.plant("keys", targets[kind])
        path = os.path.join(ground.own, "keys", *(["shadow"] if kind == "folder" else []))
        done = command(ground, "sign", "--new-key", "one", "--key-file", path)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert shadow.read_text(encoding="ascii") == ""
    finally:
        shadow.write_text("root's", encoding="ascii")


def test_keys_of_roots_own_are_made(ground: Ground) -> None:
    os.symlink("own", os.path.join(ground.place, "disk"))
    path = os.path.join(ground.place, "disk", "keys")
    for name in ("one", "two"):
        done = command(ground, "sign", "--new-key", name, "--key-file", path)
        assert (done.returncode, done.stderr) == (0, b"")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert len(pathlib.Path(path).read_text(encoding="ascii").splitlines()) == 2
