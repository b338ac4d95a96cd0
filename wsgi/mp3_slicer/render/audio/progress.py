"""The progress of a render, reported while its samples go by."""

from collections.abc import Callable, Iterator

from mp3_slicer.render.audio.pcm import Pcm

#: Is called with the share that is done, from 0 to 1, in the thread of the work, about once for each block.
Progress = Callable[[float], None]


class ToldPcm(Pcm):
    """Another Pcm that reports its progress, as a share from `low` to `high`."""

    def __init__(self, pcm: Pcm, progress: Progress, low: float, high: float) -> None:
        super().__init__(pcm.rate, pcm.channels, pcm.frames)
        self._pcm = pcm
        self._progress = progress
        self._low, self._high = low, high

    def blocks(self) -> Iterator[bytes]:
        """The blocks of the other one."""
        done = 0
        for block in self._pcm.blocks():
            yield block
            done += len(block) // self.frame_bytes
            self._progress(self._low + (self._high - self._low) * done / max(1, self.frames))
