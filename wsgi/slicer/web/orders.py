"""From what a client asks for, by URL or by options, to the order of a job."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

from slicer.jobs.order import Order
from slicer.jobs.ordering import peaks_order, render_order
from slicer.jobs.work import job_limits
from slicer.media.protected import Permit
from slicer.render import PeaksRequest, RenderRequest
from slicer.settings import Settings
from slicer.web.access import Asked
from slicer.web.problems import Problem
from slicer.web.waveforms import OTHER_NAMES
from slicer.web.workshop import Workshop, problems_of_work, split_suffix

Kind = Literal["render", "peaks"]
Pairs = list[tuple[str, str]]
#: By kind: reads a path behind the kind's room and a query, once the two are allowed. Raises Problem.
Parsers = Mapping[Kind, Callable[[bytes, str], Asked]]

_ROOMS: Mapping[str, Kind] = {"/renders/": "render", "/peaks/": "peaks"}
_ALLOWED = "the path and query of a render or a waveform, like /renders/show.opus?t=0,7200"
#: As long as a request line may be.
_MAX_URL = 8190
_HALVES = re.compile("[\ud800-\udfff]")
_DOWNLOAD = "download"


class Orders:
    """One object for all threads."""

    def __init__(self, settings: Settings, workshop: Workshop, parsers: Parsers) -> None:
        self._workshop = workshop
        self._parsers = parsers
        self._limits = job_limits(settings)

    def of_url(self, url: Any) -> Order:
        """The order of what is at a URL of this server, which is its path and query. Raises Problem."""
        # JSON has halves of characters, which no URL has.
        if isinstance(url, str) and len(url) <= _MAX_URL and not _HALVES.search(url):
            for room, kind in _ROOMS.items():
                if url.startswith(room):
                    path, _, query = url[len(room) :].partition("?")
                    # Characters that are no part of a URL are taken for what they look like; to WSGI each is a byte (PEP 3333).
                    query = query.partition("#")[0].encode().decode("latin-1")
                    decoded = unquote_to_bytes(path)
                    return self.of(kind, decoded, *self._parsers[kind](decoded, query))
        raise Problem(400, "request-malformed", f"request is not {_ALLOWED}", {"allowed": _ALLOWED})

    def of(self, kind: Kind, path: bytes, pairs: Pairs, permit: Permit) -> Order:
        """The order of what is at a path behind /renders/ or /peaks/, with these options. Raises Problem."""
        stem, suffix = split_suffix(path)
        if kind == "peaks":
            form = OTHER_NAMES.get(suffix, suffix)
            with problems_of_work():
                waveform = PeaksRequest.parse(form, pairs)
            opened = self._workshop.source(stem, permit)
            url = f"/peaks/{quote(stem)}.{form}?{waveform.canonical}"
            with problems_of_work():
                return peaks_order(waveform, opened.name, opened.source.identity, opened.index, url)
        with problems_of_work():
            request = RenderRequest.parse(suffix, [pair for pair in pairs if pair[0] != _DOWNLOAD])
        opened = self._workshop.source(stem, permit)
        url = f"/renders/{quote(path)}?{request.canonical}"
        with problems_of_work():
            return render_order(request, opened.name, opened.source.identity, opened.index, self._limits, url)

    def is_kept(self, order: Order) -> bool:
        """Whether the result of an order is there."""
        found = self._workshop.kept(order.key)
        if found is None:
            return False
        found[0].close()
        return True
