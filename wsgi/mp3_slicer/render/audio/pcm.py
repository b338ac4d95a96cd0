"""Decoded audio on its way from the decoder to the encoder: never in memory as a whole, and readable more than once."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO

from mp3_slicer.render.frames import BLOCK_FRAMES, WIDTH


class Pcm(ABC):
    """Audio as 16-bit samples in the byte order of the machine, the channels interleaved.

    An effect is a Pcm made from another one. Nothing is computed before `blocks` is asked, and asking twice gives the same bytes.
    """

    def __init__(self, rate: int, channels: int, frames: int) -> None:
        self.rate = rate  #: frames a second
        self.channels = channels  #: 1 or 2
        self.frames = frames  #: the exact number of frames from `blocks`

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return WIDTH * self.channels

    @abstractmethod
    def blocks(self) -> Iterator[bytes]:
        """All frames in their order, in blocks of whole frames, none empty and few larger than BLOCK_FRAMES.

        Raises what decoding raises, and WorkTimeoutError.
        """


class FilePcm(Pcm):
    """Audio kept in a file, for as long as that is open."""

    def __init__(self, file: BinaryIO, rate: int, channels: int, frames: int) -> None:
        super().__init__(rate, channels, frames)
        self._file = file

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def blocks(self) -> Iterator[bytes]:
        """Pread the file from its beginning."""
        end = self.frames * self.frame_bytes
        for offset in range(0, end, BLOCK_FRAMES * self.frame_bytes):
            yield os.pread(self._file.fileno(), min(BLOCK_FRAMES * self.frame_bytes, end - offset), offset)


class PartPcm(Pcm):
    """Frames first..last-1 of another Pcm."""

    def __init__(self, pcm: Pcm, first: int, last: int) -> None:
        super().__init__(pcm.rate, pcm.channels, last - first)
        self._pcm = pcm
        self._first, self._last = first, last

    def blocks(self) -> Iterator[bytes]:
        """The blocks of the other one, those at the ends cut."""
        position = 0
        size = self.frame_bytes
        for block in self._pcm.blocks():
            low, high = max(self._first - position, 0), min(self._last - position, len(block) // size)
            if low < high:
                yield block[low * size : high * size]
            position += len(block) // size
            if position >= self._last:
                break
