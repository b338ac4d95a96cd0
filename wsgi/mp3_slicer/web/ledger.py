"""The record of each request: counted for `/metrics`, and written to the log of requests."""

import itertools
import os
import re
import secrets
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mp3_slicer.counts.cells import Cells
from mp3_slicer.counts.log import LineLog, moment, text, trace_id
from mp3_slicer.counts.metrics import (
    BUSY,
    INDEX,
    QUEUE_SECONDS,
    REFUSALS,
    RENDER_SECONDS,
    REQUEST_SECONDS,
    REQUESTS,
    RESULTS,
    SECONDS,
    SHARED_REQUESTS,
    STARTED,
    STORE_BYTES,
    STORE_REQUESTS,
    STORE_SECONDS,
    THREADS,
)
from mp3_slicer.signing import redacted

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: An ID of a request that is accepted from its client.
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")
#: The time at which Apache's child passed a request to the process group, in seconds since 1970.
_QUEUED = "mod_wsgi.queue_start"
_MOST_TARGET = 8192
#: Position of the sum in a histogram.
_SUM = REQUEST_SECONDS.size - 1


class Record:
    """One request while it is answered."""

    __slots__ = (
        "asked",
        "began",
        "bytes",
        "id",
        "job",
        "method",
        "notes",
        "queued",
        "reason",
        "route",
        "status",
        "target",
        "trace",
    )

    def __init__(self, environ: "WSGIEnvironment", name: str) -> None:
        self.id = name
        self.asked = time.time()
        self.began = time.monotonic()
        stamp = environ.get(_QUEUED)
        queued = max(0.0, self.asked - float(stamp)) if stamp else None
        #: Seconds; None if unknown. mod_wsgi answers requests that wait longer, so a larger value is a clock that was set forward.
        self.queued = queued if queued is not None and queued <= SECONDS[-1] else None
        self.method: str = environ["REQUEST_METHOD"]
        self.target: str = redacted(environ.get("REQUEST_URI") or environ["PATH_INFO"])
        self.route = "none"
        self.reason = ""
        self.trace = ""  #: the traceparent of a trusted proxy (W3C Trace Context); empty without one
        self.job = ""
        self.status = 500
        self.bytes = 0
        #: Work and its outcome, like ("index", "memory"), with its seconds where they count.
        self.notes: list[tuple[str, str, float]] = []

    def note(self, what: str, outcome: str, seconds: float = 0.0) -> None:
        """Note work for the request: its kind, its outcome and its seconds."""
        self.notes.append((what, outcome, seconds))


class Ledger:
    """Keeps the records of a process. One object for all threads."""

    def __init__(self, cells: Cells, log: LineLog | None, group: str, threads: int) -> None:
        """`group` is the process group, `threads` how many of them answer requests."""
        self._cells = cells
        self._log = log
        self._group = group
        self._labels = (group,)
        self._first = secrets.token_hex(8)
        self._count = itertools.count(1)
        self._pid = os.getpid()
        #: By route and class of status: the offsets of their requests and seconds. At most one for each of these.
        self._offsets: dict[tuple[str, int], tuple[int, int]] = {}
        with cells.lock:
            cells.add(STARTED, self._labels)
            cells.add(THREADS, self._labels, threads)
            self._busy = cells.offset(BUSY, self._labels)
            self._queue = cells.offset(QUEUE_SECONDS, self._labels)

    def begin(self, environ: "WSGIEnvironment") -> Record:
        """Return the record of a request that begins."""
        name = environ.get("HTTP_X_REQUEST_ID", "")
        if not name or not _ID.fullmatch(name):
            name = f"{self._first}{next(self._count):016x}"
        record = Record(environ, name)
        with self._cells.lock:
            self._cells.values[self._busy] += 1
        return record

    def told(self, outcome: str, seconds: float, count: int) -> None:
        """Count a request to the store of media: what came of it, its seconds, the bytes of its answer."""
        cells = self._cells
        with cells.lock:
            cells.add(STORE_REQUESTS, (self._group, outcome))
            if outcome not in {"retried", "refused"}:
                cells.add(STORE_BYTES, self._labels, count)
                cells.observe(STORE_SECONDS, self._labels, seconds)

    def told_shared(self, outcome: str, seconds: float, count: int) -> None:
        """Count a request to the store of shared indexes and results: what came of it."""
        cells = self._cells
        with cells.lock:
            cells.add(SHARED_REQUESTS, (self._group, outcome))

    def end(self, record: Record) -> None:
        """End a request: its response is sent, or its client is gone."""
        seconds = time.monotonic() - record.began
        cells, group, queued = self._cells, self._group, record.queued
        values = cells.values
        with cells.lock:
            requests, times = self._offsets.get((record.route, record.status // 100)) or self._new(record)
            values[requests] += 1
            values[times + bisect_left(SECONDS, seconds)] += 1
            values[times + _SUM] += seconds
            if queued is not None:
                values[self._queue + bisect_left(SECONDS, queued)] += 1
                values[self._queue + _SUM] += queued
            if record.reason:
                cells.add(REFUSALS, (group, record.reason))
            for what, outcome, took in record.notes:
                if what == "index":
                    cells.add(INDEX, (group, outcome))
                else:
                    cells.add(RESULTS, (group, what, outcome))
                    if outcome == "made":
                        cells.observe(RENDER_SECONDS, (group, what), took)
            # The last: an exception that ends a request which overstays must not count it twice.
            values[self._busy] -= 1
        if self._log is not None:
            self._log.write(self._line(record, seconds))

    def _new(self, record: Record) -> tuple[int, int]:
        """The offsets for a route and class of status that occur for the first time."""
        number = record.status // 100
        offsets = (
            self._cells.offset(REQUESTS, (self._group, record.route, _CLASSES[number])),
            self._cells.offset(REQUEST_SECONDS, (self._group, record.route)),
        )
        self._offsets[record.route, number] = offsets
        return offsets

    def _line(self, record: Record, seconds: float) -> str:
        # By hand: five times as quick as json.dumps, and every request pays for it.
        queued = "null" if record.queued is None else f"{1000 * record.queued:.3f}"
        trace = f'"{trace_id(record.trace)}"' if record.trace else "null"
        done = ", ".join(f'"{what}:{outcome}"' for what, outcome, _ in record.notes)
        return (
            f'{{"time": "{moment(record.asked)}", "request_id": "{record.id}", "trace_id": {trace}, '
            f'"group": "{self._group}", "pid": {self._pid}, '
            f'"method": {text(record.method)}, "target": {text(record.target[:_MOST_TARGET])}, "route": "{record.route}", '
            f'"status": {record.status}, "bytes": {record.bytes}, "ms": {1000 * seconds:.3f}, "queue_ms": {queued}, '
            f'"done": [{done}], "reason": {text(record.reason) if record.reason else "null"}, '
            f'"job": {text(record.job) if record.job else "null"}}}'
        )


class Watched:
    """A body whose bytes are counted, and whose end is the request's."""

    __slots__ = ("_body", "_ledger", "_record")

    def __init__(self, body: Iterable[bytes], record: Record, ledger: Ledger) -> None:
        self._body = body
        self._record = record
        self._ledger: Ledger | None = ledger

    def __iter__(self) -> Iterator[bytes]:
        record = self._record
        for piece in self._body:
            record.bytes += len(piece)
            yield piece

    def close(self) -> None:
        """End the request. The server calls this once the body is sent, or cannot be sent any further (PEP 3333)."""
        ledger, self._ledger = self._ledger, None
        close: Callable[[], Any] | None = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            if ledger is not None:
                ledger.end(self._record)
