"""Files without an index, and media that stand still: they cost the requests for them, and no request for anything else."""

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mp3_slicer.media import aside as aside_module
from mp3_slicer.media import store as store_module
from mp3_slicer.media.aside import LOCAL, MOST_IN_FOLDER, Aside, StandstillError, mounts_of
from mp3_slicer.media.source import open_file
from mp3_slicer.media.store import IndexPendingError, IndexStore
from mp3_slicer.mp3 import Index, Reader
from support.server import Server, folder, serving, until

#: Within which a request is answered that has nothing to wait for, on a loaded machine.
QUICK_SECONDS = 6.0


# ------------------------------------------------------------------------------------------------ files without an index


@pytest.fixture
def slow_build(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Builds go on until this is set, and tell that they are half way."""
    end = threading.Event()
    real = store_module.build_index

    def build(reader: Reader, **options: object) -> Index:
        tell = options["told"]
        assert callable(tell)
        while not end.wait(0.05):
            tell(reader.size // 2)
        return real(reader, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "build_index", build)
    yield end
    end.set()


def new_store(place: Path) -> IndexStore:
    made = IndexStore(str(place / "index"), seconds=20)
    made.prepare()
    return made


def test_one_thread_builds_and_others_hear_how_far_it_is(cbr: str, tmp_path: Path, slow_build: threading.Event) -> None:
    store = new_store(tmp_path)
    other = new_store(tmp_path)
    pool = ThreadPoolExecutor(8)
    with open_file(cbr) as source:
        builder = pool.submit(store.get, source)
        until(lambda: store._cold._taken, 30, "it builds")
        # Longer than it takes until a note is written.
        time.sleep(0.4)
        began = time.monotonic()
        for asked in [pool.submit(store.get, source) for _ in range(4)]:
            with pytest.raises(IndexPendingError):
                asked.result()
        assert time.monotonic() - began < QUICK_SECONDS
        until(lambda: store._progress(store._path(source.identity)) == pytest.approx(0.5, abs=0.01), 30, "it tells")
        with pytest.raises(IndexPendingError) as caught:
            store.get(source)
        assert caught.value.progress == pytest.approx(0.5, abs=0.01)
        # Another process reads the same.
        assert other._progress(other._path(source.identity)) == pytest.approx(0.5, abs=0.01)
        slow_build.set()
        index = builder.result()
        assert store.get(source) == index
    pool.shutdown()


def test_what_has_an_index_never_waits_for_one_that_is_built(
    cbr: str, stream: Callable[[str], str], tmp_path: Path, slow_build: threading.Event
) -> None:
    store = new_store(tmp_path)
    slow_build.set()
    with open_file(cbr) as known, open_file(stream("mpeg25-8-mono-vbr5")) as cold:
        store.get(known)
        slow_build.clear()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(store.get, cold) for _ in range(3)]
            until(lambda: store._cold._taken, 30, "it builds")
            began = time.monotonic()
            store.get(known)
            assert time.monotonic() - began < QUICK_SECONDS
            slow_build.set()
            for each in asked:
                with contextlib.suppress(IndexPendingError):
                    each.result()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = folder()
    yield path
    shutil.rmtree(path)


def test_clips_go_on_while_a_large_file_is_indexed(cbr: str, media: str) -> None:
    """As many requests for one new file as there are threads, and clips of another."""
    shutil.copy(cbr, os.path.join(media, "warm.mp3"))
    frames = Path(cbr).read_bytes()
    with open(os.path.join(media, "cold.mp3"), "wb") as file:
        # Longer than the index may take; only what stands in pages that were written is there.
        file.write(frames * 200)
    with serving(media, "--cpus", "1", environ={"SLICER_INDEX_SECONDS": "20"}) as server:
        assert server.get("/clips/warm.mp3?t=1,2")[0] == 200
        _slow_index(server, media)


def _slow_index(server: Server, media: str) -> None:
    """Hold the lock of every index, as another process would that builds it."""
    import fcntl

    locks = os.path.join(server.folders["SLICER_INDEX_DIR"], "locks")
    with contextlib.ExitStack() as held, ThreadPoolExecutor(8) as clients:
        for number in range(64):
            path = os.path.join(locks, f"{number:02d}")
            fd = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
            os.chmod(path, 0o644)
            held.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
        cold = [clients.submit(server.get, "/clips/cold.mp3?t=1,2") for _ in range(6)]
        until(lambda: sum(each.done() for each in cold) >= 5, 30, "all but one are answered")
        assert sum(each.done() for each in cold) == 5
        for _ in range(20):
            began = time.monotonic()
            assert server.get("/clips/warm.mp3?t=1,2")[0] == 200
            assert time.monotonic() - began < QUICK_SECONDS
        held.close()
        for each in cold:
            status, headers, body = each.result()
            if status != 200:
                assert (status, json.loads(body)["type"]) == (503, "urn:slicer:problem:try-again")
                assert "progress" in json.loads(body)
                assert int(headers["retry-after"]) > 0
        assert sum(each.result()[0] == 200 for each in cold) == 1


# --------------------------------------------------------------------------------------------------- media that stand still

REMOTE = b"30 1 0:30 / /srv/media rw - nfs4 host:/audio rw\n"
DISK = b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set when the media are back."""
    monkeypatch.setattr(aside_module, "ANY_SECONDS", 0.1)
    monkeypatch.setattr(aside_module, "SHORT_SECONDS", 0.2)
    back = threading.Event()
    yield back
    back.set()


def aside(seconds: float = 1.0, mounts: bytes = DISK + REMOTE) -> Aside:
    return Aside("/srv/media", seconds=seconds, mounts=lambda: mounts)


def test_reads_that_never_end_take_no_thread_of_a_request(still: threading.Event) -> None:
    tried = aside()
    with ThreadPoolExecutor(8) as clients:
        stuck = [clients.submit(tried.run, b"away/%d.mp3" % number, still.wait) for number in range(8)]
        began = time.monotonic()
        for each in stuck:
            with pytest.raises(StandstillError):
                each.result()
        assert time.monotonic() - began < 1 + QUICK_SECONDS
    # The folder is known to stand still: nobody waits for it any more.
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(StandstillError):
            tried.run(b"away/9.mp3", still.wait)
    assert time.monotonic() - began < 0.2 * 50
    assert tried.run(b"here/1.mp3", lambda: "clip") == "clip"
    still.set()
    until(lambda: not tried._tasks, 30, "the reads have ended")
    assert tried.run(b"away/9.mp3", lambda: "clip") == "clip"


def test_one_file_that_stands_still_is_no_other(still: threading.Event) -> None:
    tried = aside()
    for number in range(MOST_IN_FOLDER - 1):
        with pytest.raises(StandstillError):
            tried.run(b"show/%d.mp3" % number, still.wait)
        with pytest.raises(StandstillError):
            tried.run(b"show/%d.mp3" % number, lambda: None)
        assert tried.run(b"show/other.mp3", lambda: 1) == 1


def test_only_one_request_goes_on_waiting(still: threading.Event) -> None:
    tried = aside(seconds=30)
    with ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(tried.run, b"a/%d.mp3" % number, lambda: still.wait() and 1) for number in range(3)]
        until(lambda: sum(each.done() for each in asked) == 2, 30, "two have given up")
        still.set()
        assert [each.result() for each in asked if each.exception() is None] == [1]


def test_errors_and_helpers_come_back(still: threading.Event) -> None:
    tried = aside()
    with pytest.raises(ZeroDivisionError):
        tried.run(b"a.mp3", lambda: 1 // 0)
    for _ in range(50):
        tried.run(b"a.mp3", lambda: None)
    assert sum(thread.name == "aside" for thread in threading.enumerate()) <= 40


def test_disks_are_read_by_the_thread_that_asks() -> None:
    tried = aside(mounts=DISK)
    assert tried.run(b"a.mp3", threading.get_ident) == threading.get_ident()
    tried = aside(mounts=DISK + REMOTE.replace(b"/srv/media", b"/srv/media/far"))
    assert tried.run(b"near/a.mp3", threading.get_ident) == threading.get_ident()
    assert tried.run(b"far/a.mp3", threading.get_ident) != threading.get_ident()


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (DISK, []),
        (b"", []),
        (DISK + REMOTE, [(b"/srv/media/", True)]),
        (DISK + REMOTE.replace(b"/srv/media", b"/srv"), [(b"/srv/", True)]),
        (DISK + REMOTE.replace(b"/srv/media", b"/srv/mediaother"), []),
        (DISK + REMOTE.replace(b"/srv/media", rb"/srv/media/a\040b"), [(b"/srv/media/a b/", True), (b"/", False)]),
        # A disk over it hides it.
        (DISK + REMOTE + REMOTE.replace(b"nfs4", b"xfs"), []),
    ],
)
def test_mounts_that_may_stand_still(lines: bytes, found: list[tuple[bytes, bool]]) -> None:
    assert mounts_of(b"/srv/media", lines) == found


def test_file_systems_of_the_network_are_none_of_this_machine() -> None:
    assert not LOCAL & {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "fuse",
        "fuseblk",
        "fuse.sshfs",
        "9p",
        "ceph",
        "glusterfs",
        "autofs",
    }


def test_work_for_which_there_is_no_thread_is_refused_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = aside()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for number in range(aside_module.MOST + 1):
            with pytest.raises(StandstillError):
                tried.run(b"away/%d.mp3" % number, bytes)
    time.sleep(aside_module.SHORT_SECONDS + 0.1)
    assert tried.run(b"away/again.mp3", lambda: b"read") == b"read"
