"""How long a thread wants the CPU at a time: each test in a process of its own, since what is asked for stays."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from mp3_slicer import timeslice


def alone(function, *arguments):
    """What a function returns in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result(timeout=60)


def asked(nice):
    told = timeslice.ask_for(timeslice.LONGEST, nice)
    return told, timeslice.of(), os.getpriority(os.PRIO_PROCESS, 0)


def asked_with(policy):
    os.sched_setscheduler(0, policy, os.sched_param(0))
    told = timeslice.ask_for(timeslice.LONGEST, 5)
    return told, os.sched_getscheduler(0) == policy, os.getpriority(os.PRIO_PROCESS, 0)


def gave_way():
    timeslice.give_way(10)
    timeslice.give_way(40)
    return timeslice.of(), os.getpriority(os.PRIO_PROCESS, 0)


def test_a_long_turn_and_a_priority_are_asked_for_in_one():
    # A kernel before 6.12 knows no turns, and says 0.
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)
    assert alone(asked, nice) == (True, timeslice.LONGEST if timeslice.of() else 0, nice)


@pytest.mark.parametrize("policy", [os.SCHED_BATCH, os.SCHED_IDLE])
def test_a_policy_that_somebody_chose_stays(policy):
    assert alone(asked_with, policy) == (False, True, os.getpriority(os.PRIO_PROCESS, 0))


def test_who_gives_way_has_the_longest_turn_and_at_most_the_lowest_priority():
    assert alone(gave_way) == (timeslice.LONGEST if timeslice.of() else 0, 19)


def test_a_thread_that_is_gone_is_refused():
    assert timeslice.ask_for(timeslice.LONGEST, 0, 2**22 + 5) is False
    assert timeslice.of(2**22 + 5) == 0
