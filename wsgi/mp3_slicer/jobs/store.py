"""The jobs in Redis: every change is one of the scripts in `transitions`, so any number of servers and workers may make them at once."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from mp3_slicer.failures import LOST, MISTAKE, Failure
from mp3_slicer.jobs import transitions
from mp3_slicer.jobs.errors import JobsBusyError, JobsDownError, JobsShareError, JobsTokenError
from mp3_slicer.jobs.job import FINAL, Job, State
from mp3_slicer.jobs.order import ID, LANES, Order

#: Jobs that are looked after at one time.
_BATCH = 100
#: Expiry of a job that is never finished, in seconds: longer than any queue.
_ACTIVE_SECONDS = 7 * 86_400
#: Expiry of a cancelled job at most, in seconds; until then it counts against its client's share.
_CANCELLED_SECONDS = 300
#: Jobs that are counted at most: Redis does nothing else meanwhile.
_MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Timeouts, in seconds, after which something counts as lost."""

    lease: float = 10.0  #: a running job of which nothing was heard
    queued: float = 60.0  #: a queued one whose message was sent; twice as long with each time it is sent
    again: float = 5.0  #: one that another worker is looking after


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The jobs of a site as numbers, by lane."""

    now: dict[tuple[str, str], int]  #: queued and running
    ever: dict[tuple[str, str], int]  #: opened, done, failed, cancelled; never falling
    seconds: dict[str, float]  #: of work on jobs that are done or failed
    #: Of Redis itself, as far as it tells: used and most bytes of memory (0: no limit), 1 if it saves.
    store: Mapping[str, float]


class Asker(NamedTuple):
    """The client's request for a job. A new job carries its ID and trace to the worker."""

    request: str = ""  #: its ID
    trace: str = ""  #: its traceparent (W3C Trace Context); empty without one
    client: str = ""  #: the client; empty if unknown
    token: str = ""  #: the client's right to cancel the job for itself; empty for none


#: Of an unknown request.
NOBODY = Asker()


class Claimed(NamedTuple):
    """A job that a worker has taken."""

    order: Order
    request: str  #: the ID of the request for it
    trace: str  #: the traceparent of that request; empty without one


class JobStore:
    """The jobs of one name in one Redis. Safe for any number of threads and processes."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        keep_seconds: int = 86_400,
        most: int = 1000,
        most_of_client: int = 100,
        attempts: int = 5,
        timeout: float = 1.0,
        patience: Patience = Patience(),
    ) -> None:
        """`keep_seconds` is for what is finished, `timeout` for each answer of Redis.

        `most` is for the jobs of a lane that are queued or running, `most_of_client` for those of one client.
        """
        self._redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # A client that waits gets its error at once; workers try again by themselves.
            retry=Retry(NoBackoff(), 1),
            health_check_interval=30,
        )
        self._prefix = f"{name}:job:"
        self._active = f"{name}:active"
        self._outbox = f"{name}:outbox"
        self._counts = f"{name}:counts"
        self._name = name
        self._keep = keep_seconds
        self._most = most
        self._most_of_client = most_of_client
        self._attempts = attempts
        self._patience = patience
        self._timeout = timeout
        script = self._redis.register_script
        self._open = script(transitions.OPEN)
        self._claim = script(transitions.CLAIM)
        self._beat = script(transitions.BEAT)
        self._finish = script(transitions.FINISH)
        self._cancel = script(transitions.CANCEL)
        self._overdue = script(transitions.OVERDUE)
        self._census = script(transitions.CENSUS)

    def open(
        self, order: Order, lane: str, asker: Asker = NOBODY, *, again: bool = False
    ) -> tuple[Literal["new", "unsent", "known"], Job]:
        """Return the job of an order, created if there is none; `again` repeats one that is done, because its result is gone.

        A job that is "new" or "unsent" must be sent to a worker; then call `sent`.
        Raises JobsBusyError, JobsShareError, JobsDownError.
        """
        name = order.id
        with _down():
            became, now, flat = self._open(
                # No empty key: Redis refuses it to a user who is limited to a prefix.
                keys=[*self._keys(name), *self._client(asker.client)],
                args=[
                    *(name, order.to_json(), lane, self._most, _ACTIVE_SECONDS, "1" if again else "0"),
                    *(asker.request, asker.token, self._most_of_client, transitions.MOST_TOKENS, asker.trace),
                ],
            )
        if became == "full":
            raise JobsBusyError(f"{self._most} jobs are waiting in the {lane} lane already; try again later")
        if became == "share":
            raise JobsShareError(
                f"{self._most_of_client} jobs of this client are waiting already, or were cancelled just now; try again later"
            )
        job = _job(name, dict(zip(flat[::2], flat[1::2], strict=True)), int(now) / 1000)
        if job is None:  # written by another version or program
            raise JobsDownError("what Redis has of the job cannot be read")
        return became, job

    def sent(self, name: str) -> None:
        """Note that a job's message is with the broker. Raises JobsDownError where that is known at once.

        A client waits meanwhile, so Redis sends no reply (its command CLIENT REPLY SKIP): after a lost note the message is sent once more,
        which does no harm.
        """
        note = ("EVAL", transitions.SENT, 2, *self._keys(name)[:2], name, _milliseconds(self._patience.queued))
        with _down():
            connection = self._redis.connection_pool.get_connection()
            try:
                packed = connection.pack_commands([("CLIENT", "REPLY", "SKIP"), note])  # type: ignore[no-untyped-call]
                connection.send_packed_command(packed)  # type: ignore[no-untyped-call]
            finally:
                self._redis.connection_pool.release(connection)

    def get(self, name: str) -> Job | None:
        """A job as it is now; None if it does not exist or has expired. Raises JobsDownError."""
        if not ID.fullmatch(name):
            return None
        with _down():
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(self._prefix + name)
            pipe.time()
            fields, (seconds, micros) = pipe.execute()
        return _job(name, fields, seconds + micros / 1e6)

    def claim(self, name: str, token: str) -> Claimed | None:
        """Take a job for the worker called `token`.

        None where it needs no work, or another worker has it. Raises JobsDownError.
        """
        with _down():
            found = self._claim(
                keys=self._keys(name),
                args=[name, token, self._lease, self._attempts, json.dumps(LOST.problem), self._keep],
            )
        if not found:
            return None
        try:
            order = Order.from_json(found[0])
            if order.id == name:
                return Claimed(order, found[1], found[2])
        except (ValueError, TypeError, KeyError):
            pass
        # Written by another version or program: no worker can do it.
        self.finish(name, token, MISTAKE)
        return None

    def beat(self, name: str, token: str, progress: float) -> bool:
        """Renew the lease; False if the job is cancelled or another worker's: then the work must stop. Raises JobsDownError."""
        with _down():
            return bool(self._beat(keys=self._keys(name), args=[name, token, self._lease, f"{progress:.4f}"]))

    def finish(self, name: str, token: str, failure: Failure | None = None) -> bool:
        """Record that a job is done or has failed; False if this worker had lost it. Raises JobsDownError."""
        state = State.DONE if failure is None else State.FAILED
        problem = "" if failure is None else json.dumps(failure.problem)
        hopeless = "1" if failure is not None and failure.status < 500 else "0"
        with _down():
            return bool(
                self._finish(keys=self._keys(name), args=[name, token, state.value, problem, hopeless, self._keep])
            )

    def cancel(self, name: str, token: str = "") -> Job | None:
        """Cancel a job, and return it as it is then; one that has ended stays as it was.

        With a client's token it goes on if other clients have submitted it too. Raises JobsDownError, JobsTokenError.
        """
        if not ID.fullmatch(name):
            return None
        with _down():
            became = self._cancel(keys=self._keys(name), args=[name, min(self._keep, _CANCELLED_SECONDS), token])
        if became == "token":
            raise JobsTokenError("the token is not one that was given with this job")
        return self.get(name)

    def overdue(self) -> list[tuple[str, str]]:
        """Names and lanes of jobs that must be sent again, each given to one caller only. Raises JobsDownError."""
        with _down():
            found = self._overdue(
                keys=[self._active], args=[self._prefix, _BATCH, _milliseconds(self._patience.again), " ".join(LANES)]
            )
        return [(name, lane) for name, lane in zip(found[::2], found[1::2], strict=True) if lane in LANES]

    def active(self, most: int = 10_000) -> list[str]:
        """Names of jobs that are queued or running. Raises JobsDownError."""
        with _down():
            found: list[str] = self._redis.zrange(self._active, 0, most - 1)  # type: ignore[assignment]
        return found

    def names(self) -> Iterator[str]:
        """Names of all jobs that are stored. Raises JobsDownError."""
        with _down():
            for key in self._redis.scan_iter(match=self._prefix + "*", count=1000):
                yield key.removeprefix(self._prefix)

    def unpublished(self, most: int = 1000) -> list[str]:
        """Names of jobs with updates to publish, the oldest first and each once; waits a little for one.

        Raises JobsDownError.
        """
        with _down():
            first = self._redis.brpop([self._outbox], timeout=min(1.0, self._timeout / 2))
            if not first:
                return []
            more = self._redis.rpop(self._outbox, most) or []
        return list(dict.fromkeys([first[1], *more]))

    def turn(self, what: str, seconds: float) -> bool:
        """Return whether it is this caller's turn at work that is done once in `seconds` by all workers together. Raises JobsDownError."""
        with _down():
            return bool(self._redis.set(f"{self._name}:turn:{what}", "1", nx=True, px=_milliseconds(seconds)))

    def figures(self) -> Figures:
        """The numbers of jobs, now and ever. Raises JobsDownError."""
        with _down():
            active = self._census(keys=[self._active], args=[self._prefix, _MOST_COUNTED])
            counts: dict[str, str] = self._redis.hgetall(self._counts)  # type: ignore[assignment]
        now = {(lane, state): 0 for lane in LANES for state in (State.QUEUED.value, State.RUNNING.value)}
        for key in zip(active[::2], active[1::2], strict=True):
            if key in now:
                now[key] += 1
        states = ("opened", *sorted(state.value for state in FINAL))
        return Figures(
            now=now,
            ever={(lane, state): int(counts.get(f"{lane}:{state}", 0)) for lane in LANES for state in states},
            seconds={lane: int(counts.get(f"{lane}:milliseconds", 0)) / 1000 for lane in LANES},
            store=self._store_figures(),
        )

    def _store_figures(self) -> dict[str, float]:
        try:
            info: dict[str, str | int] = {**self._redis.info("memory"), **self._redis.info("persistence")}
        except RedisError:  # a user who may not ask
            return {}
        saves = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        return {
            "used": float(info.get("used_memory", 0)),
            "most": float(info.get("maxmemory", 0)),
            "saves": float(all(info.get(name, "ok") == "ok" for name in saves)),
        }

    def ping(self) -> None:
        """Raise JobsDownError unless Redis answers."""
        with _down():
            self._redis.ping()

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    @property
    def _lease(self) -> int:
        return _milliseconds(self._patience.lease)

    def _client(self, client: str) -> list[str]:
        """The key of a client's jobs, which does not contain its address, or none for no client."""
        if not client:
            return []
        return [f"{self._name}:client:{hashlib.blake2b(client.encode(), digest_size=12).hexdigest()}"]

    def _keys(self, name: str) -> list[str]:
        return [self._prefix + name, self._active, self._outbox, self._counts]


def _job(name: str, fields: Mapping[str, str], now: float) -> Job | None:
    """A job from its fields in Redis; None if there are none, or another version or program wrote them."""
    if not fields:
        return None
    try:
        return Job.from_fields(name, fields, now)
    except (ValueError, TypeError, KeyError):
        return None


@contextmanager
def _down() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise JobsDownError(f"Redis cannot be used: {error}"[:200]) from error


def _milliseconds(seconds: float) -> int:
    return max(1, round(1000 * seconds))
