"""`/metrics`: the numbers of the whole server for Prometheus, for the networks that may read them."""

import ipaddress
import os

import mp3_slicer
from mp3_slicer import distribution
from mp3_slicer.counts.cells import Cells, Values, read
from mp3_slicer.counts.folder import Folder, Total
from mp3_slicer.counts.metrics import (
    ALL,
    BUILD,
    BUSY,
    DISK_FREE,
    DISK_SIZE,
    JOB_SECONDS,
    JOBS,
    JOBS_TOTAL,
    JOBS_UP,
    LARGEST,
    PROCESSES,
    RESIDENT,
    STORE_MOST,
    STORE_SAVES,
    STORE_USED,
)
from mp3_slicer.counts.text import CONTENT_TYPE, text_of
from mp3_slicer.settings import Settings
from mp3_slicer.web.access import Hosts
from mp3_slicer.web.extras import Extras
from mp3_slicer.web.problems import busy, not_found
from mp3_slicer.web.request import Request, parse_address
from mp3_slicer.web.response import Response

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Metrics:
    """One object for all threads."""

    def __init__(self, settings: Settings, folder: Folder | None, cells: Cells, extras: Extras) -> None:
        """`folder` has the numbers of all processes; None where there is only this one, whose numbers are `cells`."""
        self._readers = tuple(ipaddress.ip_network(text) for text in settings.metrics_readers)
        self._folder = folder
        self._cells = cells
        self._extras = extras
        self._hosts = Hosts(settings)
        # Of this process: its files may be another release's by the time it is asked.
        self._installed = (distribution.release(), distribution.commit())
        self._folders = {
            "index": settings.index_dir,
            "results": settings.results_dir,
            "scratch": settings.scratch_dir,
            "log": os.path.dirname(settings.request_log),
        }

    def get(self, request: Request) -> Response:
        """All numbers. Raises Problem: 404 for other clients, 503 if they cannot be added up now."""
        if not self._may_read(request.fields.get("REMOTE_ADDR", "")) or not self._hosts.is_own(request.fields):
            raise not_found()
        try:
            total = self._total()
        except (OSError, ValueError):
            raise busy("the numbers cannot be added up now; try again", 1) from None
        values = total.values
        values[BUILD.name, mp3_slicer.__version__, *self._installed] = [1]
        values |= self._disks()
        for pid, own in total.living.items():
            _add_process(values, pid, own)
        self._add_jobs(values)
        data = text_of(ALL, values).encode()
        return Response.whole(200, CONTENT_TYPE, data)

    def _may_read(self, address: str) -> bool:
        asks = parse_address(address)
        return asks is not None and any(asks in network for network in self._readers)

    def _total(self) -> Total:
        if self._folder is not None:
            return self._folder.total()
        with self._cells.lock:
            pid, values = read(self._cells.data())
        return Total({key: list(numbers) for key, numbers in values.items()}, {pid: values})

    def _add_jobs(self, values: Values) -> None:
        jobs = self._extras.jobs_if_there()
        if jobs is None:
            return
        found = jobs.figures()
        values[JOBS_UP.name,] = [found is not None]
        if found is not None:
            for (lane, state), count in found.now.items():
                values[JOBS.name, lane, state] = [count]
            for (lane, state), count in found.ever.items():
                values[JOBS_TOTAL.name, lane, state] = [count]
            for lane, seconds in found.seconds.items():
                values[JOB_SECONDS.name, lane] = [seconds]
            for metric, name in ((STORE_USED, "used"), (STORE_MOST, "most"), (STORE_SAVES, "saves")):
                if name in found.store:
                    values[metric.name,] = [found.store[name]]

    def _disks(self) -> Values:
        """The room of each folder that there is."""
        values: Values = {}
        for name, path in self._folders.items():
            try:
                found = os.statvfs(path)
            except OSError:  # none, or not made yet
                continue
            values[DISK_FREE.name, name] = [found.f_bavail * found.f_frsize]
            values[DISK_SIZE.name, name] = [found.f_blocks * found.f_frsize]
        return values


def _add_process(values: Values, pid: int, own: Values) -> None:
    """Add a living process and the memory it takes."""
    groups = [key[1] for key in own if key[0] == BUSY.name]
    if not groups:
        return
    (group,) = groups
    values.setdefault((PROCESSES.name, group), [0])[0] += 1
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return  # it has just ended
    values.setdefault((RESIDENT.name, group), [0])[0] += resident
    largest = values.setdefault((LARGEST.name, group), [0])
    largest[0] = max(largest[0], resident)
