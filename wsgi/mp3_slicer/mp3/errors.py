"""Errors of a source or a span. Each message is one sentence for the client."""

from mp3_slicer.errors import SlicerError


class Mp3Error(SlicerError):
    """Base of everything this package raises about its input."""


class NotMp3Error(Mp3Error):
    """No MPEG audio Layer III was found: empty, tags only, another format, Layer I or II."""


class UnsupportedMp3Error(Mp3Error):
    """Layer III audio that cannot be cut without decoding: free format, or too damaged to follow."""


class SpanError(Mp3Error):
    """A span that this source cannot give."""


class SpanOutsideError(SpanError):
    """The span starts at or after the end of the audio."""


class SpanTooShortError(SpanError):
    """Fewer samples than decoders trim reliably."""


class SpanCrossesSegmentsError(SpanError):
    """The span crosses a change of sample rate, channels or MPEG version."""


class SourceChangedError(Mp3Error):
    """The file is no longer the one that was indexed: shorter, or other bytes where frames were."""
