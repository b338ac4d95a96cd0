"""The removal of silence at both ends of a recording."""

from fractions import Fraction

from mp3_slicer.render.audio.pcm import PartPcm, Pcm
from mp3_slicer.render.audio.samples import audioop
from mp3_slicer.render.errors import OptionError
from mp3_slicer.render.frames import FULL_SCALE, WIDTH
from mp3_slicer.render.options import TRIM
from mp3_slicer.render.values import plain

#: Windows in a second: silence is judged by the root mean square of 10 ms, all channels together.
WINDOWS = 100


def without_silence(pcm: Pcm, threshold: Fraction) -> Pcm:
    """From the first window that is at least as loud as `threshold`, in dB of full scale, to the end of the last one.

    Windows count from the first frame. Raises OptionError for the option "trim" where no window is as loud.
    """
    window = max(1, pcm.rate // WINDOWS)
    quiet = FULL_SCALE * 10 ** (float(threshold) / 20)
    first: int | None = None
    last = number = 0
    size = window * pcm.frame_bytes
    rest = b""
    for block in pcm.blocks():
        data = rest + block
        view = memoryview(data)
        whole = len(data) - len(data) % size
        for offset in range(0, whole, size):
            if audioop.rms(view[offset : offset + size], WIDTH) >= quiet:
                first = number if first is None else first
                last = number + 1
            number += 1
        rest = data[whole:]
    if rest and audioop.rms(rest, WIDTH) >= quiet:
        first = number if first is None else first
        last = number + 1
    if first is None:
        raise OptionError("trim", f"nothing is as loud as {plain(threshold)} dB", TRIM.allowed)
    return PartPcm(pcm, first * window, min(last * window, pcm.frames))
