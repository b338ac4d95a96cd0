"""Samples and frames: their width, and how many there are after a change of speed or rate."""

from fractions import Fraction

#: Bytes of one sample: everything between decoder and encoder is 16 bits wide.
WIDTH = 2
#: The value that 0 dB of full scale stands for.
FULL_SCALE = 32_768
#: Frames (samples of all channels at one moment) in a block, at most: half a MiB where there are two channels.
BLOCK_FRAMES = 1 << 17


def nearest(value: Fraction) -> int:
    """The whole number nearest to a positive one, halves up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def frames_after(frames: int, rate: int, speed: Fraction, new_rate: int) -> int:
    """Return the number of frames after a change of speed and rate: the nearest one, at least 1."""
    return max(1, nearest(frames / speed * new_rate / rate))
