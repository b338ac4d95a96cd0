"""The priority of a process: each test in a process of its own, since it stays."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from mp3_slicer import priority


def alone(function, *arguments):
    """What a function returns in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result(timeout=60)


def gave_way(*nicer):
    for each in nicer:
        priority.give_way(each)
    return os.getsid(0) == os.getpid(), priority.of_session(os.getpid()), os.getpriority(os.PRIO_PROCESS, 0)


def gave_way_as_somebody(user):
    """As Apache's daemons do: after setuid, so that the files in /proc are root's."""
    os.setresuid(user, user, user)
    return gave_way(10)


def led_a_session():
    os.setsid()
    return gave_way(10)


def sessions_are_groups():
    return priority.of_session(os.getpid()) is not None


def test_who_gives_way_is_nicer_in_a_session_that_is_nicer():
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert alone(gave_way, 10) == (True, 10 if sessions_are_groups() else None, nice)


def test_nobody_is_nicer_than_linux_knows():
    assert alone(gave_way, 10, 40) == (True, 10 if sessions_are_groups() else None, 19)


def test_who_leads_a_session_stays_in_it():
    own, session, nice = alone(led_a_session)
    assert (own, session, nice) == (
        True,
        0 if sessions_are_groups() else None,
        min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10),
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_the_session_is_nicer_without_rights():
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert alone(gave_way_as_somebody, 65534) == (True, 10 if sessions_are_groups() else None, nice)


def test_a_process_that_is_gone_is_in_no_session():
    assert priority.of_session(2**22 + 5) is None
