"""From a request to an order: whether a source can give it within a job's limits, and about what it takes."""

from slicer.jobs.order import Order
from slicer.media.source import Identity
from slicer.mp3 import Index
from slicer.render import Limits, PeaksRequest, RenderRequest, Version, plan

#: Seconds of CPU for each second of a waveform, on one core of 2.5 GHz: decoding, and looking at each sample.
_PEAKS_WORK = 0.002


def render_order(
    request: RenderRequest, path: bytes, identity: Identity, index: Index, limits: Limits, url: str
) -> Order:
    """The order of a render of the source at `path`, whose result will be at `url`. Raises what `plan` raises."""
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


def peaks_order(request: PeaksRequest, path: bytes, identity: Identity, index: Index, url: str) -> Order:
    """The order of a waveform. Raises SpanOutsideError and SpanCrossesSegmentsError."""
    span = index.locate(request.span.start, request.span.end)
    seconds = (span.last - span.first) / span.segment.header.sample_rate
    return Order(
        kind="peaks",
        path=path,
        form=request.form,
        query=request.canonical,
        key=request.key(Version.of(path, identity, index)),
        url=url,
        work_seconds=round(seconds * _PEAKS_WORK, 3),
    )
