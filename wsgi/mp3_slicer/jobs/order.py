"""The work of a job: a canonical request on one version of one source. Its ID follows from nothing else.

An order comes from a request for a render or a waveform, once that is known to fit the source and the limits of jobs. It goes to one of
two lanes, each with its own processes: short work never waits behind long work.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import quote, unquote_to_bytes

from mp3_slicer.media.library import is_safe

if TYPE_CHECKING:
    from mp3_slicer.media.source import Identity
    from mp3_slicer.mp3 import Index
    from mp3_slicer.render import Limits, PeaksRequest, RenderRequest

SHORT, LONG = "short", "long"
LANES = (SHORT, LONG)
#: A job's name.
ID = re.compile(r"[0-9a-f]{40}", re.ASCII)

#: By kind: the first part of its URL.
_PREFIXES = {"render": "renders", "peaks": "peaks"}
_FORM = re.compile(r"[a-z0-9]{1,10}", re.ASCII)
_QUERY = re.compile(r"[!-~]{1,8190}", re.ASCII)
#: Of the suffix of a source's name.
_SUFFIX_BYTES = len(".mp3")
_MOST_SECONDS = 1e9
#: Seconds of CPU for each second of a waveform, on one core of 2.5 GHz: decoding, and looking at each sample.
_PEAKS_WORK = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One complete piece of work, for any worker with the media folder."""

    kind: Literal["render", "peaks"]
    path: bytes  #: of the source, from the media folder
    form: str  #: the name of a format, or json or dat
    query: str  #: canonical
    key: str  #: the name of the result in the store of results, 40 hexadecimal digits; another one for another version of the source
    url: str  #: of the result, canonical
    work_seconds: float  #: of CPU, nearly

    @property
    def id(self) -> str:
        """The job's name, 40 hexadecimal digits: the same for the same order, another one once the source is replaced."""
        return hashlib.blake2b(repr((self.path, self.key)).encode(), digest_size=20).hexdigest()

    def to_json(self) -> str:
        """As text for Redis."""
        return json.dumps({**asdict(self), "path": quote(self.path)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From that text. Raises ValueError, TypeError or KeyError if it is none, or its URL is not that of its source and result."""
        fields = json.loads(text)
        order = cls(**{**fields, "path": unquote_to_bytes(fields["path"])})
        if not (
            order.kind in _PREFIXES
            and is_safe(order.path)
            and _FORM.fullmatch(order.form)
            and _QUERY.fullmatch(order.query)
            and ID.fullmatch(order.key)
            and order.url == url_of(order.kind, order.path, order.form, order.query)
            and 0 <= float(order.work_seconds) < _MOST_SECONDS
        ):
            raise ValueError("it is no order")
        return order


def url_of(kind: str, path: bytes, form: str, query: str) -> str:
    """The canonical URL of the result of an order."""
    return f"/{_PREFIXES[kind]}/{quote(path[:-_SUFFIX_BYTES])}.{form}?{query}"


def lane_of(work_seconds: float, short_seconds: float) -> str:
    """The lane of work that takes about `work_seconds`, where up to `short_seconds` are short."""
    return SHORT if work_seconds <= short_seconds else LONG


def render_order(
    request: "RenderRequest", path: bytes, identity: "Identity", index: "Index", limits: "Limits", url: str
) -> Order:
    """The order of a render of the source at `path`, whose result will be at `url`. Raises what `plan` raises."""
    # Listing and cancelling jobs needs none of the packages of renders.
    from mp3_slicer.render import Version, plan

    planned = plan(request, index, limits)
    return Order(
        kind="render",
        path=path,
        form=request.format.name,
        query=request.canonical,
        key=request.key(Version.of(path, identity, index)),
        url=url,
        work_seconds=round(planned.estimate.work_seconds, 3),
    )


def peaks_order(request: "PeaksRequest", path: bytes, identity: "Identity", index: "Index", url: str) -> Order:
    """The order of a waveform. Raises SpanOutsideError and SpanCrossesSegmentsError."""
    from mp3_slicer.render import Version
    from mp3_slicer.render.options import PARTS

    span = index.locate(request.span.start, request.span.end)
    seconds = (span.last - span.first) / span.segment.header.sample_rate / (1 if request.part is None else PARTS)
    return Order(
        kind="peaks",
        path=path,
        form=request.form,
        query=request.canonical,
        key=request.key(Version.of(path, identity, index)),
        url=url,
        work_seconds=round(seconds * _PEAKS_WORK, 3),
    )
