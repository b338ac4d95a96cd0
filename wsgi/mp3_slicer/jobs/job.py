"""A job as it is at one moment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from mp3_slicer.jobs.order import LANES, Order


class State(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: States that a job leaves only when it is submitted again.
FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, read at once, so that its fields agree. Times are seconds since 1970 by the clock of Redis."""

    id: str
    order: Order
    state: State
    lane: str  #: the queue it waits in
    progress: float = 0.0  #: from 0 to 1
    asked: float  #: when it was submitted
    started: float | None = None  #: when the current or last attempt began
    finished: float | None = None
    now: float  #: when it was read
    attempts: int = 0  #: number of times that work began
    problem: dict[str, Any] | None = None  #: of a failed one: RFC 9457 members

    @classmethod
    def from_fields(cls, name: str, fields: Mapping[str, str], now: float) -> Self:
        """From what Redis has of it. Raises ValueError, TypeError or KeyError where that is no job."""
        problem = json.loads(fields["problem"]) if fields.get("problem") else None
        order = Order.from_json(fields["order"])
        # Else a writer to Redis could redirect clients of one job to another.
        if order.id != name or fields["lane"] not in LANES or not isinstance(problem, dict | None):
            raise ValueError("it is no job")
        return cls(
            id=name,
            order=order,
            state=State(fields["state"]),
            lane=fields["lane"],
            progress=min(1.0, max(0.0, float(fields.get("progress", 0)))),
            asked=_seconds(fields["asked"]),
            started=_seconds(fields["started"]) if fields.get("started") else None,
            finished=_seconds(fields["finished"]) if fields.get("finished") else None,
            now=now,
            attempts=int(fields.get("attempts", 0)),
            problem=problem,
        )

    @property
    def channel(self) -> str:
        """The channel of its updates: a new one for each submission, so that no client gets an earlier end."""
        return f"{self.id}-{round(self.asked * 1000)}"

    @property
    def seconds_left(self) -> float | None:
        """The estimated time left; None if the job has ended, or waits in the queue."""
        if self.state is not State.RUNNING or self.started is None:
            return None
        gone = max(0.0, self.now - self.started)
        if self.progress >= 0.02:
            return gone * (1 - self.progress) / self.progress
        return max(0.0, self.order.work_seconds - gone)

    @property
    def document(self) -> dict[str, Any]:
        """The job as JSON values, for clients."""
        left = self.seconds_left
        return {
            "id": self.id,
            "state": self.state.value,
            "progress": 1.0 if self.state is State.DONE else round(self.progress, 3),
            "seconds_left": None if left is None else round(left, 1),
            "request": self.order.url,
            "result": self.order.url if self.state is State.DONE else None,
            "problem": self.problem,
            "asked": round(self.asked, 3),
            "started": None if self.started is None else round(self.started, 3),
            "finished": None if self.finished is None else round(self.finished, 3),
        }

    def encoded(self, more: Mapping[str, str] | None = None) -> bytes:
        """The document as JSON, with `more` members, on one line."""
        return (
            json.dumps({**self.document, **(more or {})}, ensure_ascii=False, separators=(", ", ": ")).encode() + b"\n"
        )


def _seconds(milliseconds: str) -> float:
    return int(milliseconds) / 1000
