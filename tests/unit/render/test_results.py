"""The store of results: whole or not there, bounded, shared by threads and processes, readable while it is emptied."""

import errno
import hashlib
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from mp3_slicer.render import Results
from mp3_slicer.render import results as module
from unit.render.sounds import make

FACTS = {"content_type": "audio/mpeg", "samples": 441_000}


def key(number: int) -> str:
    return hashlib.blake2b(b"%d" % number, digest_size=20).hexdigest()


def body(number: int, size: int = 10_000) -> bytes:
    return random.Random(number).randbytes(size)


@pytest.fixture
def store(tmp_path: Path) -> Results:
    results = Results(str(tmp_path / "results"), max_bytes=1 << 20)
    results.prepare()
    return results


def put(store: Results, number: int, size: int = 10_000) -> None:
    found = store.put(key(number), FACTS, [body(number, size)])
    assert found is not None
    found.close()


def names(store: Results) -> list[str]:
    return sorted(name for name in os.listdir(store._folder) if name != "account")


def bytes_held(store: Results) -> int:
    return sum(os.path.getsize(os.path.join(store._folder, name)) for name in names(store))


def test_what_was_put_is_found(store: Results) -> None:
    assert store.get(key(1)) is None
    data = body(1, 700_000)
    with store.put(key(1), FACTS, [data[:5], b"", data[5:]]) as put:
        assert put.read() == data
    with store.get(key(1)) as found:
        assert (found.facts, found.length, found.read()) == (FACTS, 700_000, data)
        assert b"".join(found.pieces(10, 600_000, 1000)) == data[10:600_000]
    store.drop(key(1))
    store.drop(key(1))
    assert store.get(key(1)) is None
    assert store.is_writable()


def test_a_render_is_put_as_it_is(store: Results, cbr: str) -> None:
    with make(cbr, "mp3", ("t", "1,2")) as made, store.put(key(1), made.facts, made.pieces()) as kept:
        assert kept.read() == made.read()
        assert kept.facts["samples"] == 44_100


def test_it_survives_a_restart(store: Results) -> None:
    put(store, 1)
    again = Results(store._folder, max_bytes=1 << 20)
    again.prepare()
    with again.get(key(1)) as found:
        assert found.read() == body(1)


def test_the_longest_unused_goes_first(store: Results) -> None:
    for number in range(60):
        put(store, number)
        path = os.path.join(store._folder, key(number))
        os.utime(path, (1000 + number, 1000 + number))
    store.get(key(3)).close()  # used now
    for number in range(60, 110):
        put(store, number)
    left = set(names(store))
    assert bytes_held(store) <= 1 << 20
    assert key(3) in left
    assert {key(0), key(1), key(2), key(4)}.isdisjoint(left)
    assert {key(number) for number in range(60, 110)} <= left


def test_it_can_be_read_while_it_goes(store: Results) -> None:
    put(store, 1, 300_000)
    with store.get(key(1)) as found:
        pieces = found.pieces(size=1000)
        begin = next(pieces)
        os.utime(os.path.join(store._folder, key(1)), (1, 1))
        for number in range(2, 120):
            put(store, number)
        assert store.get(key(1)) is None
        assert begin + b"".join(pieces) == body(1, 300_000)


def test_what_is_too_large_is_not_kept(store: Results) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 16)

    put(store, 1)
    assert store.put(key(2), FACTS, endless()) is None
    assert names(store) == [key(1)]


def test_an_error_while_it_is_written_leaves_nothing(store: Results) -> None:
    class Aborted(BaseException):
        pass

    def broken() -> Iterator[bytes]:
        yield b"beginning"
        raise Aborted

    with pytest.raises(Aborted):
        store.put(key(1), FACTS, broken())
    assert names(store) == []
    with pytest.raises(ValueError, match="too much"):
        store.put(key(1), {"title": "x" * 5000}, [b"1"])
    assert names(store) == []


def test_what_is_half_written_has_no_name(store: Results) -> None:
    def watched() -> Iterator[bytes]:
        yield b"beginning"
        # A process that is killed here leaves nothing.
        assert names(store) == []
        yield b"end"

    with store.put(key(1), FACTS, watched()) as found:
        assert found.read() == b"beginningend"
    assert names(store) == [key(1)]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR])
def test_where_every_file_has_a_name_results_are_kept_too(
    store: Results, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refusing(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)
    put(store, 1)
    with store.get(key(1)) as found:
        assert found.read() == body(1)
    assert names(store) == [key(1)]


def test_without_a_place_nothing_is_kept_and_nothing_breaks(store: Results, tmp_path: Path) -> None:
    gone = Results(str(tmp_path / "nowhere"), max_bytes=1 << 20)
    assert gone.put(key(1), FACTS, [b"1"]) is None
    assert gone.get(key(1)) is None
    assert not gone.is_writable()


@pytest.mark.parametrize("damage", ["short", "long", "empty", "front", "line", "list"])
def test_what_is_not_whole_is_not_there(store: Results, damage: str) -> None:
    put(store, 1)
    path = Path(store._folder, key(1))
    data = path.read_bytes()
    path.write_bytes(
        {
            "short": data[:-1],
            "long": data + b"x",
            "empty": b"",
            "front": b"x" + data[1:],
            "line": data.replace(b'{"content', b'["content'),
            "list": b"%019d\n[]\n" % 5 + b"12345",
        }[damage]
    )
    assert store.get(key(1)) is None
    assert not path.exists()
    put(store, 1)
    store.get(key(1)).close()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 40, "a" * 39, "a" * 41, "a" * 40 + "\n", "account"])
def test_no_name_leads_elsewhere(store: Results, name: str) -> None:
    for act in (store.get, store.drop, lambda name: store.put(name, FACTS, [b"1"])):
        with pytest.raises(ValueError, match="no name"):
            act(name)


def test_preparing_takes_away_what_killed_processes_left(store: Results) -> None:
    put(store, 1)
    old, new = (Path(store._folder, f"{key(2)}.{part}.tmp") for part in ("old", "new"))
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    Path(store._folder, "README").write_text("somebody else's")
    store.prepare()
    assert names(store) == sorted(["README", key(1), new.name])
    # A store that has become smaller is made so at once.
    for number in range(2, 20):
        put(store, number)
    Results(store._folder, max_bytes=50_000).prepare()
    assert bytes_held(store) <= 50_000


def test_a_damaged_account_is_made_anew(store: Results) -> None:
    put(store, 1)
    for text in (b"", b"x y\n", b"5\n"):
        Path(store._folder, "account").write_bytes(text)
        put(store, 2)
        total, number = map(int, Path(store._folder, "account").read_bytes().split())
        assert (total, number) == (bytes_held(store), 2)


def test_there_is_a_bound_to_their_number(store: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RESULTS", 20)
    for number in range(60):
        put(store, number, 10)
        assert len(names(store)) <= 20
    # The same again is one.
    for _ in range(30):
        put(store, 59, 10)
    assert len(names(store)) > 10


def busy(folder: str, seed: int) -> int:
    """Put and get at random for a while; returns how many were found. Each is whole, or this fails."""
    store = Results(folder, max_bytes=200_000)
    draw = random.Random(seed)
    found = 0
    for _ in range(300):
        number = draw.randrange(40)
        with_ = store.get(key(number))
        if with_ is None:
            with_ = store.put(key(number), FACTS, [body(number)])
            assert with_ is not None
        else:
            found += 1
        with with_:
            assert with_.read() == body(number)
    return found


def test_threads_and_processes_share_it(tmp_path: Path) -> None:
    folder = str(tmp_path / "results")
    store = Results(folder, max_bytes=200_000)
    store.prepare()
    with ThreadPoolExecutor(8) as threads, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        jobs = [pool.submit(busy, folder, seed) for seed in range(4) for pool in (threads, processes)]
        assert sum(job.result() for job in jobs) > 100
    store.prepare()
    assert bytes_held(store) <= 200_000
    assert not [name for name in names(store) if name.endswith(".tmp")]
