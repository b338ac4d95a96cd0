"""Samples as a file of some format, so that decoders give back each sample from the first to the last.

WAV is written here and MP3 by lameenc in this process; the others are made by ffmpeg. Nothing in a result depends on the time or on
chance: the same samples make the same bytes.
"""

import os
import wave
from typing import BinaryIO

import lameenc

from mp3_slicer.mp3 import infotag
from mp3_slicer.mp3.header import FrameHeader
from mp3_slicer.render.audio import ffmpeg
from mp3_slicer.render.audio.filters import exactly
from mp3_slicer.render.audio.pcm import Pcm
from mp3_slicer.render.audio.scratch import path_of
from mp3_slicer.render.errors import TooLargeError, ToolError
from mp3_slicer.render.formats import Format
from mp3_slicer.render.frames import WIDTH
from mp3_slicer.render.limits import Deadline
from mp3_slicer.render.plan import WAV_HEADER_BYTES, output_frames

#: LAME's quality, 0 the best and 9 the fastest: the default of LAME itself and of ffmpeg.
QUALITY = 5
#: Samples that LAME puts in front of what it encodes (ENCDELAY in its source).
_LAME_DELAY = 576
#: Nine characters, of which the first four make decoders honour delay and padding.
_ENCODER = b"LAME rend"
_PERCENT = range(100)
#: Neither a date nor a version nor a random number in what ffmpeg writes, and one thread, so that memory has a bound.
_ALWAYS = [
    "-map_metadata",
    "-1",
    "-fflags",
    "+bitexact",
    "-flags:a",
    "+bitexact",
    "-threads",
    "1",
    "-filter_threads",
    "1",
]
_FFMPEG = {
    "flac": ["-c:a", "flac", "-sample_fmt", "s16", "-f", "flac"],
    # A page must not hold the whole stream: decoders disagree about where a stream of one page begins.
    "ogg": ["-c:a", "libvorbis", "-page_duration", "50000", "-f", "ogg"],
    "opus": ["-c:a", "libopus", "-f", "opus"],
    # The edit list counts in the movie's units: with the sample rate for them it is exact.
    "m4a": ["-c:a", "aac", "-movflags", "+faststart", "-f", "ipod"],
}


def encode(pcm: Pcm, form: Format, bitrate: int, output: BinaryIO, *, largest: int, deadline: Deadline) -> None:
    """Write all of `pcm` to an empty file. `bitrate` is one that the format has, in kbit/s, 0 where it has none.

    Raises TooLargeError beyond `largest` bytes, WorkTimeoutError, ToolError, OSError where the disk is full.
    """
    match form.name:
        case "wav":
            _wav(pcm, output, largest)
        case "mp3":
            _mp3(pcm, bitrate, output, largest, deadline)
        case _:
            _with_ffmpeg(pcm, form, bitrate, output, largest, deadline)


def _wav(pcm: Pcm, output: BinaryIO, largest: int) -> None:
    if pcm.frames * pcm.frame_bytes + WAV_HEADER_BYTES > largest:
        raise _too_large(largest)
    with wave.open(output, "wb") as file:
        file.setnchannels(pcm.channels)
        file.setsampwidth(WIDTH)
        file.setframerate(pcm.rate)
        file.setnframes(pcm.frames)
        for block in pcm.blocks():
            file.writeframesraw(block)


def _mp3(pcm: Pcm, bitrate: int, output: BinaryIO, largest: int, deadline: Deadline) -> None:
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_channels(pcm.channels)
    encoder.set_bit_rate(bitrate)
    encoder.set_in_sample_rate(pcm.rate)
    encoder.set_out_sample_rate(pcm.rate)
    encoder.set_quality(QUALITY)
    length = front = 0
    header: FrameHeader | None = None

    def write(data: bytes) -> None:
        nonlocal length, front, header
        if not data:
            return
        if header is None:
            header = FrameHeader.parse(data[:4])
            if header is None or (header.bitrate, header.sample_rate, header.channels) != (
                1000 * bitrate,
                pcm.rate,
                pcm.channels,
            ):
                raise ToolError("LAME made another kind of stream than requested")
            length = front = infotag.plan(header)[1]
            output.write(bytes(front))
        length += len(data)
        if length > largest:
            raise _too_large(largest)
        output.write(data)

    for block in pcm.blocks():
        deadline.check()
        write(bytes(encoder.encode(block)))
    write(bytes(encoder.flush()))
    if header is None:
        raise ToolError("LAME made nothing")
    output.seek(0)
    output.write(_tag_frame(header, pcm.frames, front, length))
    output.flush()


def _tag_frame(header: FrameHeader, samples: int, front: int, length: int) -> bytes:
    """The frame that tells decoders how many samples to drop at both ends, for a stream of one bitrate.

    LAME's own would be written after the end of the stream, which lameenc does not offer.
    """
    # Frames differ by one byte of padding, so that their mean length is as it should be.
    per_bit = 144 if header.samples == 1152 else 72
    frames = round((length - front) * header.sample_rate / (per_bit * header.bitrate))
    raw, size = infotag.plan(header)
    return infotag.build(
        header,
        raw,
        size,
        constant=True,
        encoder=_ENCODER,
        frames=frames,
        length=length,
        delay=_LAME_DELAY,
        padding=frames * header.samples - _LAME_DELAY - samples,
        toc=bytes((front + (length - front) * percent // 100) * 256 // length for percent in _PERCENT),
    )


def _with_ffmpeg(pcm: Pcm, form: Format, bitrate: int, output: BinaryIO, largest: int, deadline: Deadline) -> None:
    rate = form.output_rate(pcm.rate)
    command = [*ffmpeg.raw_input(pcm), *_ALWAYS, *_FFMPEG[form.name]]
    if rate != pcm.rate:
        command += ["-af", f"aresample={rate},{exactly(output_frames(pcm.frames, pcm.rate, rate))}"]
    if bitrate:
        command += ["-b:a", f"{bitrate}k"]
    if form.name == "m4a":
        command += ["-movie_timescale", str(rate)]
    ffmpeg.run([*command, path_of(output)], pcm.blocks(), deadline=deadline, files=(output,), largest=largest)
    size = os.fstat(output.fileno()).st_size
    if size > largest:
        raise _too_large(largest)
    if not size:
        raise ToolError("ffmpeg wrote nothing")


def _too_large(largest: int) -> TooLargeError:
    return TooLargeError(f"the result has more than {largest} bytes, which is the limit")
