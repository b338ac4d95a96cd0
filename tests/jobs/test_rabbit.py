"""The other broker: messages in quorum queues of a real RabbitMQ, states in Redis."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from kombu.exceptions import OperationalError

from mp3_slicer.jobs import Job, JobsDownError, State
from mp3_slicer.jobs.celery_app import make_app, queue_name
from mp3_slicer.jobs.order import LANES, LONG
from mp3_slicer.settings import Settings, SettingsError
from support.jobs import Authority, Broker, Place
from support.rabbit import SERVER, Rabbit, rabbit_of
from support.server import until

pytestmark = [pytest.mark.long, pytest.mark.skipif(not SERVER.exists(), reason="needs the package rabbitmq-server")]


@pytest.fixture(scope="module")
def rabbit() -> Iterator[Rabbit]:
    with rabbit_of() as running:
        yield running


@pytest.fixture
def place(at: Callable[..., Place], broker: Broker, rabbit: Rabbit) -> Place:
    return at(broker, SLICER_JOBS_BROKER=rabbit.url, SLICER_JOBS_STORE=broker.url)


def test_jobs_are_done(place: Place) -> None:
    place.worker("--short", "1", "--long", "1")
    jobs = [place.queue.submit(place.order("wav", ("t", f"0,{number}"))) for number in range(1, 6)]
    jobs.append(place.queue.submit(place.order("opus", ("t", "0,400"), name="hour.mp3")))
    for job in jobs:
        done = place.ended(job.id)
        assert (done.state, done.attempts) == (State.DONE, 1)


def test_a_killed_process_costs_no_job(place: Place) -> None:
    worker = place.worker("--short", "0", "--long", "1")
    job = place.queue.submit(place.order("opus", ("t", "0,600"), name="hour.mp3"))
    until(worker.ffmpegs, 60, "it is being worked on")
    os.kill(worker.processes(LONG)[0], signal.SIGKILL)
    done = place.ended(job.id, 120)
    assert (done.state, done.attempts) == (State.DONE, 2)


def queues_are_kept(place: Place) -> None:
    """Wait until the broker has the queues on its disk.

    RabbitMQ before 4.0 writes down the name of a quorum queue half a second after it was made (Ra before 2.11, `names.dets`). Killed
    before that, it makes an empty one in its place, which never has a leader.
    """
    app = make_app(place.settings)

    def made() -> bool:
        with contextlib.suppress(*app.connection_for_read().channel_errors), app.connection_for_read() as connection:
            for lane in LANES:
                with connection.channel() as channel:
                    channel.queue_declare(queue_name(place.settings.jobs_name, lane), passive=True)
            return True
        return False

    until(made, 60, "both queues are there")
    time.sleep(1)


def test_a_rabbit_killed_and_started_again_costs_no_job(place: Place, rabbit: Rabbit) -> None:
    worker = place.worker("--short", "1", "--long", "1")
    slow = place.queue.submit(place.order("opus", ("t", "0,600"), name="hour.mp3"))
    until(worker.ffmpegs, 60, "it is being worked on")
    quick = [place.queue.submit(place.order("wav", ("t", f"1,{number}"))) for number in range(2, 8)]
    queues_are_kept(place)
    rabbit.kill()
    with pytest.raises(JobsDownError):
        place.queue.submit(place.order("wav", ("t", "3,4")))
    rabbit.start()
    accepted: list[Job] = []

    def asked_again() -> bool:
        # It answers before its queues have a leader. A client is told to come again.
        with contextlib.suppress(JobsDownError):
            accepted.append(place.queue.submit(place.order("wav", ("t", "3,4"))))
        return bool(accepted)

    until(asked_again, 30, "jobs are accepted again")
    for job in [slow, *quick, *accepted]:
        assert place.ended(job.id, 150).state is State.DONE
    assert place.job(slow.id).attempts == 1


# ------------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Iterator[Rabbit]:
    with rabbit_of(authority=authority) as running:
        yield running


def test_jobs_are_done_over_tls(at: Callable[..., Place], broker: Broker, tls: Rabbit) -> None:
    place = at(broker, SLICER_JOBS_BROKER=tls.url, SLICER_JOBS_STORE=broker.url)
    worker = place.worker("--short", "1", "--long", "0")
    job = place.queue.submit(place.order("wav", ("t", "0,3")))
    assert place.ended(job.id).state is State.DONE
    assert worker.stop() == 0


@pytest.mark.parametrize("worker", [False, True])
@pytest.mark.parametrize("what", ["no authority", "another name", "no TLS"])
def test_a_rabbit_that_cannot_be_checked_gets_no_password(
    at: Callable[..., Place], broker: Broker, tls: Rabbit, what: str, worker: bool
) -> None:
    url = {
        "no authority": tls.url.partition("?")[0],
        "another name": tls.url.replace("@127.0.0.1:", "@127.1:"),
        "no TLS": tls.url.partition("?")[0].replace("amqps://", "amqp://"),
    }[what]
    place = at(broker, SLICER_JOBS_BROKER=tls.url, SLICER_JOBS_STORE=broker.url)
    with make_app(replace(place.settings, jobs_broker=url), worker=worker).connection_for_write() as connection:
        with pytest.raises((OperationalError, OSError)) as caught:
            connection.ensure_connection(max_retries=1, interval_start=0)
        assert "certificate" in str(caught.value).lower() or what == "no TLS"


@pytest.mark.parametrize(
    "option", ["ssl_cert_reqs=none", "ssl=false", "ssl_check_hostname=false", "ssl_ca_certs=/x&ssl_version=x"]
)
def test_no_option_of_a_rabbits_url_turns_the_check_off(option: str) -> None:
    environ = {"SLICER_MEDIA": "/", "SLICER_JOBS_STORE": "redis://127.0.0.1/0"}
    Settings.from_environ({**environ, "SLICER_JOBS_BROKER": "amqps://x:word@queue//?ssl_ca_certs=/x&heartbeat=10"})
    with pytest.raises(SettingsError, match="option of TLS") as caught:
        Settings.from_environ({**environ, "SLICER_JOBS_BROKER": f"amqps://x:word@queue//?{option}"})
    assert "word" not in str(caught.value)
