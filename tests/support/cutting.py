"""Short ways to index, cut and decode in tests."""

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mp3_slicer.mp3 import SECOND, Clip, FileReader, Index, Span, build_whole_index, cut
from support import streams


@contextmanager
def opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def index_of(path: str) -> Index:
    with opened(path) as fd:
        return build_whole_index(FileReader(fd))


def span_of(index: Index, start: float, end: float | None) -> Span:
    return index.locate(round(start * SECOND), None if end is None else round(end * SECOND))


def cut_bytes(path: str, span: Span) -> tuple[Clip, bytes]:
    with opened(path) as fd:
        clip = cut(FileReader(fd), span)
        data = clip.read(FileReader(fd))
    assert len(data) == clip.length
    return clip, data


def cut_file(path: str, start: float, end: float | None, out: Path) -> Span:
    span = span_of(index_of(path), start, end)
    out.write_bytes(cut_bytes(path, span)[1])
    return span


def samples(pcm: "array[float]", span: Span, before: int = 0) -> "array[float]":
    """The samples of a span out of the decoded source, `before` of which come before the span's segment."""
    channels = span.segment.header.channels
    return pcm[(before + span.first) * channels : (before + span.last) * channels]


def decoded(path: str | Path, decoder: str) -> "array[float]":
    return streams.decode_ffmpeg(str(path)) if decoder == "ffmpeg" else streams.decode_mpg123(str(path))
