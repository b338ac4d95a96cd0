"""What is killed, stopped or lost costs time and no job."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from mp3_slicer.jobs import JobsDownError, State
from mp3_slicer.jobs.jobqueue import open_store
from mp3_slicer.jobs.order import LONG, SHORT
from mp3_slicer.jobs.store import JobStore, Patience
from support.jobs import Place, Worker, broker_of
from support.server import status, until
from unit.render.sounds import wav

SLOW = ("opus", ("t", "0,900"))
LOST = "urn:slicer:problem:job-lost"


@pytest.fixture
def slow(place: Place) -> tuple[Worker, str]:
    """A job that a process of a worker is working on."""
    worker = place.worker("--short", "1", "--long", "1")
    job = place.queue.submit(place.order(*SLOW, name="hour.mp3"))
    until(worker.ffmpegs, 60, "it is being worked on")
    return worker, job.id


def test_a_killed_process_costs_no_job(place: Place, slow: tuple[Worker, str]) -> None:
    worker, name = slow
    (process,) = worker.processes(LONG)
    (ffmpeg,) = worker.ffmpegs()
    os.kill(process, signal.SIGKILL)
    until(lambda: not status(ffmpeg), 30, "its ffmpeg ends too")
    done = place.ended(name, 120)
    assert (done.state, done.attempts) == (State.DONE, 2)
    assert place.results.get(done.order.key)
    assert len(worker.processes(LONG)) == 1


def test_a_killed_worker_takes_its_processes_along_and_costs_no_job(place: Place, slow: tuple[Worker, str]) -> None:
    worker, name = slow
    (process,) = worker.processes(LONG)
    os.kill(worker.lanes()[LONG], signal.SIGKILL)
    until(lambda: not status(process), 30, "its process is gone too")
    assert place.ended(name, 120).state is State.DONE


def test_killed_processes_leave_no_file(place: Place, slow: tuple[Worker, str]) -> None:
    worker, name = slow
    place.queue.store.cancel(name)
    assert os.listdir(place.temporary)
    for pid in (*worker.processes(LONG), *worker.lanes().values()):
        os.kill(pid, signal.SIGKILL)
    until(lambda: worker.processes(LONG) and worker.processes(SHORT), 60, "new ones are there")
    worker.stop()
    assert os.listdir(place.temporary) == []


def test_a_machine_that_is_gone_costs_no_job(place: Place, slow: tuple[Worker, str]) -> None:
    worker, name = slow
    worker.kill()
    assert place.job(name).state is State.RUNNING
    place.worker("--short", "0", "--long", "1")
    done = place.ended(name, 120)
    assert (done.state, done.attempts) == (State.DONE, 2)


def test_a_killed_crew_leaves_no_process(place: Place, slow: tuple[Worker, str]) -> None:
    worker, name = slow
    place.queue.store.cancel(name)
    left = worker.everything()
    os.kill(worker.pid, signal.SIGKILL)
    worker.process.wait()
    until(lambda: not any(map(status, left)), 30, "all processes end")


def test_told_to_stop_it_finishes_what_it_has(place: Place) -> None:
    worker = place.worker("--short", "1", "--long", "1")
    job = place.queue.submit(place.order("opus", ("t", "0,300"), name="hour.mp3"))
    until(worker.ffmpegs, 60, "it is being worked on")
    left = worker.everything()
    assert worker.stop() == 0
    assert place.job(job.id).state is State.DONE
    assert place.job(job.id).attempts == 1
    assert not any(map(status, left))


def test_what_does_not_finish_in_its_grace_is_done_elsewhere(place: Place) -> None:
    worker = place.worker("--short", "1", "--long", "1", "--grace", "1")
    job = place.queue.submit(place.order(*SLOW, name="hour.mp3"))
    until(worker.ffmpegs, 60, "it is being worked on")
    left = worker.everything()
    assert worker.stop(20) == 0
    until(lambda: not any(map(status, left)), 30, "all processes end")
    place.worker("--short", "0", "--long", "1")
    assert place.ended(job.id, 120).state is State.DONE


def test_redis_killed_and_started_again_costs_no_job(at: Callable[..., Place]) -> None:
    with broker_of() as broker:
        place = at(broker)
        worker = place.worker("--short", "1", "--long", "1")
        slow = place.queue.submit(place.order(*SLOW, name="hour.mp3"))
        until(worker.ffmpegs, 60, "it is being worked on")
        quick = [place.queue.submit(place.order("wav", ("t", f"0,{number}"))) for number in range(1, 20)]
        broker.kill()
        with pytest.raises(JobsDownError):
            place.queue.submit(place.order("wav", ("t", "1,2")))
        time.sleep(3)
        broker.start()
        late = place.queue.submit(place.order("wav", ("t", "1,2")))
        for job in [slow, *quick, late]:
            assert place.ended(job.id, 120).state is State.DONE
        # What was being worked on went on.
        assert place.job(slow.id).attempts == 1
        # And the same worker takes what comes next.
        assert place.ended(place.queue.submit(place.order("wav", ("t", "3,4"))).id).state is State.DONE
        assert worker.process.poll() is None


def test_a_thousand_jobs_while_workers_come_and_go(place: Place) -> None:
    """Each ends done, and once: whatever was begun twice has one result."""
    # Almost nothing to do for each, so that what is tested is the queue.
    orders = [place.order("wav", ("t", f"0,{number // 500 + 1}.{number % 500 + 200}")) for number in range(1000)]
    assert len({order.id for order in orders}) == len(orders)
    workers = [place.worker("--short", "1", "--long", "0", "--grace", "1") for _ in range(2)]
    names = []
    for number, order in enumerate(orders):
        names.append(place.queue.submit(order).id)
        if number % 250 == 249:
            victim = workers.pop(0)
            victim.kill() if number % 500 == 249 else victim.stop()
            workers.append(place.worker("--short", "1", "--long", "0", "--grace", "1"))
    until(lambda: not place.queue.store.active(), 240, "all have ended")
    jobs = [place.job(name) for name in names]
    assert {job.state for job in jobs} == {State.DONE}
    # Four were in the hands of one that was killed, at most.
    assert sum(job.attempts for job in jobs) <= len(jobs) + 4
    for order in orders[::50]:
        kept = place.results.get(order.key)
        assert kept is not None
        with kept:
            assert wav(kept.read())[1:] == (44_100, 2)


def test_a_stopped_redis_is_told_of_soon(at: Callable[..., Place]) -> None:
    with broker_of() as broker:
        place = at(broker)
        order = place.order("wav", ("t", "1,2"))
        assert broker.process
        broker.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(JobsDownError):
            place.queue.submit(order)
        assert time.monotonic() - began < 20


def test_a_job_whose_message_was_never_sent_is_done(place: Place) -> None:
    store = open_store(place.settings)
    job = store.open(place.order("wav", ("t", "1,2")), SHORT)[1]
    place.worker("--short", "1", "--long", "0")
    assert place.ended(job.id).state is State.DONE


def test_messages_that_come_twice_do_no_harm(place: Place) -> None:
    from mp3_slicer.jobs.jobqueue import send

    job = place.queue.submit(place.order("wav", ("t", "1,2")))
    for _ in range(5):
        send(place.queue._app, place.settings.jobs_name, job.id, SHORT)
    send(place.queue._app, place.settings.jobs_name, "0" * 40, SHORT)
    place.worker("--short", "2", "--long", "0")
    assert place.ended(job.id).attempts == 1
    after = place.queue.submit(place.order("wav", ("t", "2,3")))
    assert place.ended(after.id).state is State.DONE
    assert place.job(job.id).attempts == 1


@pytest.fixture
def brisk(place: Place) -> JobStore:
    """The same jobs, but what is lost is taken for lost soon."""
    patience = Patience(lease=1.0, queued=0.2, again=0.1)
    return JobStore(place.settings.jobs_state, place.settings.jobs_name, attempts=3, patience=patience)


def test_a_job_that_kills_its_workers_fails_in_the_end(place: Place, brisk: JobStore) -> None:
    order = place.order("wav", ("t", "1,2"))
    name = brisk.open(order, SHORT)[1].id
    for attempt in range(3):
        assert brisk.claim(name, f"worker {attempt}") == (order, "", "")
        assert brisk.claim(name, "another") is None
        time.sleep(1.1)
        assert brisk.overdue() == [(name, SHORT)]
        assert brisk.overdue() == []
    assert brisk.claim(name, "worker 3") is None
    job = place.job(name)
    assert job.state is State.FAILED
    assert job.problem is not None
    assert job.problem["type"] == LOST
    # It was no fault of the request: who asks again gets another try.
    assert brisk.open(order, SHORT)[0] == "new"


def test_who_lost_a_job_cannot_end_it(place: Place, brisk: JobStore) -> None:
    order = place.order("wav", ("t", "1,2"))
    name = brisk.open(order, SHORT)[1].id
    assert brisk.claim(name, "slow")
    time.sleep(1.1)
    assert brisk.claim(name, "other")
    assert not brisk.beat(name, "slow", 0.5)
    assert not brisk.finish(name, "slow")
    assert brisk.finish(name, "other")
    assert place.job(name).state is State.DONE


def test_who_was_taken_for_lost_goes_on_where_nobody_else_began(place: Place, brisk: JobStore) -> None:
    name = brisk.open(place.order("wav", ("t", "1,2")), SHORT)[1].id
    assert brisk.claim(name, "one")
    time.sleep(1.1)
    assert brisk.overdue()
    assert place.job(name).state is State.QUEUED
    assert brisk.beat(name, "one", 0.5)
    assert place.job(name).state is State.RUNNING
    assert brisk.claim(name, "other") is None
    assert brisk.finish(name, "one")


def test_messages_are_sent_again_ever_more_seldom(place: Place, brisk: JobStore) -> None:
    name = brisk.open(place.order("wav", ("t", "1,2")), SHORT)[1].id
    for wait in (0.2, 0.4, 0.8):
        began = time.monotonic()
        brisk.sent(name)
        until(lambda: brisk.overdue() == [(name, SHORT)], 30, "it is overdue")
        # Redis counts by another clock.
        assert time.monotonic() - began > 0.95 * wait


def test_a_foreign_record_is_no_job(place: Place, brisk: JobStore) -> None:
    from redis import Redis

    order = replace(place.order("wav", ("t", "1,2")), work_seconds=1.0)
    with Redis.from_url(place.settings.jobs_state) as redis:
        redis.hset(f"{place.settings.jobs_name}:job:{order.id}", mapping={"state": "queued", "sent": "1"})
    assert brisk.get(order.id) is None
    assert brisk.get("../etc/passwd") is None
