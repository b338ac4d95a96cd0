"""All metrics of a server: name, description, labels. `/metrics`, the dashboard and the alert rules use no others."""

from dataclasses import dataclass
from typing import Literal

#: Upper bounds of the buckets, in seconds: from a quick clip to the longest wait.
SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of numbers, as Prometheus has them (text format 0.0.4)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    doc: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  #: of a histogram, rising, without infinity

    @property
    def size(self) -> int:
        """The number of values of each combination of labels: for a histogram its buckets, the values above them, and the sum."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1


REQUESTS = Metric(
    "slicer_requests_total", "counter", "Requests that the application answered.", ("group", "route", "class")
)
REQUEST_SECONDS = Metric(
    "slicer_request_seconds",
    "histogram",
    "Seconds from the first line of Python to the last byte that Apache took.",
    ("group", "route"),
    SECONDS,
)
QUEUE_SECONDS = Metric(
    "slicer_queue_seconds",
    "histogram",
    "Seconds from when Apache gave a request to the process group to the first line of Python.",
    ("group",),
    SECONDS,
)
REFUSALS = Metric("slicer_refusals_total", "counter", "Answers that are problems, by kind.", ("group", "reason"))
INDEX = Metric(
    "slicer_index_lookups_total",
    "counter",
    "Sources taken for a request: with an index in memory, on disk, shared, built just now, or not ready in time (pending).",
    ("group", "outcome"),
)
RESULTS = Metric(
    "slicer_results_total",
    "counter",
    "Renders and waveforms that were asked for: found as they were kept, made, or not made (failed).",
    ("group", "kind", "outcome"),
)
RENDER_SECONDS = Metric(
    "slicer_render_seconds", "histogram", "Seconds of making a render or a waveform.", ("group", "kind"), SECONDS
)
BUSY = Metric("slicer_busy_threads", "gauge", "Threads that work on a request now.", ("group",))
THREADS = Metric("slicer_threads", "gauge", "Threads that can work on a request.", ("group",))
STARTED = Metric("slicer_processes_started_total", "counter", "Processes that have loaded the application.", ("group",))

STORE_REQUESTS = Metric(
    "slicer_store_requests_total",
    "counter",
    "Requests to the store of media, by class of status; failed ones had no answer, refused ones were not sent, retried ones are repeated.",
    ("group", "outcome"),
)
STORE_SECONDS = Metric(
    "slicer_store_seconds", "histogram", "Seconds of a request to the store, its body included.", ("group",), SECONDS
)
STORE_BYTES = Metric("slicer_store_bytes_total", "counter", "Bytes of media that the store sent.", ("group",))
SHARED_REQUESTS = Metric(
    "slicer_shared_requests_total",
    "counter",
    "Requests to the store of shared indexes and results, by class of status as in slicer_store_requests_total; 4xx: mostly not yet there.",
    ("group", "outcome"),
)

#: Counted by each process.
COUNTED = (
    *(REQUESTS, REQUEST_SECONDS, QUEUE_SECONDS, REFUSALS, INDEX, RESULTS, RENDER_SECONDS),
    *(BUSY, THREADS, STARTED),
    *(STORE_REQUESTS, STORE_SECONDS, STORE_BYTES, SHARED_REQUESTS),
)

BUILD = Metric(
    "slicer_build_info",
    "gauge",
    "1, with the version of the process that tells this, and the release and revision that the roles installed it as.",
    ("version", "release", "revision"),
)
DISK_FREE = Metric(
    "slicer_disk_free_bytes", "gauge", "Bytes that the server can still write, of each of its folders.", ("folder",)
)
DISK_SIZE = Metric("slicer_disk_size_bytes", "gauge", "Bytes of the file system that has the folder.", ("folder",))
PROCESSES = Metric("slicer_processes", "gauge", "Processes that have the application loaded now.", ("group",))
RESIDENT = Metric(
    "slicer_resident_memory_bytes", "gauge", "Memory of these processes, shared pages counted in each.", ("group",)
)
LARGEST = Metric("slicer_largest_resident_memory_bytes", "gauge", "Memory of the largest of them.", ("group",))
JOBS_UP = Metric("slicer_jobs_up", "gauge", "1 where the store of jobs answers, 0 where it does not.")
STORE_USED = Metric("slicer_jobs_store_used_bytes", "gauge", "Memory that the store of jobs uses.")
STORE_MOST = Metric("slicer_jobs_store_limit_bytes", "gauge", "Memory that the store of jobs may use; 0: no limit.")
STORE_SAVES = Metric(
    "slicer_jobs_store_saves", "gauge", "1 where the store of jobs could last write to its disk, 0 where it could not."
)
JOBS = Metric("slicer_jobs", "gauge", "Jobs that are queued or running, of the whole site.", ("lane", "state"))
JOBS_TOTAL = Metric(
    "slicer_jobs_total", "counter", "Jobs of the whole site that were opened, and that have ended.", ("lane", "state")
)
JOB_SECONDS = Metric(
    "slicer_job_seconds_total", "counter", "Seconds that workers took for jobs that are done or failed.", ("lane",)
)

#: Computed when `/metrics` is read.
FOUND = (
    *(BUILD, DISK_FREE, DISK_SIZE, PROCESSES, RESIDENT, LARGEST),
    *(JOBS_UP, STORE_USED, STORE_MOST, STORE_SAVES, JOBS, JOBS_TOTAL, JOB_SECONDS),
)
ALL = (*COUNTED, *FOUND)
