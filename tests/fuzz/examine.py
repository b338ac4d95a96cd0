"""What must hold of any file whatever: it is indexed and cut, or refused in one of the documented errors."""

import json
import random
import time

from fuzz.memory import file_of
from mp3_slicer.media import indexfile
from mp3_slicer.media.describe import describe
from mp3_slicer.media.source import Identity
from mp3_slicer.mp3 import SECOND, FileReader, Index, Mp3Error, build_index, build_whole_index, cut
from support import streams

#: Rounds in which an index that is out of time each time must be ready: each goes on by a few hundred frames.
MAX_ROUNDS = 3000


def examine(data: bytes, number: int) -> str:
    """Index, cut, index in other ways; returns "cut" or the name of the error. Raises AssertionError, or whatever should not be raised."""
    rng = random.Random(~number)
    with file_of(data) as fd:
        try:
            index = build_whole_index(FileReader(fd))
        except Mp3Error as error:
            assert 0 < len(str(error)) < 300
            assert "\n" not in str(error)
            _grown(data, None, rng)
            return type(error).__name__
        # A NaN, or a value that JSON has not, is raised here.
        json.dumps(describe(index), allow_nan=False)
        _whole(data, index)
        outcomes = {_cut(fd, index, rng) for _ in range(2)}
        match number % 4:
            case 0:
                assert build_whole_index(FileReader(fd)) == index, "two walks, two indexes"
            case 1:
                _in_pieces(fd, index)
            case 2:
                identity = Identity(b"/media/\xff.mp3", 1, 2, len(data), 3)
                assert indexfile.load(indexfile.dump(identity, index)) == (identity, index)
            case _:
                _grown(data, index, rng)
        return "cut" if "cut" in outcomes else min(outcomes)


def _whole(data: bytes, index: Index) -> None:
    """What an index says of a file's bytes, asked of the bytes by another parser."""
    assert index.size == len(data)
    assert 0 <= index.start <= index.walked <= index.end <= index.size
    assert index.complete
    place = index.start
    for segment in index.segments:
        assert segment.frames == sum(run.frames for run in segment.runs)
        assert 0 <= segment.samples <= segment.frames * segment.header.samples
        for run in segment.runs:
            assert place <= run.anchors[0] < run.end <= index.end
            frames = streams.frames(data[run.anchors[0] : run.end])
            assert len(frames) == run.frames
            assert [run.anchors[0] + each for each in frames[::16]] == run.anchors.tolist()
            place = run.end


def _cut(fd: int, index: Index, rng: random.Random) -> str:
    """Cut somewhere, and look at the clip: its length, its frames, and its samples as an index of it has them."""
    length = int(index.seconds * SECOND)
    start = rng.choice((0, rng.randrange(length + 1), max(0, length - rng.randrange(10**8))))
    end = rng.choice((None, start + 1 + rng.randrange(10**9), start + 1 + rng.randrange(10**8), 10**18))
    try:
        span = index.locate(start, end)
        clip = cut(FileReader(fd), span)
        whole = clip.read(FileReader(fd))
    except Mp3Error as error:
        assert str(error)
        return type(error).__name__
    assert clip.samples == span.last - span.first
    assert len(whole) == clip.length
    frames = streams.frames(whole)
    assert len(frames) == clip.frames + 1, "another parser finds other frames"
    last = streams.header(whole, frames[-1])
    assert last is not None
    assert frames[-1] + last.size == len(whole), "bytes behind the last frame"
    begin, stop = sorted(rng.randrange(clip.length + 1) for _ in range(2))
    assert clip.read(FileReader(fd), begin, stop) == whole[begin:stop], "a part is not the part of the whole"
    with file_of(whole) as again:
        (segment,) = build_whole_index(FileReader(again)).segments
    assert segment.samples == clip.samples, "the clip says that it has other samples"
    return "cut"


def _in_pieces(fd: int, index: Index) -> None:
    """A walk that is out of time each time comes to the same."""
    step: Index | None = None
    for _ in range(MAX_ROUNDS):
        step = build_index(FileReader(fd), previous=step, deadline=time.monotonic() - 1)
        if step.complete:
            break
    assert step == index, "a walk in pieces comes to another index"


def _grown(data: bytes, index: Index | None, rng: random.Random) -> None:
    """The index of a file's beginning, gone on with, is the index of the file."""
    with file_of(data[: rng.randint(0, len(data))]) as fd:
        try:
            begun = build_whole_index(FileReader(fd))
        except Mp3Error:
            return
    with file_of(data) as fd:
        try:
            grown = build_index(FileReader(fd), previous=begun)
        except Mp3Error:
            grown = None
    assert grown == index, "an index that was gone on with is another one"
