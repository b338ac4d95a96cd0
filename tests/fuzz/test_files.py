"""A short round of damaged files, the same ones each time; `make fuzz` has the long one."""

import os
import time

import pytest

from fuzz import examine, files, mutate

COUNT = 300


def test_damaged_files_are_cut_or_refused_in_bounds():
    report = files.run(0, COUNT, processes=2)
    assert not report.findings, "\n".join(f"file {number}: {text}" for number, text in report.findings.items())
    assert report.count == COUNT
    # Most are damaged and not destroyed: a round that refuses all of them would try little.
    assert COUNT * 0.6 < report.outcomes["cut"] < COUNT
    assert report.outcomes["NotMp3Error"]
    assert report.memory < files.MAX_MEMORY


def test_a_number_is_the_same_file_each_time():
    for number in range(30):
        assert mutate.mutant(number) == mutate.mutant(number)
    assert len({mutate.mutant(number) for number in range(30)}) > 25


def _forget_a_file(data, number):
    if number == 3:
        os.memfd_create("forgotten")
    return "cut"


def _take_memory(data, number):
    if number == 3:
        bytearray(16 * files.MAX_MEMORY)
    return "cut"


def _take_time(data, number):
    while number == 3:
        pass
    return "cut"


def _raise(data, number):
    assert number != 3, "three"
    return "cut"


def _die(data, number):
    if number == 3:
        os._exit(7)
    return "cut"


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (_forget_a_file, "1 file descriptors"),
        (_take_memory, "MemoryError"),
        (_take_time, "more than 1 s"),
        (_raise, "AssertionError: three"),
        (_die, "ended with 7"),
    ],
)
def test_what_breaks_a_bound_is_found(what, found, monkeypatch):
    """The bounds are real: the process that examines is this one's copy, with something wrong put into it."""
    monkeypatch.setattr(files, "examine", what)
    monkeypatch.setattr(files, "METHOD", "fork")
    report = files.run(0, 6, processes=1)
    assert len(report.findings) == 1
    ((number, text),) = report.findings.items()
    assert found in text
    assert number == (-1 if what is _forget_a_file else 3)


def test_what_no_signal_interrupts_is_given_up(monkeypatch):
    def sleep(data, number):
        time.sleep(600)

    monkeypatch.setattr(files, "examine", sleep)
    monkeypatch.setattr(files, "METHOD", "fork")
    monkeypatch.setattr(files, "STUCK_SECONDS", 5)
    report = files.run(0, 2, processes=1)
    assert "ended with -9" in report.findings[0]


def test_an_index_that_says_something_false_is_found():
    """What `examine` holds an index to is not empty talk."""
    data = mutate.seeds()[0]
    assert examine.examine(data, 0) == "cut"
    with examine.file_of(data) as fd:
        index = examine.build_whole_index(examine.FileReader(fd))
    with pytest.raises(AssertionError):
        examine._whole(data[:-1], index)
    with pytest.raises(AssertionError):
        examine._whole(data[:100] + data[101:] + b"\0", index)
