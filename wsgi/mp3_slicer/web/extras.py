"""Views that need packages of an extra: renders, waveforms and jobs. Loaded when first needed, which in processes for clips is never."""

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from mp3_slicer import distribution
from mp3_slicer.objects.choose import results_place_of
from mp3_slicer.settings import Settings
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.process import give_way_to_others, is_for_renders, process_count, process_threads
from mp3_slicer.web.request import Request
from mp3_slicer.web.response import Response
from mp3_slicer.web.sources import Sources

if TYPE_CHECKING:
    from mp3_slicer.objects.client import Told
    from mp3_slicer.web.jobs import Inner, Jobs
    from mp3_slicer.web.making import Making
    from mp3_slicer.web.renders import Renders
    from mp3_slicer.web.waveforms import Waveforms

_LOG = logging.getLogger("slicer")


class _Loaded(NamedTuple):
    renders: "Renders"
    waveforms: "Waveforms"
    jobs: "Jobs | None"


class Extras:
    """Responses of all of them. One object for all threads."""

    def __init__(self, settings: Settings, sources: Sources, inner: "Inner", told: "Told") -> None:
        """Load at once where renders are made, or jobs accepted, so that no request waits for it.

        `told` hears of each request to the store of shared results.
        """
        self._told = told
        self._settings = settings
        self._sources = sources
        self._inner = inner
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        renders = is_for_renders()
        if renders:
            give_way_to_others()
        if renders or settings.jobs_broker:
            try:
                self._load()
            except ImportError as error:
                _LOG.error("no renders: %s", error)

    def render(self, request: Request) -> Response:
        """A span decoded, changed and encoded. Raises Problem, 501 where packages are missing."""
        extras = self._get()
        return (extras.jobs and extras.jobs.instead("render", request)) or extras.renders.get(request)

    def waveform(self, request: Request) -> Response:
        """A waveform. Raises Problem, 501 where packages are missing."""
        extras = self._get()
        return (extras.jobs and extras.jobs.instead("peaks", request)) or extras.waveforms.get(request)

    @property
    def jobs(self) -> "Jobs":
        """Views of jobs. Raises Problem 501 where there are none, or packages of theirs are missing."""
        jobs = self._get().jobs if self._settings.jobs_broker else None
        if jobs is None:
            raise Problem(
                501,
                "no-jobs",
                f"this server takes no jobs; its operator can install {distribution.with_extras('jobs')} "
                "and name a broker in SLICER_JOBS_BROKER",
            )
        return jobs

    def jobs_if_there(self) -> "Jobs | None":
        """Responses for jobs; None where there are none, or packages of theirs are missing."""
        try:
            return self._get().jobs if self._settings.jobs_broker else None
        except Problem:
            return None

    def _get(self) -> _Loaded:
        try:
            return self._load()
        except ImportError as error:
            _LOG.error("no renders: %s", error)
            install = distribution.with_extras("renders")
            detail = f"this server has not the packages that renders need; its operator can install {install}"
            raise Problem(501, "not-installed", detail) from None

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                from mp3_slicer.render.produce import Producer
                from mp3_slicer.render.shared import store_of
                from mp3_slicer.web.making import Making
                from mp3_slicer.web.renders import Renders
                from mp3_slicer.web.waveforms import Waveforms

                settings, sources = self._settings, self._sources
                place = results_place_of(
                    settings, seconds=settings.render_seconds, threads=process_threads(), told=self._told
                )
                results = store_of(settings.results_dir, max_bytes=settings.results_bytes, place=place)
                producer = Producer(results, settings.scratch_dir)
                making = Making(settings, producer, process_count())
                making.prepare()
                self._loaded = _Loaded(
                    Renders(settings, sources, making), Waveforms(settings, sources, making), self._load_jobs(making)
                )
            return self._loaded

    def _load_jobs(self, making: "Making") -> "Jobs | None":
        if not self._settings.jobs_broker:
            return None
        try:
            from mp3_slicer.web.jobs import Jobs, Orders

            return Jobs(self._settings, Orders(self._settings, self._sources, making.producer, self._inner))
        except ImportError as error:
            _LOG.error("no jobs: %s", error)
            return None
