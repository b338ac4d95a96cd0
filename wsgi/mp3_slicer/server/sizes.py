"""Every number Apache and mod_wsgi are started with, derived from three: CPUs, memory and backlog."""

import math
from dataclasses import dataclass
from fractions import Fraction

from mp3_slicer.errors import SlicerError

MIB = 1 << 20
GIB = 1 << 30

DEFAULT_BACKLOG = 4
LEAST_MEMORY = 256 * MIB
MOST_CPUS = 256
MOST_BACKLOG = 256

MOST_MAX_REQUESTS = 10**9
DEFAULT_REQUEST_TIMEOUT = 30
MOST_REQUEST_TIMEOUT = 3600

# A render may take this much memory for its decoded span and its encoder, at the least and at the most.
LEAST_RENDER_MEMORY = 192 * MIB
MOST_RENDER_MEMORY = GIB

# The kernel counts what is set aside, not what is used: threads' stacks alone are 56 MiB of the 67 MiB that a clips process
# counts at rest (measured). The indexes it keeps come on top, and the one that it is making.
LEAST_CLIPS_MEMORY = 192 * MIB
MOST_CLIPS_MEMORY = GIB
RESERVED_CLIPS_MEMORY = 128 * MIB

# Threads of a clips process: of a folder, and of a store without and with its latency. What is reserved above suffices for the second;
# each thread beyond counts its stack and the piece that it reads.
_FOLDER_THREADS = 3
_STORE_THREADS = 8
MOST_STORE_THREADS = 64
_THREAD_MEMORY = 9 * MIB
# The milliseconds of CPU that a clip of a store takes at the least, by which one process, with one CPU, has clips that wait. Not more
# than `slicer plan` counts for it (clip-cpu + store-cpu); `make bench-objects` measures it, and clips a second with these threads.
CLIP_MILLISECONDS = 1
MOST_STORE_MILLISECONDS = 5000

# Connections of a proxy beyond Apache's children wait in the kernel's queue, which keeps some places for other clients.
_PROXY_PLACES_PER_CPU = 64
_OTHERS_PLACES = 52
# Idle connections that a proxy may keep: under load, one serves one request after another (`make bench-edge`).
_KEPT_PER_CPU = 4
_MOST_KEPT = 128

# Share of the request timeout for work: the rest is for finding the source, storing the result and beginning to send it.
_WORK_SHARE = Fraction(5, 6)


class SizesError(SlicerError):
    """A value is out of its range; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The numbers of one server. Times are seconds, memory is bytes, backlogs are waiting requests.

    The meaning of each is on mod_wsgi's page of the directive WSGIDaemonProcess.
    """

    cpus: int
    memory_bytes: int
    backlog: int

    clips_processes: int
    clips_threads: int
    clips_backlog: int
    clips_memory_bytes: int
    renders_processes: int
    renders_threads: int
    renders_backlog: int
    renders_memory_bytes: int
    spare_workers: int
    max_requests: int = 0
    """Requests after which a daemon is replaced; 0 is never."""

    connect_timeout: int = 3
    renders_connect_timeout: int = 0
    """0 is at once: a second of waiting for a place would hold one of Apache's processes for each render that is refused."""
    queue_timeout: int = 10
    request_timeout: int = DEFAULT_REQUEST_TIMEOUT
    interrupt_timeout: int = 10
    socket_timeout: int
    graceful_timeout: int = 15
    eviction_timeout: int = 30
    shutdown_timeout: int = 5
    startup_timeout: int = 15
    deadlock_timeout: int = 60
    header_timeout: int = 10
    retry_after: int = 2
    listen_backlog: int = 500
    keep_alive_timeout: int = 2
    """Longer than a proxy keeps an idle connection, so that it is the proxy that closes it. A server that stops waits for that."""

    @property
    def clips_reserved_bytes(self) -> int:
        """Memory of a clips process that is not for indexes."""
        return RESERVED_CLIPS_MEMORY + max(0, self.clips_threads - _STORE_THREADS) * _THREAD_MEMORY

    @property
    def clips_workers(self) -> int:
        """Apache processes that clips can keep busy: one for each request worked on or waiting."""
        return self.clips_processes * self.clips_threads + self.clips_backlog

    @property
    def renders_workers(self) -> int:
        """Apache processes that renders can keep busy: one for each request worked on or waiting."""
        return self.renders_processes * self.renders_threads + self.renders_backlog

    @property
    def max_request_workers(self) -> int:
        """Apache's prefork children: the sum of what both groups and idle connections can hold, and the spare ones that refuse the rest."""
        return self.clips_workers + self.renders_workers + self.edge_kept_connections + self.spare_workers

    @property
    def edge_kept_connections(self) -> int:
        """Idle connections that a proxy in front may keep for its next clip, all its machines together: each holds an Apache process."""
        return min(_KEPT_PER_CPU * self.cpus, _MOST_KEPT)

    @property
    def edge_clips_connections(self) -> int:
        """Connections for clips that a proxy in front may hold open at once, all its machines together.

        More than Apache has children for: clips take milliseconds, so those beyond wait about as long in the kernel's queue,
        which has a place for each of them.
        """
        beyond = min(_PROXY_PLACES_PER_CPU * self.cpus, self.listen_backlog - _OTHERS_PLACES)
        return self.clips_workers + beyond

    @property
    def edge_renders_connections(self) -> int:
        """Connections for renders that a proxy in front may hold open at once: a render that would wait longer is refused there."""
        return self.renders_workers

    @property
    def work_seconds(self) -> Fraction:
        """The longest work on a render or a waveform, in seconds: its own response, which says what to do, must precede mod_wsgi's."""
        return self.request_timeout * _WORK_SHARE

    @property
    def edge_read_timeout(self) -> int:
        """Read timeout of a proxy in front, in seconds: longer than Apache's, whose own response names the error."""
        return self.connect_timeout + self.socket_timeout + 5

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, value, why) of each choice, for people to read."""
        return [
            ("CPUs", str(self.cpus), "what this process may use (affinity, cgroup)"),
            ("memory", f"{self.memory_bytes // MIB} MiB", "what this process may use (cgroup, machine)"),
            ("clips", f"{self.clips_processes} × {self.clips_threads}", "processes × threads: a process per CPU"),
            ("clips queue", str(self.clips_backlog), "4 × processes × threads, at most 128: a clip takes milliseconds"),
            ("clips memory", f"{self.clips_memory_bytes // MIB} MiB", "limit of each clips process: half of memory"),
            (
                "renders",
                f"{self.renders_processes} × {self.renders_threads}",
                "processes × threads: never slows a clip",
            ),
            ("renders queue", str(self.renders_backlog), "backlog: the renders that may wait"),
            (
                "renders memory",
                f"{self.renders_memory_bytes // MIB} MiB",
                "limit of each render process: half of memory",
            ),
            (
                "Apache workers",
                str(self.max_request_workers),
                f"{self.clips_workers} for clips + {self.renders_workers} for renders + {self.edge_kept_connections} kept "
                f"+ {self.spare_workers} spare",
            ),
            (
                "refusal after",
                f"{self.connect_timeout} s / at once",
                "full queue of clips / renders: 503 with Retry-After",
            ),
            ("queue timeout", f"{self.queue_timeout} s", "waited longer: 504 instead of late work"),
            (
                "request timeout",
                f"{self.request_timeout} s",
                "per group on average; a lone stuck thread gets "
                f"{stuck_seconds(self.request_timeout, self.clips_threads)} s",
            ),
            ("socket timeout", f"{self.socket_timeout} s", "longer than the longest request"),
            ("max requests", str(self.max_requests or "none"), "requests after which a daemon is replaced"),
            (
                "proxy may hold",
                f"{self.edge_clips_connections} + {self.edge_renders_connections}",
                f"connections, clips + renders; its read timeout is {self.edge_read_timeout} s",
            ),
            ("proxy may keep", str(self.edge_kept_connections), "idle connections, for its next clips"),
        ]

    def defines(self) -> dict[str, str]:
        """The `Define`s that apache/slicer.conf is written with."""
        return {
            "SLICER_MAX_REQUESTS": str(self.max_requests),
            "SLICER_RENDERS_PROCESSES": str(self.renders_processes),
            "SLICER_RENDERS_MEMORY_BYTES": str(self.renders_memory_bytes),
            "SLICER_RENDERS_BACKLOG": str(self.renders_backlog),
            "SLICER_RENDERS_CONNECT_TIMEOUT": str(self.renders_connect_timeout),
            "SLICER_QUEUE_TIMEOUT": str(self.queue_timeout),
            "SLICER_REQUEST_TIMEOUT": str(self.request_timeout),
            "SLICER_INTERRUPT_TIMEOUT": str(self.interrupt_timeout),
            "SLICER_SOCKET_TIMEOUT": str(self.socket_timeout),
            "SLICER_STARTUP_TIMEOUT": str(self.startup_timeout),
            "SLICER_DEADLOCK_TIMEOUT": str(self.deadlock_timeout),
            "SLICER_GRACEFUL_TIMEOUT": str(self.graceful_timeout),
            "SLICER_EVICTION_TIMEOUT": str(self.eviction_timeout),
            "SLICER_SHUTDOWN_TIMEOUT": str(self.shutdown_timeout),
            "SLICER_RETRY_AFTER": str(self.retry_after),
        }


def stuck_seconds(request_timeout: int, threads: int) -> int:
    """Return the seconds after which mod_wsgi 6 ends one stuck request of a process with `threads` threads, rounded up.

    It allows request-timeout × (1 + ln threads) and looks once a second (measured; user guide request-pipeline).
    """
    return math.ceil(request_timeout * (1 + math.log(threads))) + 1


def compute(
    cpus: int,
    memory_bytes: int,
    backlog: int = DEFAULT_BACKLOG,
    *,
    request_timeout: int = DEFAULT_REQUEST_TIMEOUT,
    max_requests: int = 0,
    clips_memory_bytes: int | None = None,
    is_remote: bool = False,
    store_milliseconds: int = 0,
) -> Sizes:
    """The sizes for `cpus` CPUs, `memory_bytes` of memory and `backlog` waiting renders.

    With `is_remote`, the media are in a store, which takes `store_milliseconds` to answer (0: unknown). `request_timeout` is seconds,
    `max_requests` the requests of a daemon's life (0: no end), and `clips_memory_bytes` the limit of each clips process (None: half of
    the memory, shared, within bounds). Raises SizesError, naming the value, that is out of its range.
    """
    _check(cpus, memory_bytes, backlog, request_timeout, max_requests, store_milliseconds)
    if clips_memory_bytes is None:
        clips_memory_bytes = min(max(memory_bytes // 2 // cpus, LEAST_CLIPS_MEMORY), MOST_CLIPS_MEMORY)
    elif clips_memory_bytes < LEAST_CLIPS_MEMORY:
        raise SizesError(f"clips-memory={clips_memory_bytes} is less than {LEAST_CLIPS_MEMORY} bytes (192 MiB)")
    # While one thread waits for the disk or a slow client's socket, another has the CPU. Most wait where each clip waits for a store.
    threads = _store_threads(store_milliseconds, clips_memory_bytes) if is_remote else _FOLDER_THREADS
    # Renders share half of the memory; fewer processes where each would get too little.
    renders = max(1, min(cpus, memory_bytes // 2 // LEAST_RENDER_MEMORY))
    interrupt_timeout = 10
    return Sizes(
        cpus=cpus,
        memory_bytes=memory_bytes,
        backlog=backlog,
        clips_processes=cpus,
        clips_threads=threads,
        clips_backlog=min(4 * cpus * threads, 128),
        clips_memory_bytes=clips_memory_bytes,
        renders_processes=renders,
        renders_threads=1,
        renders_backlog=backlog,
        renders_memory_bytes=min(memory_bytes // 2 // renders, MOST_RENDER_MEMORY),
        # Health checks, error documents and refusals need an Apache process while both groups are full. Each group
        # also takes one request more than its backlog: Linux queues backlog + 1 connections on a socket.
        spare_workers=max(8, 2 * cpus),
        max_requests=max_requests,
        request_timeout=request_timeout,
        interrupt_timeout=interrupt_timeout,
        # Longer than a stuck request lives, or Apache would give up first and the daemon's own answer would be lost.
        socket_timeout=stuck_seconds(request_timeout, threads) + interrupt_timeout + 5,
        # Long work may finish before its process is replaced.
        eviction_timeout=max(30, request_timeout),
    )


def _store_threads(store_milliseconds: int, clips_memory_bytes: int) -> int:
    """Return the threads with which a process uses a whole CPU: one for the clip that has it, the others wait for the store.

    They leave as much of the memory to indexes as a process of the least memory has.
    """
    wanted = 1 + store_milliseconds // CLIP_MILLISECONDS
    most = _STORE_THREADS + (clips_memory_bytes - LEAST_CLIPS_MEMORY) // _THREAD_MEMORY
    return max(_STORE_THREADS, min(wanted, most, MOST_STORE_THREADS))


def _check(
    cpus: int, memory_bytes: int, backlog: int, request_timeout: int, max_requests: int, store_milliseconds: int
) -> None:
    """Raise SizesError, naming the first argument that is out of its range."""
    if not 1 <= cpus <= MOST_CPUS:
        raise SizesError(f"cpus={cpus} is not from 1 to {MOST_CPUS}")
    if memory_bytes < LEAST_MEMORY:
        raise SizesError(f"memory={memory_bytes} is less than the {LEAST_MEMORY} bytes (256 MiB) that Slicer needs")
    if not 1 <= backlog <= MOST_BACKLOG:
        raise SizesError(f"backlog={backlog} is not from 1 to {MOST_BACKLOG}")
    if not 1 <= request_timeout <= MOST_REQUEST_TIMEOUT:
        raise SizesError(f"request-timeout={request_timeout} is not from 1 to {MOST_REQUEST_TIMEOUT} seconds")
    if not 0 <= max_requests <= MOST_MAX_REQUESTS:
        raise SizesError(f"max-requests={max_requests} is not from 1 to {MOST_MAX_REQUESTS}, or 0 for no end")
    if not 0 <= store_milliseconds <= MOST_STORE_MILLISECONDS:
        raise SizesError(f"store-milliseconds={store_milliseconds} is not from 0 to {MOST_STORE_MILLISECONDS}")
