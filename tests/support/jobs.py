"""A real Redis and real workers for tests, each in its own folder and on a free port."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from redis import Redis, RedisError

from mp3_slicer.jobs import FINAL, Job, Order
from mp3_slicer.jobs.jobqueue import JobQueue
from mp3_slicer.jobs.order import peaks_order, render_order, url_of
from mp3_slicer.jobs.work import job_limits
from mp3_slicer.media.library import Library
from mp3_slicer.media.store import IndexStore
from mp3_slicer.render import PeaksRequest, RenderRequest, Results
from mp3_slicer.server.express import RUN_USER
from mp3_slicer.settings import Settings
from support.server import arguments, children_of, descendants, free_port, status, until

START_SECONDS = 40
PASSWORD = "secret-of-the-tests"


class Authority:
    """A certificate authority of its own, which makes certificates for one address or name."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.certificate = os.path.join(place, "ca.pem")
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority"
        # From Python 3.13 on, a CA without it is refused, and a certificate that does not name the key of its CA.
        words += " -addext keyUsage=critical,keyCertSign,cRLSign"
        self._run(*words.split(), "-keyout", self._at("ca.key"), "-out", self.certificate)

    def issue(self, name: str) -> tuple[str, str]:
        """A certificate for a name as in subjectAltName, like IP:127.0.0.1, and its key: two files."""
        stem = name.replace(":", "-")
        key, request, chain = (self._at(f"{stem}.{kind}") for kind in ("key", "csr", "pem"))
        words = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=queue"
        self._run(*words.split(), "-keyout", key, "-out", request)
        pathlib.Path(self._at("names")).write_text(
            f"subjectAltName={name}\nauthorityKeyIdentifier=keyid\n", encoding="ascii"
        )
        words = "x509 -req -days 2 -CAcreateserial"
        given = ["-CA", self.certificate, "-CAkey", self._at("ca.key"), "-extfile", self._at("names")]
        self._run(*words.split(), *given, "-in", request, "-out", chain)
        return chain, key

    def _at(self, name: str) -> str:
        return os.path.join(self._place, name)

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, stdin=subprocess.DEVNULL)


class Broker:
    """One running redis-server that writes what it is told to its disk before it answers."""

    def __init__(self, *, authority: Authority | None = None, names: str = "IP:127.0.0.1") -> None:
        """With an authority it speaks TLS alone, with a certificate for `names`."""
        self.work = tempfile.mkdtemp(prefix="slicer-redis-")
        self.port = free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self._listen = ["--port", str(self.port)]
        if authority is not None:
            self.url = f"rediss{self.url.removeprefix('redis')}?ssl_ca_certs={authority.certificate}"
            chain, key = authority.issue(names)
            self._listen = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            self._listen += ["--tls-cert-file", chain, "--tls-key-file", key]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        words = [*self._listen, "--bind", "127.0.0.1", "--dir", self.work, "--requirepass", PASSWORD]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--logfile", "log"]
        self.process = subprocess.Popen(["/usr/bin/redis-server", *words], stdin=subprocess.DEVNULL)
        until(self.answers, START_SECONDS, "Redis answers")

    def answers(self) -> bool:
        # Whether it answers at all: some tests give it a certificate of another name.
        options = {"ssl_check_hostname": False} if self.url.startswith("rediss") else {}
        with contextlib.suppress(RedisError), Redis.from_url(self.url, socket_timeout=1, **options) as redis:
            return bool(redis.ping())
        return False

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)
        shutil.rmtree(self.work, ignore_errors=True)


class Worker:
    """One running `slicer worker`."""

    def __init__(self, environ: Mapping[str, str], *options: str) -> None:
        self.log_path = pathlib.Path(environ["SLICER_INDEX_DIR"]).parent / f"worker-{time.monotonic_ns()}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mp3_slicer", "worker", *options],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def lanes(self) -> dict[str, int]:
        """The worker of each lane."""
        found = {}
        for pid in children_of(self.pid):
            words = arguments(pid).split()
            if "--lane" in words:
                found[words[words.index("--lane") + 1]] = pid
        return found

    def processes(self, lane: str) -> list[int]:
        """Those of a lane that do jobs."""
        main = self.lanes().get(lane)
        return [pid for pid in children_of(main) if status(pid)] if main else []

    def everything(self) -> list[int]:
        return [pid for pid in descendants(self.pid) if status(pid)]

    def ffmpegs(self) -> list[int]:
        """The children of those that do jobs."""
        return [pid for pid in self.everything() if "ffmpeg" in arguments(pid).split(" ")[0]]

    def kill(self) -> None:
        """As the kernel does, all at once."""
        for pid in self.everything():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 60) -> int:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        return self.process.returncode


class Place:
    """Media, folders, a broker and workers of one site."""

    def __init__(self, media: str, broker: Broker, **settings: str) -> None:
        self.work = tempfile.mkdtemp(prefix="slicer-jobs-")
        os.chmod(self.work, 0o755)
        self.temporary = os.path.join(self.work, "tmp")
        os.mkdir(self.temporary)
        os.chmod(self.temporary, 0o1777)
        self.media = media
        self.broker = broker
        self.environ = {
            "SLICER_MEDIA": media,
            "SLICER_INDEX_DIR": os.path.join(self.work, "index"),
            "SLICER_RESULTS_DIR": os.path.join(self.work, "results"),
            "SLICER_SCRATCH_DIR": os.path.join(self.work, "scratch"),
            "SLICER_JOBS_BROKER": broker.url,
            "TMPDIR": self.temporary,
            # Nothing that an earlier test has left is of this one.
            "SLICER_JOBS_NAME": f"t{time.monotonic_ns()}",
            **settings,
        }
        self.settings = Settings.from_environ(self.environ)
        if os.geteuid() == 0:
            # As a server makes them that root has started.
            for path in (self.settings.index_dir, self.settings.results_dir, self.settings.scratch_dir):
                os.mkdir(path)
                shutil.chown(path, RUN_USER, RUN_USER)
        self.queue = JobQueue(self.settings)
        self.results = Results(self.settings.results_dir, max_bytes=self.settings.results_bytes)
        self._workers: list[Worker] = []

    def worker(self, *options: str, **environ: str) -> Worker:
        worker = Worker({**self.environ, **environ}, *options)
        self._workers.append(worker)
        return worker

    def order(self, form: str, *pairs: tuple[str, str], name: str = "show.mp3") -> Order:
        """Return an order of a render, or for json and dat of a waveform."""
        store = IndexStore(os.path.join(self.work, "own index"), seconds=Fraction(600))
        store.prepare()
        with Library(self.media).open(os.fsencode(name)) as source:
            index = store.get(source)
            path, identity = os.fsencode(name), source.identity
            if form in {"json", "dat"}:
                waveform = PeaksRequest.parse(form, pairs)
                return peaks_order(waveform, path, identity, index, url_of("peaks", path, form, waveform.canonical))
            request = RenderRequest.parse(form, pairs)
            url = url_of("render", path, form, request.canonical)
            return render_order(request, path, identity, index, job_limits(self.settings), url)

    def job(self, name: str) -> Job:
        job = self.queue.store.get(name)
        assert job is not None
        return job

    def until(self, name: str, true: Callable[[Job], object], seconds: float, what: str) -> Job:
        until(lambda: true(self.job(name)), seconds, what)
        return self.job(name)

    def ended(self, name: str, seconds: float = 180) -> Job:
        try:
            return self.until(name, lambda job: job.state in FINAL, seconds, "the job has ended")
        except BaseException:
            print(self.job(name).document, *[worker.log() for worker in self._workers], sep="\n")
            raise

    def close(self) -> None:
        # Shown where a test fails.
        print(*[worker.log() for worker in self._workers], sep="\n")
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGCONT)
            worker.kill()
        shutil.rmtree(self.work, ignore_errors=True)


@contextlib.contextmanager
def broker_of(**options: Any) -> Iterator[Broker]:
    broker = Broker(**options)
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def place_of(media: str, broker: Broker, **settings: str) -> Iterator[Place]:
    place = Place(media, broker, **settings)
    try:
        yield place
    finally:
        place.close()
