"""Effects that ffmpeg computes: speed without a change of pitch, sample rate, limiter. The result is kept in a nameless file."""

import os
from fractions import Fraction

from mp3_slicer.render.audio import ffmpeg
from mp3_slicer.render.audio.pcm import FilePcm, Pcm
from mp3_slicer.render.audio.scratch import Scratch, path_of
from mp3_slicer.render.errors import ToolError
from mp3_slicer.render.frames import frames_after
from mp3_slicer.render.limits import Deadline


def exactly(frames: int) -> str:
    """A filter that gives exactly `frames` frames, with silence at the end of a shorter input."""
    return f"apad=whole_len={frames},atrim=end_sample={frames}"


def filtered(pcm: Pcm, chain: list[str], rate: int, frames: int, scratch: Scratch, deadline: Deadline) -> FilePcm:
    """Return the result of a chain of ffmpeg's audio filters on `pcm`: `frames` frames at `rate`.

    Raises ToolError, WorkTimeoutError, OSError where there is no room for the file.
    """
    output = scratch.file()
    command = ["-af", ",".join([*chain, exactly(frames)]), "-f", ffmpeg.SAMPLES, "-ar", str(rate), path_of(output)]
    made = FilePcm(output, rate, pcm.channels, frames)
    command = [*ffmpeg.raw_input(pcm), "-filter_threads", "1", "-ac", str(pcm.channels), *command]
    ffmpeg.run(command, pcm.blocks(), deadline=deadline, files=(output,), largest=frames * made.frame_bytes)
    if os.fstat(output.fileno()).st_size != frames * made.frame_bytes:
        raise ToolError("ffmpeg made a wrong number of samples")
    return made


def faster(pcm: Pcm, speed: Fraction, rate: int, scratch: Scratch, deadline: Deadline) -> Pcm:
    """`speed` times as fast at the old pitch, and at `rate` frames a second. Raises what `filtered` raises."""
    chain = [] if speed == 1 else [f"atempo={float(speed):.3f}"]
    if rate != pcm.rate:
        chain.append(f"aresample={rate}")
    return filtered(pcm, chain, rate, frames_after(pcm.frames, pcm.rate, speed, rate), scratch, deadline)
