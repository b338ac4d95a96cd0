"""Short ways to render, to decode what came out, and to compare sounds."""

import io
import math
import os
import subprocess
import tempfile
import wave
from array import array
from collections.abc import Sequence
from fractions import Fraction

import miniaudio

from mp3_slicer.mp3 import FileReader
from mp3_slicer.render import Limits, RenderRequest
from mp3_slicer.render.audio.render import Rendered, render
from support.cutting import index_of, opened

LIMITS = Limits(work_seconds=Fraction(120))


def make(
    path: str, form: str, *pairs: tuple[str, str], limits: Limits = LIMITS, scratch: str | None = None
) -> Rendered:
    """Render a file."""
    with opened(path) as fd:
        return render(RenderRequest.parse(form, pairs), FileReader(fd), index_of(path), limits, scratch=scratch)


def pcm_of(path: str, form: str, *pairs: tuple[str, str]) -> "array[int]":
    """Render a file and decode what came out; it must say truly how many samples, of what kind, it has."""
    with make(path, form, *pairs) as made:
        data = made.read()
        assert len(data) == made.length
        samples, rate, channels = decode(data, form)
        assert (made.rate, made.channels, made.extension) == (rate, channels, form)
        # ffmpeg does not cut the end of AAC off, though the file says where it is.
        if form != "m4a":
            assert len(samples) == made.samples * channels
        else:
            assert 0 <= len(samples) - made.samples * channels < 1024 * channels
        return samples[: made.samples * channels]


def bytes_of(path: str, form: str, *pairs: tuple[str, str]) -> bytes:
    """Render a file and return what came out."""
    with make(path, form, *pairs) as made:
        return made.read()


def decode(data: bytes, form: str) -> tuple["array[int]", int, int]:
    """What ffmpeg makes of a file: samples, rate and channels. From a file, for in a pipe it does not look for the end."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, f"in.{form}"), os.path.join(folder, "out.wav")
        with open(path, "wb") as file:
            file.write(data)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:a:0", "-c:a", "pcm_s16le", out]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        with open(out, "rb") as file:
            return wav(file.read())


def wav(data: bytes) -> tuple["array[int]", int, int]:
    """The samples, rate and channels of a WAV file."""
    with wave.open(io.BytesIO(data)) as file:
        return array("h", file.readframes(file.getnframes())), file.getframerate(), file.getnchannels()


def whole(path: str) -> "array[int]":
    """The source, decoded in one go."""
    with open(path, "rb") as file:
        return miniaudio.mp3_read_s16(file.read()).samples


def mono(samples: "array[int]", channels: int) -> list[float]:
    """The mean of the channels."""
    return [sum(samples[at : at + channels]) / channels for at in range(0, len(samples), channels)]


def lag(heard: Sequence[float], wanted: Sequence[float], reach: int) -> int:
    """By how many samples `heard` is late, from -reach to reach: where the two are most alike."""
    inner = wanted[reach : len(wanted) - reach]

    def likeness(shift: int) -> float:
        other = heard[reach + shift : reach + shift + len(inner)]
        power = math.sqrt(sum(value * value for value in other)) or 1.0
        return sum(a * b for a, b in zip(inner, other, strict=True)) / power

    return max(range(-reach, reach + 1), key=likeness)


def rms(samples: Sequence[float]) -> float:
    """The root of the mean square, in dB of full scale."""
    return 20 * math.log10(max(1e-9, math.sqrt(sum(value * value for value in samples) / len(samples)) / 32768))


def highest(samples: Sequence[int]) -> float:
    """The highest sample in dB of full scale."""
    return 20 * math.log10(max(1e-9, max(map(abs, samples)) / 32768))


def loudness(data: bytes, form: str) -> float:
    """Integrated loudness by ffmpeg's ebur128, of a whole file."""
    with tempfile.NamedTemporaryFile(suffix=f".{form}") as file:
        file.write(data)
        file.flush()
        command = [
            "ffmpeg",
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-i",
            file.name,
            "-af",
            "ebur128",
            "-f",
            "null",
            "-",
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return float(said.rsplit("I:", 1)[1].split("LUFS")[0])


def write_mp3(path: str, samples: Sequence[float], rate: int, channels: int = 1, kbits: int = 128) -> str:
    """Encode samples in -1..1, the same in all channels, with lame."""
    values = array("h", (round(32767 * value) for value in samples for _ in range(channels)))
    with wave.open(path + ".wav", "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(values.tobytes())
    command = [
        "lame",
        "--quiet",
        "--noreplaygain",
        "--resample",
        f"{rate / 1000:g}",
        "-b",
        str(kbits),
        path + ".wav",
        path,
    ]
    subprocess.run(command, check=True)
    os.unlink(path + ".wav")
    return path
