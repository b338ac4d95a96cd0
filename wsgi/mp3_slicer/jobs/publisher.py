"""Publishes job updates to Nginx, for the clients that it holds (its nchan module). Loopback, or a private network."""

import contextlib
import http.client
import logging
from urllib.parse import urlsplit

from mp3_slicer.jobs.job import FINAL, Job

_LOG = logging.getLogger("slicer")
_SECONDS = 1.0
#: Channels. For later clients Nginx keeps the end of a job and its last state, and no update that only keeps a request alive.
_END, _STATE, _TICK = "end", "state", "tick"


class Publisher:
    """Publishes to each of some addresses. For one thread."""

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._edges = [_Edge(url) for url in urls]

    def tell(self, job: Job) -> None:
        """Publish the state of a job to the clients that follow it, and its end to those that wait for that."""
        for edge in self._edges:
            edge.post(_STATE, job)
            if job.state in FINAL:
                edge.post(_END, job)

    def tick(self, job: Job) -> None:
        """Publish the state of a job to the clients that wait for its end, so that no request is held for long."""
        for edge in self._edges:
            edge.post(_TICK, job)


class _Edge:
    """One Nginx."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
        self._failing = False

    def post(self, channel: str, job: Job) -> None:
        """Publish an update. A failure is logged once; clients see the update when they ask again."""
        for last in (False, True):
            try:
                self._connection.request(
                    "POST",
                    f"{self._path}/{channel}/{job.channel}",
                    # An event's line ends where the line ends.
                    job.encoded().rstrip() if channel == _STATE else job.encoded(),
                    {"Content-Type": "application/json", "X-EventSource-Event": "state"},
                )
                answer = self._connection.getresponse()
                answer.read()
                if answer.status >= 300:
                    raise http.client.HTTPException(f"it answered {answer.status}")
                self._failing = False
                return
            except (OSError, http.client.HTTPException) as error:
                # An idle connection may have been closed meanwhile: once more on a new one.
                with contextlib.suppress(OSError):
                    self._connection.close()
                if last and not self._failing:
                    self._failing = True
                    _LOG.warning("nothing can be published at %s: %s", self._url, error)
