"""The Celery application: which broker, which queues, and how messages are kept until their work is done.

A message holds only a job's name; Redis has the job, and whether it needs work. So a message that arrives twice, or late, does no harm.
"""

import ssl
from urllib.parse import parse_qsl, urlencode

from celery import Celery
from kombu.entity import Exchange, Queue

from mp3_slicer.jobs.errors import JobsError
from mp3_slicer.jobs.order import LANES
from mp3_slicer.jobs.transport import Transport
from mp3_slicer.settings import PREFIX, Settings

#: Seconds by which the soft limit is later than the work's own deadline, and the hard one later than the soft.
_SOFT_AFTER, _HARD_AFTER = 30, 30
#: Jobs after which a process is replaced, and the resident memory, in KiB, at which it is replaced after the job at hand.
_MAX_TASKS, _MAX_KIB = 200, 400 << 10
#: Seconds for a connection, and for each answer.
_CONNECT_SECONDS, _ANSWER_SECONDS = 1.0, 2.0


def make_app(settings: Settings, *, worker: bool = False) -> Celery:
    """The application for `settings.jobs_broker`: for a worker, or for a client that only sends.

    Nothing is global: no other application's settings are read, and this one does not become the current one. Raises ImportError where a
    package is missing that the broker needs, JobsError where its URL is none.
    """
    url, tls = _with_checks(settings.jobs_broker)
    app = Celery("slicer", broker=url, set_as_current=False, loader="celery.loaders.app:AppLoader")
    work = int(settings.job_seconds)
    amqp = settings.jobs_broker.startswith("amqp")
    if worker and not amqp:
        app.conf.broker_transport = f"{Transport.__module__}:{Transport.__qualname__}"
    if tls:
        app.conf.broker_use_ssl = tls
    app.conf.update(
        # Numbers and text in messages: nothing that runs when it is read.
        task_serializer="json",
        accept_content=["json"],
        # The result of a job is kept with its state.
        task_ignore_result=True,
        # The broker keeps a message until its work is done, and delivers that of a killed process again.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # A process takes one message at a time: else one worker hoards messages that others could take.
        worker_prefetch_multiplier=1,
        task_soft_time_limit=work + _SOFT_AFTER,
        task_time_limit=work + _SOFT_AFTER + _HARD_AFTER,
        worker_max_tasks_per_child=_MAX_TASKS,
        worker_max_memory_per_child=_MAX_KIB,
        task_queues=[_queue(settings.jobs_name, lane, quorum=amqp) for lane in LANES],
        task_default_queue=queue_name(settings.jobs_name, LANES[0]),
        task_create_missing_queues=False,
        broker_connection_retry_on_startup=True,
        # The worker waits for the broker without a limit.
        broker_connection_max_retries=None,
        # Work that goes on while the broker is away is done all the same.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options=_transport(settings, work, worker=worker, amqp=amqp),
        broker_connection_timeout=_CONNECT_SECONDS if not worker else 4.0,
        worker_hijack_root_logger=False,
        worker_log_color=False,
    )
    try:
        # The packages of the broker's protocol are loaded only now, and may be missing.
        app.connection_for_write()
    except ValueError:
        raise JobsError(f"{PREFIX}JOBS_BROKER is no URL of a broker, like redis://127.0.0.1:6379/0") from None
    return app


def queue_name(name: str, lane: str) -> str:
    """The name of a lane's queue."""
    return f"{name}.{lane}"


def _with_checks(url: str) -> tuple[str, dict[str, object]]:
    """A broker's URL, and for one with TLS what has Kombu check its certificate and name, which it does not by itself."""
    if url.startswith("rediss://"):
        # Options in the URL, like ssl_ca_certs, come instead, and leave the check on.
        return url, {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    if not url.startswith("amqps://"):
        return url, {}
    # Of such a URL Kombu takes options for Redis, which mean nothing to py-amqp. Without a name here it takes the host's.
    address, _, query = url.partition("?")
    options = dict(parse_qsl(query))
    tls: dict[str, object] = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    if "ssl_ca_certs" in options:
        tls["ca_certs"] = options.pop("ssl_ca_certs")
    return f"{address}?{urlencode(options)}" if options else address, tls


def _queue(name: str, lane: str, *, quorum: bool) -> Queue:
    wanted = queue_name(name, lane)
    # To quorum queues Celery speaks by topics only.
    exchange = Exchange(name, type="topic" if quorum else "direct", durable=True)  # type: ignore[no-untyped-call]
    arguments = {"x-queue-type": "quorum"} if quorum else None
    return Queue(  # type: ignore[no-untyped-call]
        wanted, exchange, routing_key=wanted, durable=True, queue_arguments=arguments
    )


def _transport(settings: Settings, work: int, *, worker: bool, amqp: bool) -> dict[str, object]:
    if amqp:
        # The broker says when it has a message on its disks.
        return {"confirm_publish": True}
    options: dict[str, object] = {
        # Redis delivers a message again that was not confirmed in this time: longer than any job takes.
        "visibility_timeout": work + _SOFT_AFTER + _HARD_AFTER + 600,
        "global_keyprefix": f"{settings.jobs_name}:broker:",
        "socket_keepalive": True,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "health_check_interval": 25,
    }
    if not worker:
        # A client waits while a message is sent.
        options["socket_timeout"] = _ANSWER_SECONDS
    return options
