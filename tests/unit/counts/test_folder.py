"""Numbers of many processes: added up whatever becomes of them, and never twice."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mp3_slicer.counts import cells, folder
from mp3_slicer.counts.cells import Cells
from mp3_slicer.counts.folder import Folder, FolderBusyError, in_memory
from mp3_slicer.counts.metrics import ALL, BUSY, COUNTED, INDEX, QUEUE_SECONDS, REQUESTS, Metric
from mp3_slicer.counts.text import text_of

#: Counts, says so, and lives until its input ends or it is killed.
CHILD = """
import sys
from mp3_slicer.counts.folder import Folder
from mp3_slicer.counts.metrics import BUSY, INDEX, QUEUE_SECONDS
cells = Folder(sys.argv[1]).begin()
with cells.lock:
    cells.add(INDEX, ("clips", "memory"), 5)
    cells.add(BUSY, ("clips",))
    cells.observe(QUEUE_SECONDS, ("clips",), 0.003)
print("counted", flush=True)
sys.stdin.read()
"""
MEMORY = (INDEX.name, "clips", "memory")


def child(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "counted\n"
    return process


def end(process: "subprocess.Popen[str]", number: int | None = None) -> None:
    if number is not None:
        process.send_signal(number)
    process.communicate()


@pytest.mark.parametrize("number", [None, signal.SIGKILL, signal.SIGTERM])
def test_what_a_process_counted_stays_and_what_it_was_goes(tmp_path: Path, number: int | None) -> None:
    for turn in range(1, 4):
        process = child(tmp_path)
        total = Folder(str(tmp_path)).total()
        assert total.values[MEMORY] == [5 * turn]
        assert total.values[BUSY.name, "clips"] == [1]
        assert list(total.living) == [process.pid]
        end(process, number)
        total = Folder(str(tmp_path)).total()
        assert total.values[MEMORY] == [5 * turn]
        assert total.values[QUEUE_SECONDS.name, "clips"][-1] == pytest.approx(0.003 * turn)
        assert (BUSY.name, "clips") not in total.values
        assert sorted(os.listdir(tmp_path)) == ["lock", "sums"]


def test_a_crash_while_sums_are_made_counts_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end(child(tmp_path))
    own = Folder(str(tmp_path))
    monkeypatch.setattr(folder.os, "unlink", lambda path: (_ for _ in ()).throw(OSError))
    for _ in range(3):
        assert own.total().values[MEMORY] == [5]
    assert len(os.listdir(tmp_path)) == 3
    monkeypatch.undo()
    assert own.total().values[MEMORY] == [5]
    assert sorted(os.listdir(tmp_path)) == ["lock", "sums"]
    end(child(tmp_path))
    assert own.total().values[MEMORY] == [10]


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"slicer-counts-1\n" + b"\xff" * 200])
def test_a_file_that_is_none_of_ours_is_passed_over(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "1-1").write_bytes(data)
    assert Folder(str(tmp_path)).total().values == {}


def test_what_another_version_counted_otherwise_is_left_out(tmp_path: Path) -> None:
    added = [
        [["slicer_of_later", "x"], [1]],
        [[INDEX.name, "clips"], [1]],
        [[*MEMORY], [7]],
        [[QUEUE_SECONDS.name, "clips"], [1]],
    ]
    (tmp_path / "sums").write_text(json.dumps({"added": [], "values": added}))
    assert Folder(str(tmp_path)).total().values == {MEMORY: [7]}


def test_a_folder_that_somebody_holds_is_said_to_be_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_LOCK_SECONDS", 0.1)
    own = Folder(str(tmp_path))
    with own._locked(), pytest.raises(FolderBusyError):
        Folder(str(tmp_path)).total()
    assert own.total().values == {}


def test_threads_lose_nothing() -> None:
    counts = in_memory()

    def count() -> None:
        for _ in range(20_000):
            with counts.lock:
                counts.add(INDEX, MEMORY[1:])
                counts.observe(QUEUE_SECONDS, ("clips",), 0.5)

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    _, values = cells.read(counts.data())
    assert values[MEMORY] == [80_000]
    assert values[QUEUE_SECONDS.name, "clips"][-1] == 40_000
    assert sum(values[QUEUE_SECONDS.name, "clips"][:-1]) == 80_000


def test_a_file_that_is_full_takes_no_more_and_breaks_nothing() -> None:
    counts: Cells = in_memory()
    for number in range(20_000):
        counts.add(INDEX, ("clips", f"outcome {number}"))
        counts.observe(QUEUE_SECONDS, (f"group {number}",), 1)
    _, values = cells.read(counts.data())
    assert 1000 < len(values) < 20_000
    assert all(numbers == [1] for key, numbers in values.items() if key[0] == INDEX.name)
    assert all(sum(numbers) == 2 for key, numbers in values.items() if key[0] == QUEUE_SECONDS.name)


def test_values_at_the_ends_of_buckets_are_in_them() -> None:
    counts = in_memory()
    for value in (0.00025, 0.000251, 60, 61, 0):
        counts.observe(QUEUE_SECONDS, ("clips",), value)
    text = text_of((QUEUE_SECONDS,), cells.read(counts.data())[1])
    assert 'slicer_queue_seconds_bucket{group="clips",le="0.00025"} 2\n' in text
    assert 'slicer_queue_seconds_bucket{group="clips",le="0.0005"} 3\n' in text
    assert 'slicer_queue_seconds_bucket{group="clips",le="60"} 4\n' in text
    assert 'slicer_queue_seconds_bucket{group="clips",le="+Inf"} 5\n' in text
    assert 'slicer_queue_seconds_count{group="clips"} 5\n' in text


def test_labels_are_escaped() -> None:
    metric = Metric("x", "gauge", "An x.", ("of",))
    assert 'x{of="a\\"b\\\\c\\nd"} 1.5\n' in text_of((metric,), {("x", 'a"b\\c\nd'): [1.5]})


def test_names_are_as_prometheus_wants_them() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL)
    for metric in ALL:
        assert metric.name.startswith("slicer_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.doc.endswith(".")
        assert list(metric.buckets) == sorted(metric.buckets)
    assert REQUESTS in COUNTED
