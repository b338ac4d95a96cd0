"""What it costs to count a request and to write its line in the log, against all that a clip takes. Part of `make bench-http`."""

import itertools
import os
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from report import Report
from werkzeug.test import create_environ

from mp3_slicer.counts.folder import Folder
from mp3_slicer.counts.log import LineLog
from mp3_slicer.settings import Settings
from mp3_slicer.web.app import create_app
from mp3_slicer.web.ledger import Ledger

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ROUNDS, REQUESTS = 15, 4000


def measure(report: Report, hour: str) -> None:
    """Add the rows. `hour` is the path of an hour of MP3 in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="slicer-bench-") as work:
        os.mkdir(os.path.join(work, "counts"))
        cells = Folder(os.path.join(work, "counts")).begin()
        log = LineLog(os.path.join(work, "requests.log"))
        environ = create_environ(f"/clips/{os.path.basename(hour)}", query_string="t=100,110")
        environ["mod_wsgi.queue_start"] = str(time.time())
        counted, logged = Ledger(cells, None, "clips", 3), Ledger(cells, log, "clips", 3)
        app = create_app(Settings(media=os.path.dirname(hour), index_dir=os.path.join(work, "index")))
        _answer(app, environ)
        rounds = [
            (
                _cpu(lambda: _count(counted, environ)),
                _cpu(lambda: _count(logged, environ)),
                _cpu(lambda: _answer(app, environ)),
            )
            for _ in range(ROUNDS)
        ]
    report.row("counting a request, CPU", [without for without, _, _ in rounds], "µs")
    report.row("counting and its line in the log, CPU", [each for _, each, _ in rounds], "µs")
    report.row("a whole clip in the application, counted, CPU", [clip for _, _, clip in rounds], "µs")
    report.row("part of it that is counting", [without / clip for without, _, clip in rounds], "")


def _cpu(call: Callable[[], None]) -> float:
    """Microseconds of CPU that a call takes."""
    began = time.thread_time()
    for _ in itertools.repeat(None, REQUESTS):
        call()
    return 1e6 * (time.thread_time() - began) / REQUESTS


def _count(ledger: Ledger, environ: "WSGIEnvironment") -> None:
    record = ledger.begin(environ)
    record.route, record.status, record.bytes = "clips", 200, 161226
    record.note("index", "memory")
    ledger.end(record)


def _answer(app: Callable[..., object], environ: "WSGIEnvironment") -> None:
    body = app(dict(environ), lambda status, headers: None)
    for _ in body:  # type: ignore[attr-defined]
        pass
    body.close()  # type: ignore[attr-defined]
