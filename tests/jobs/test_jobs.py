"""Jobs from the question to the result, with a real Redis and real workers."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mp3_slicer import timeslice
from mp3_slicer.jobs import JobsBusyError, State
from mp3_slicer.jobs.order import LONG, SHORT, url_of
from mp3_slicer.render import Results
from support.jobs import Broker, Place
from support.server import status, until
from unit.render.sounds import decode

QUICK = ("wav", ("t", "2,6"), ("gain", "-3"))
#: More than any test waits for.
ENDLESS = ("m4a", ("t", "0,3600"))


def one(place: Place) -> None:
    place.worker("--short", "1", "--long", "1")


def result_of(place: Place, key: str) -> bytes:
    kept = place.results.get(key)
    assert kept is not None
    with kept:
        return kept.read()


def files(place: Place) -> list[str]:
    """Results, and what there is of files for the time of the work."""
    folders = (place.settings.results_dir, place.settings.scratch_dir)
    return [name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder) if name != "account"]


def test_a_job_is_done(place: Place) -> None:
    order = place.order(*QUICK)
    job = place.queue.submit(order)
    assert (job.state, job.progress, job.order) == (State.QUEUED, 0.0, order)
    one(place)
    done = place.ended(job.id)
    assert (done.state, done.progress, done.problem, done.attempts) == (State.DONE, 1.0, None, 1)
    samples, rate, channels = decode(result_of(place, order.key), "wav")
    assert (len(samples), rate, channels) == (4 * 44_100 * 2, 44_100, 2)


def test_jobs_give_way_to_clips_and_long_ones_to_short_ones(place: Place) -> None:
    worker = place.worker("--short", "1", "--long", "1")
    own = os.getpriority(os.PRIO_PROCESS, worker.pid)
    for lane, nicer in ((SHORT, 0), (LONG, 5)):
        until(partial(worker.processes, lane), 60, "a process of the lane")
        (pid,) = worker.processes(lane)
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, own + nicer)
        # A kernel before 6.12 says 0 of all.
        assert timeslice.of(pid) == (timeslice.LONGEST if timeslice.of() else 0)


def test_a_waveform_is_done(place: Place) -> None:
    order = place.order("json", ("pixels", "10"), name="hour.mp3")
    one(place)
    assert place.ended(place.queue.submit(order).id).state is State.DONE
    assert b'"length":10,' in result_of(place, order.key)


def test_the_same_is_one_job_however_often_it_is_asked_for(place: Place) -> None:
    spelled = place.order("wav", ("gain", "-3.0"), ("t", "00:02,6.000"))
    job = place.queue.submit(place.order(*QUICK))
    assert {place.queue.submit(spelled).id for _ in range(5)} == {job.id}
    one(place)
    place.ended(job.id)
    again = place.queue.submit(spelled)
    assert (again.id, again.state, again.attempts) == (job.id, State.DONE, 1)


def test_what_is_done_is_done_again_where_its_result_is_gone(place: Place) -> None:
    order = place.order(*QUICK)
    one(place)
    first = place.ended(place.queue.submit(order).id)
    place.results.drop(order.key)
    assert place.queue.submit(order, again=True).state is State.QUEUED
    place.until(first.id, lambda job: job.state is State.DONE and job.asked > first.asked, 30, "it is done again")
    assert result_of(place, order.key)


def test_a_replaced_file_makes_another_job(place: Place, tmp_path: Path) -> None:
    place.media = str(tmp_path)
    shutil.copy(os.path.join(place.settings.media, "show.mp3"), tmp_path / "show.mp3")
    before = place.order(*QUICK)
    shutil.copy(tmp_path / "show.mp3", tmp_path / "new")
    os.replace(tmp_path / "new", tmp_path / "show.mp3")
    assert place.order(*QUICK).id != before.id


def test_progress_is_told_while_it_runs(place: Place) -> None:
    one(place)
    job = place.queue.submit(place.order(*ENDLESS, name="hour.mp3"))
    running = place.until(job.id, lambda job: job.progress > 0, 60, "there is progress")
    assert running.state is State.RUNNING
    assert 0 < running.progress < 1
    assert running.seconds_left is not None
    assert running.seconds_left > 1
    later = place.until(job.id, lambda job: job.progress > running.progress, 60, "there is more progress")
    assert later.attempts == 1


def test_cancelling_kills_the_work_and_leaves_nothing(place: Place) -> None:
    worker = place.worker("--short", "0", "--long", "1")
    job = place.queue.submit(place.order(*ENDLESS, name="hour.mp3"))
    until(worker.ffmpegs, 60, "ffmpeg works")
    (ffmpeg,) = worker.ffmpegs()
    (process,) = worker.processes(LONG)
    cancelled = place.queue.store.cancel(job.id)
    assert cancelled is not None
    assert cancelled.state is State.CANCELLED
    until(lambda: not status(ffmpeg), 30, "ffmpeg is gone")
    assert files(place) == []
    # The same process does the next one.
    next_one = place.queue.submit(place.order("opus", ("t", "0,400"), name="hour.mp3"))
    assert place.ended(next_one.id).state is State.DONE
    assert worker.processes(LONG) == [process]
    assert place.job(job.id).state is State.CANCELLED


def test_what_waits_is_cancelled_without_work(place: Place) -> None:
    order = place.order(*QUICK)
    job = place.queue.submit(order)
    place.queue.store.cancel(job.id)
    one(place)
    time.sleep(3)
    assert place.job(job.id).state is State.CANCELLED
    assert place.job(job.id).attempts == 0
    assert files(place) == []
    # Who asks again wants it.
    assert place.queue.submit(order).id == job.id
    assert place.ended(job.id).state is State.DONE


def test_what_ended_cannot_be_cancelled(place: Place) -> None:
    one(place)
    job = place.ended(place.queue.submit(place.order(*QUICK)).id)
    after = place.queue.store.cancel(job.id)
    assert after is not None
    assert after.state is State.DONE


def test_a_failure_carries_its_problem(place: Place) -> None:
    order = place.order("wav", ("t", "1,2"))
    gone, changed = (
        replace(order, path=path, url=url_of("render", path, order.form, order.query))
        for path in (b"nothing.mp3", b"hour.mp3")
    )
    one(place)
    found = {path: place.ended(place.queue.submit(each).id) for path, each in (("gone", gone), ("changed", changed))}
    assert [job.state for job in found.values()] == [State.FAILED] * 2
    for job in found.values():
        assert job.problem is not None
        assert job.problem["type"] == "urn:slicer:problem:source-gone"
        assert (job.problem["status"], job.problem["title"]) == (410, "Gone")
    assert files(place) == []
    # It would fail again: nobody tries.
    assert place.queue.submit(gone).state is State.FAILED


def test_work_that_takes_too_long_fails(at: Callable[..., Place], broker: Broker) -> None:
    place = at(broker, SLICER_JOB_SECONDS="5")
    worker = place.worker("--short", "1", "--long", "1")
    job = place.queue.submit(place.order("m4a", ("t", "0,100"), name="hour.mp3"))
    until(worker.ffmpegs, 60, "it is being worked on")
    (ffmpeg,) = worker.ffmpegs()
    os.kill(ffmpeg, signal.SIGSTOP)
    failed = place.ended(job.id, 30)
    assert failed.problem is not None
    assert (failed.problem["status"], failed.problem["type"]) == (413, "urn:slicer:problem:render-too-long")
    until(lambda: not status(ffmpeg), 30, "ffmpeg is gone")
    assert files(place) == []


def test_no_more_may_wait_than_may_wait(at: Callable[..., Place], broker: Broker) -> None:
    place = at(broker, SLICER_JOBS_WAITING="3")
    orders = [place.order("wav", ("t", f"{number},{number + 1}")) for number in range(5)]
    jobs = [place.queue.submit(order) for order in orders[:3]]
    with pytest.raises(JobsBusyError, match="3 jobs"):
        place.queue.submit(orders[3])
    assert place.queue.submit(orders[0]).id == jobs[0].id
    place.queue.store.cancel(jobs[0].id)
    place.queue.submit(orders[4])


def test_short_jobs_do_not_wait_for_a_long_one(place: Place) -> None:
    worker = place.worker("--short", "1", "--long", "1")
    long = [place.queue.submit(place.order("m4a", ("t", f"{number},3600"), name="hour.mp3")) for number in range(3)]
    until(worker.ffmpegs, 60, "the long one is being worked on")
    short = [place.queue.submit(place.order("wav", ("t", f"0,{number}"))) for number in range(1, 16)]
    for job in short:
        assert place.ended(job.id).state is State.DONE
    assert [place.job(job.id).lane for job in (long[0], short[0])] == [LONG, SHORT]
    assert [place.job(job.id).state for job in long] == [State.RUNNING, State.QUEUED, State.QUEUED]


def test_a_process_has_one_job_and_no_other_in_hand(place: Place) -> None:
    """One long job must not keep others from a process that is idle."""
    first = place.worker("--short", "0", "--long", "1")
    place.queue.submit(place.order(*ENDLESS, name="hour.mp3"))
    until(first.ffmpegs, 60, "the first is being worked on")
    others = [place.queue.submit(place.order("opus", ("t", f"{number},400"), name="hour.mp3")) for number in range(3)]
    time.sleep(2)
    place.worker("--short", "0", "--long", "1")
    for job in others:
        assert place.ended(job.id).state is State.DONE


def test_results_are_those_that_a_server_finds(place: Place) -> None:
    order = place.order(*QUICK)
    one(place)
    place.ended(place.queue.submit(order).id)
    kept = Results(place.settings.results_dir, max_bytes=1 << 30).get(order.key)
    assert kept is not None
    with kept:
        assert kept.facts["content_type"] == "audio/wav"
        assert str(kept.facts["etag"]).startswith('"')
