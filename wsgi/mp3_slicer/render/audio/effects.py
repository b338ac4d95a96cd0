"""Effects on samples that need nothing but arithmetic: channels, gain, fades, joining. Every length is exact to the sample.

pydub's own fades, cross-fades and slices count milliseconds, and round a segment to them. So lengths are kept here, blocks are changed
by pydub where a change does not depend on the time, and by the arithmetic that pydub uses where it does.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from mp3_slicer.render.audio.pcm import Pcm
from mp3_slicer.render.audio.samples import audioop, segment
from mp3_slicer.render.frames import WIDTH

#: Frames that share one step of a fade: 0.18 ms at 44.1 kHz, where pydub takes a whole millisecond.
_STEP = 8


class ChannelsPcm(Pcm):
    """With one channel, the mean of the two; with two, the same one twice."""

    def __init__(self, pcm: Pcm, channels: int) -> None:
        super().__init__(pcm.rate, channels, pcm.frames)
        self._pcm = pcm

    def blocks(self) -> Iterator[bytes]:
        """Each block by pydub."""
        for block in self._pcm.blocks():
            yield segment(block, self.rate, self._pcm.channels).set_channels(self.channels).raw_data


class GainPcm(Pcm):
    """Louder or softer by some decibels; what gets too loud for 16 bits is clipped."""

    def __init__(self, pcm: Pcm, decibels: float) -> None:
        super().__init__(pcm.rate, pcm.channels, pcm.frames)
        self._pcm = pcm
        self._decibels = decibels

    def blocks(self) -> Iterator[bytes]:
        """Each block by pydub."""
        for block in self._pcm.blocks():
            yield segment(block, self.rate, self.channels).apply_gain(self._decibels).raw_data


class FadePcm(Pcm):
    """Rising from silence over the first frames and falling to it over the last, both in a straight line of the amplitude."""

    def __init__(self, pcm: Pcm, first: int, last: int) -> None:
        """`first` and `last` are frames, together at most as many as there are."""
        super().__init__(pcm.rate, pcm.channels, pcm.frames)
        self._pcm = pcm
        self._first, self._last = first, last

    def blocks(self) -> Iterator[bytes]:
        """The blocks of the other one, changed where they lie in a fade."""
        position, size = 0, self.frame_bytes
        falling = self.frames - self._last
        for block in self._pcm.blocks():
            frames = len(block) // size
            rise, fall = min(max(self._first - position, 0), frames), min(max(falling - position, 0), frames)
            if rise:
                yield ramp(block[: rise * size], size, position, self._first, rising=True)
            if rise < fall:
                yield block[rise * size : fall * size] if (rise, fall) != (0, frames) else block
            if fall < frames:
                yield ramp(block[fall * size :], size, position + fall - falling, self._last, rising=False)
            position += frames


class JoinedPcm(Pcm):
    """Several of one rate and number of channels, one after the other, each beginning `overlap` frames before the end of the last."""

    def __init__(self, parts: Sequence[Pcm], overlap: int) -> None:
        """Every part has at least `overlap` frames, and twice as many between two others."""
        frames = sum(part.frames for part in parts) - overlap * (len(parts) - 1)
        super().__init__(parts[0].rate, parts[0].channels, frames)
        self._parts = tuple(parts)
        self._overlap = overlap

    def blocks(self) -> Iterator[bytes]:
        """Blocks of the parts, and between them one that is mixed."""
        size, overlap = self.frame_bytes, self._overlap * self.frame_bytes
        tail = b""
        for number, part in enumerate(self._parts):
            held = bytearray()
            mixed = number == 0 or not overlap
            for block in part.blocks():
                held += block
                if not mixed:
                    if len(held) < overlap:
                        continue
                    falling = ramp(tail, size, 0, self._overlap, rising=False)
                    rising = ramp(bytes(held[:overlap]), size, 0, self._overlap, rising=True)
                    yield audioop.add(falling, rising, WIDTH)
                    del held[:overlap]
                    mixed = True
                ready = len(held) - (overlap if number < len(self._parts) - 1 else 0)
                if ready > 0:
                    yield bytes(held[:ready])
                    del held[:ready]
            tail = bytes(held)


def ramp(block: bytes, size: int, position: int, length: int, *, rising: bool) -> bytes:
    """Frames of `size` bytes, the first of which is number `position` in a straight line of `length` frames from or to silence."""
    steps = []
    # Steps count from the start of the line, so that blocks do not show in it.
    borders = [0, *range(_STEP - position % _STEP, len(block) // size, _STEP), len(block) // size]
    view = memoryview(block)
    for begin, end in pairwise(borders):
        first = (position + begin) // _STEP * _STEP
        gain = (first + min(first + _STEP, length)) / (2 * length)
        steps.append(audioop.mul(view[begin * size : end * size], WIDTH, gain if rising else 1 - gain))
    return b"".join(steps)
