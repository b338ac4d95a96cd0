"""The core: frame header, index, tag, cut. Bytes and integers in, values out; imports nothing else of Slicer's."""

from mp3_slicer.mp3.cut import Clip, cut, extents
from mp3_slicer.mp3.errors import (
    Mp3Error,
    NotMp3Error,
    SourceChangedError,
    SpanCrossesSegmentsError,
    SpanError,
    SpanOutsideError,
    SpanTooShortError,
    UnsupportedMp3Error,
)
from mp3_slicer.mp3.index import SECOND, Damage, Index, Run, Segment, Span, build_index, build_whole_index, has_grown
from mp3_slicer.mp3.reader import FileReader, Reader

#: Changes whenever the bytes of a clip change: part of every ETag.
ENGINE_VERSION = "2"

__all__ = [
    "ENGINE_VERSION",
    "SECOND",
    "Clip",
    "Damage",
    "FileReader",
    "Index",
    "Mp3Error",
    "NotMp3Error",
    "Reader",
    "Run",
    "Segment",
    "SourceChangedError",
    "Span",
    "SpanCrossesSegmentsError",
    "SpanError",
    "SpanOutsideError",
    "SpanTooShortError",
    "UnsupportedMp3Error",
    "build_index",
    "build_whole_index",
    "cut",
    "extents",
    "has_grown",
]
