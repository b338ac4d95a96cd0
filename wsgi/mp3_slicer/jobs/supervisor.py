"""`slicer worker`: start and watch a worker for each lane, send lost jobs again, and publish job updates to held clients."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from types import FrameType

from mp3_slicer.jobs.celery_app import make_app
from mp3_slicer.jobs.errors import JobsDownError
from mp3_slicer.jobs.job import FINAL
from mp3_slicer.jobs.jobqueue import open_store, send
from mp3_slicer.jobs.order import LANES, LONG
from mp3_slicer.jobs.publisher import Publisher
from mp3_slicer.parent import end_with
from mp3_slicer.settings import Settings
from mp3_slicer.timeslice import give_way

_LOG = logging.getLogger("slicer")
#: Seconds between two searches for lost jobs.
_LOOK_SECONDS = 2.0
#: Seconds after which the end of a job is published again, should an Nginx have lost it: nchan identifies messages by their second, so one
#: that shares it with another may be lost. Later clients are answered by the server. Also the number of ends that are remembered.
_REPEAT_SECONDS, _REPEATS = 1.0, 10_000
#: Seconds before a lane's worker that ended is started again.
_AGAIN_SECONDS = 1.0
#: Long jobs give way to short ones where both want a CPU.
_LONG_NICE = 5


def run(settings: Settings, processes: dict[str, int], grace: float) -> int:
    """Work until SIGTERM or SIGINT; then jobs have `grace` seconds to finish, and those that do not are repeated elsewhere.

    `processes` is for each lane. Must be called in the main thread. Returns 0.
    """
    stop = threading.Event()

    def stopping(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stopping)
    upkeep = _Upkeep(settings)
    # Celery's processes leave a folder each where they are killed.
    with tempfile.TemporaryDirectory(prefix="slicer-worker-") as folder:
        lanes = [_Lane(lane, processes[lane], settings, folder) for lane in LANES if processes[lane]]
        try:
            while not stop.is_set():
                for lane in lanes:
                    lane.look()
                upkeep.round(stop)
        finally:
            _end(lanes, grace)
            # Jobs may have ended meanwhile.
            upkeep.publish()
    return 0


class _Lane:
    """The worker of one lane, a process of its own."""

    def __init__(self, lane: str, processes: int, settings: Settings, folder: str) -> None:
        self._lane = lane
        self._processes = processes
        # The settings as they were read here: with the command line's, and with the folders of the starting user, perhaps root.
        self._environ = {**os.environ, **settings.to_environ(), "TMPDIR": folder}
        self.process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0

    def look(self) -> None:
        """Start it if it does not run."""
        if self.process is not None and self.process.poll() is not None:
            _LOG.error(
                "the worker of the lane %s ended with %d; it is started again", self._lane, self.process.returncode
            )
            self.process = None
            self._not_before = time.monotonic() + _AGAIN_SECONDS
        if self.process is None and time.monotonic() >= self._not_before:
            parent = os.getpid()

            def before_exec() -> None:
                # Should we be killed outright, it finishes what it has and ends.
                end_with(parent, signal.SIGTERM)
                give_way(_LONG_NICE if self._lane == LONG else 0)

            words = ["-m", "mp3_slicer", "worker", "--lane", self._lane, f"--{self._lane}", str(self._processes)]
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, *words],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                umask=0o022,
                preexec_fn=before_exec,
                # Ctrl-C reaches only us.
                start_new_session=True,
            )


class _Upkeep:
    """Periodic work for all jobs of a site, by any of its supervisors."""

    def __init__(self, settings: Settings) -> None:
        self._store = open_store(settings)
        self._app = make_app(settings)
        self._name = settings.jobs_name
        self._publisher = Publisher(settings.publishers)
        self._life_seconds = settings.jobs_life_seconds
        self._looked = 0.0
        self._down = False
        #: The time (time.monotonic) of its second publication, and the name, of each job that ended.
        self._ended: deque[tuple[float, str]] = deque(maxlen=_REPEATS)

    def round(self, stop: threading.Event) -> None:
        """Do it all once; takes about half a second where there is nothing to do."""
        try:
            self.publish()
            if time.monotonic() - self._looked >= _LOOK_SECONDS:
                self._looked = time.monotonic()
                self._look()
            self._down = False
        except JobsDownError as error:
            if not self._down:
                self._down = True
                _LOG.warning("%s", error)
            stop.wait(_AGAIN_SECONDS)

    def publish(self) -> None:
        """Publish the updates that are pending."""
        for name in self._store.unpublished():
            job = self._store.get(name)
            if job is not None:
                self._publisher.tell(job)
                if job.state in FINAL:
                    self._ended.append((time.monotonic() + _REPEAT_SECONDS, name))
        while self._ended and self._ended[0][0] <= time.monotonic():
            job = self._store.get(self._ended.popleft()[1])
            if job is not None and job.state in FINAL:
                self._publisher.tell(job)

    def _look(self) -> None:
        for name, lane in self._store.overdue():
            send(self._app, self._name, name, lane)
            self._store.sent(name)
        if self._store.turn("tick", self._life_seconds):
            for name in self._store.active():
                job = self._store.get(name)
                if job is not None:
                    self._publisher.tick(job)


def _end(lanes: list[_Lane], grace: float) -> None:
    """Let the lanes finish, and kill those that have not after `grace` seconds."""
    running = [lane.process for lane in lanes if lane.process is not None]
    for process in running:
        process.terminate()
    end = time.monotonic() + grace
    for process in running:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            # Its own processes are killed with it, by the kernel.
            process.kill()
            process.wait()
