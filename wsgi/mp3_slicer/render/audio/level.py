"""Levels: measured by the highest sample or by EBU R 128, and set."""

import math
import re
from fractions import Fraction

from mp3_slicer.render.audio import ffmpeg
from mp3_slicer.render.audio.effects import GainPcm
from mp3_slicer.render.audio.filters import filtered
from mp3_slicer.render.audio.pcm import Pcm
from mp3_slicer.render.audio.samples import audioop
from mp3_slicer.render.audio.scratch import Scratch
from mp3_slicer.render.errors import OptionError, ToolError
from mp3_slicer.render.frames import FULL_SCALE, WIDTH
from mp3_slicer.render.limits import Deadline
from mp3_slicer.render.values import Normalize, plain

#: Ceiling of the limiter, in dB of full scale, for loudness that needs one.
CEILING = -1.0
#: Seconds below which EBU R 128 has nothing to measure: its smallest block (EBU Tech 3341 section 2.2).
SHORTEST_LOUDNESS = Fraction(2, 5)
#: ffmpeg's value for audio in which no block was louder than the absolute gate.
_SILENT = -70.0
_CLOSE_ENOUGH = 0.2
_ROUNDS = 6
_LEAST_SLOPE = 0.1
#: Decibels of gain in front of a limiter beyond which there is more distortion than sound.
_MOST_GAIN = 40.0
_INTEGRATED = re.compile(r"I:\s+(-?[0-9.]+|-inf|nan) LUFS")


def normalized(pcm: Pcm, wanted: Normalize, scratch: Scratch, deadline: Deadline) -> Pcm:
    """`pcm` at the wanted level; silence stays as it is.

    Raises OptionError for "normalize" where a loudness cannot be measured or reached, and what `filtered` raises.
    """
    top = peak(pcm)
    if top == -math.inf:
        return pcm
    if wanted.kind == "peak":
        return GainPcm(pcm, float(wanted.target) - top)
    if pcm.frames < SHORTEST_LOUDNESS * pcm.rate:
        raise OptionError(
            "normalize", "the result is too short to have a loudness", f"ebu from {float(SHORTEST_LOUDNESS):g} s on"
        )
    now = loudness(pcm, deadline)
    if now <= _SILENT:
        return pcm
    gain = float(wanted.target) - now
    if top + gain <= CEILING:
        return GainPcm(pcm, gain)
    return _limited(pcm, float(wanted.target), gain, scratch, deadline)


def peak(pcm: Pcm) -> float:
    """The highest sample in dB of full scale; minus infinity where all are zero."""
    highest = max((audioop.max(block, WIDTH) for block in pcm.blocks()), default=0)
    return 20 * math.log10(highest / FULL_SCALE) if highest else -math.inf


def loudness(pcm: Pcm, deadline: Deadline) -> float:
    """Integrated loudness by ffmpeg's ebur128, in LUFS with one decimal. Raises ToolError, WorkTimeoutError."""
    command = [*ffmpeg.raw_input(pcm), "-filter_threads", "1", "-af", "ebur128=framelog=verbose", "-f", "null", "-"]
    said = ffmpeg.run(command, pcm.blocks(), deadline=deadline, level="info")
    found = _INTEGRATED.findall(said)
    if not found:
        raise ToolError("ffmpeg named no loudness")
    value = float(found[-1])
    return _SILENT if math.isnan(value) else value


def _limited(pcm: Pcm, target: float, gain: float, scratch: Scratch, deadline: Deadline) -> Pcm:
    """Raised by more than there is room for, with a limiter that looks ahead; again until the loudness is right."""
    ceiling = 10 ** (CEILING / 20)
    limiter = f"alimiter=limit={ceiling:.6f}:level=false:latency=true"
    slope, before = 1.0, (0.0, -math.inf)
    for _ in range(_ROUNDS):
        chain = ["aformat=sample_fmts=dbl", f"volume={gain:.3f}dB:precision=double", limiter]
        made = filtered(pcm, chain, pcm.rate, pcm.frames, scratch, deadline)
        now = loudness(made, deadline)
        if abs(target - now) <= _CLOSE_ENOUGH:
            return made
        made.close()
        # The more is limited, the less a decibel of gain adds: the last two tries tell how much.
        if now - before[1] < gain - before[0]:
            slope = max(_LEAST_SLOPE, (now - before[1]) / (gain - before[0]))
        before = gain, now
        gain += (target - now) / slope
        if gain > _MOST_GAIN:
            break
    raise OptionError("normalize", f"it cannot be made as loud as {plain(Fraction(target))} LUFS", "a lower loudness")
