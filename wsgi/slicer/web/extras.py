"""Renders and waveforms where their packages are installed. Loaded when they are first needed: processes for clips never need them."""

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from slicer.media.shelf import Shelf
from slicer.settings import Settings
from slicer.timeslice import give_way
from slicer.web.ledger import Ledger
from slicer.web.problems import Problem

if TYPE_CHECKING:
    from slicer.web.jobs import Jobs
    from slicer.web.orders import Parsers
    from slicer.web.renders import Renders
    from slicer.web.waveforms import Waveforms
    from slicer.web.workshop import Workshop

_LOG = logging.getLogger("slicer")
#: The daemon group that renders are made in.
_GROUP = "renders"
#: By how much these daemons and what they start are nicer than others: they get a tenth of the CPU time of one who wants it too.
_NICE = 10


class _Loaded(NamedTuple):
    renders: "Renders"
    waveforms: "Waveforms"
    jobs: "Jobs | None"


class Extra:
    """One object for all threads."""

    def __init__(self, settings: Settings, shelf: Shelf, parsers: "Parsers", ledger: Ledger) -> None:
        """Loads at once where renders are made, and where jobs are taken, so that no request waits for it."""
        self._settings = settings
        self._parsers = parsers
        self._shelf = shelf
        self._ledger = ledger
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        renders = process_group() == _GROUP
        if renders:
            give_way(_NICE)
        if renders or settings.jobs_broker:
            try:
                self._load()
            except ImportError as error:
                _LOG.error("no renders: %s", error)

    @property
    def renders(self) -> "Renders":
        """Answers for renders. Raises Problem 501 where packages are missing."""
        return self._get().renders

    @property
    def waveforms(self) -> "Waveforms":
        """Answers for waveforms. Raises Problem 501 where packages are missing."""
        return self._get().waveforms

    @property
    def jobs(self) -> "Jobs | None":
        """Answers for jobs, None where there are none. Raises Problem 501 where packages are missing."""
        return self._get().jobs if self._settings.jobs_broker else None

    def jobs_if_there(self) -> "Jobs | None":
        """Answers for jobs; None where there are none, or packages of theirs are missing."""
        try:
            return self.jobs
        except Problem:
            return None

    def _get(self) -> _Loaded:
        try:
            return self._load()
        except ImportError as error:
            _LOG.error("no renders: %s", error)
            detail = "this server has not the packages that renders need; its operator can install slicer[renders]"
            raise Problem(501, "not-installed", detail) from None

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                from slicer.web.renders import Renders
                from slicer.web.waveforms import Waveforms
                from slicer.web.workshop import Workshop

                workshop = Workshop(self._settings, self._shelf, self._ledger.note, process_count())
                workshop.prepare()
                self._loaded = _Loaded(Renders(workshop), Waveforms(workshop), self._jobs(workshop))
            return self._loaded

    def _jobs(self, workshop: "Workshop") -> "Jobs | None":
        if not self._settings.jobs_broker:
            return None
        try:
            from slicer.web.jobs import Jobs
            from slicer.web.orders import Orders

            return Jobs(self._settings, Orders(self._settings, workshop, self._parsers), self._ledger)
        except ImportError as error:
            _LOG.error("no jobs: %s", error)
            return None


def process_group() -> str:
    """The group of the mod_wsgi daemon that this is; empty for any other process."""
    try:
        import mod_wsgi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return ""
    return str(getattr(mod_wsgi, "process_group", ""))


def process_threads() -> int:
    """How many threads of this process answer requests: as mod_wsgi says, 1 for any other process."""
    try:
        import mod_wsgi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return 1
    return int(getattr(mod_wsgi, "threads_per_process", 1))


def process_count() -> int:
    """How many processes the group of this one has: as mod_wsgi says, 1 for any other process."""
    try:
        import mod_wsgi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return 1
    return int(getattr(mod_wsgi, "maximum_processes", 1))
