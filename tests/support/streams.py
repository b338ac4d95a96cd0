"""MP3 streams of every kind for the tests, made with lame and ffmpeg, and ways to damage and to decode them.

Nothing in here uses Slicer's own parser, so that the two can be checked against each other.
"""

import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

# ---------------------------------------------------------------------------------------------------------- making

#: What was made once is kept for later runs and other processes, as long as this file is the same: making it is most of the time.
KEPT = (
    pathlib.Path(__file__).parents[2] / "build" / "streams" / f"{zlib.crc32(pathlib.Path(__file__).read_bytes()):08x}"
)


@dataclass(frozen=True)
class Stream:
    """A kind of MP3 stream."""

    version: str  # of MPEG: "1", "2" or "2.5"
    rate: int
    channels: int
    options: tuple[str, ...]  # of the encoder
    encoder: str = "lame"
    tag: bool = True  # whether it has a Xing or Info frame with the gapless data
    crc: bool = False
    reservoir: bool = True


STREAMS: dict[str, Stream] = {
    "mpeg1-44-stereo-cbr128": Stream("1", 44100, 2, ("--cbr", "-b", "128", "-m", "s")),
    "mpeg1-48-joint-cbr320": Stream("1", 48000, 2, ("--cbr", "-b", "320", "-m", "j")),
    "mpeg1-32-mono-cbr64": Stream("1", 32000, 1, ("--cbr", "-b", "64")),
    # LAME's tag does not fit into a frame this small, so there is none.
    "mpeg1-44-mono-cbr32": Stream("1", 44100, 1, ("--cbr", "-b", "32"), tag=False),
    "mpeg1-44-joint-vbr2": Stream("1", 44100, 2, ("-V", "2", "-m", "j")),
    "mpeg1-48-crc-cbr128": Stream("1", 48000, 2, ("--cbr", "-b", "128", "-p"), crc=True),
    "mpeg1-44-nores-cbr160": Stream("1", 44100, 2, ("--cbr", "-b", "160", "--nores"), reservoir=False),
    "mpeg1-44-untagged-cbr128": Stream("1", 44100, 2, ("--cbr", "-b", "128", "-t"), tag=False),
    "mpeg1-44-lavc-cbr128": Stream("1", 44100, 2, ("-b:a", "128k", "-write_xing", "1"), encoder="ffmpeg"),
    "mpeg2-22-joint-cbr64": Stream("2", 22050, 2, ("--cbr", "-b", "64", "-m", "j")),
    "mpeg2-24-joint-abr56": Stream("2", 24000, 2, ("--abr", "56", "-m", "j")),
    "mpeg25-11-mono-cbr40": Stream("2.5", 11025, 1, ("--cbr", "-b", "40")),
    "mpeg25-8-mono-vbr5": Stream("2.5", 8000, 1, ("-V", "5")),
}


def make(kind: str, folder: str, seconds: int = 60) -> str:
    """Make a stream in the folder, if it is not there yet, and return its path."""
    stream = STREAMS[kind]

    def encode(path: str) -> None:
        wav = source(stream.rate, stream.channels, str(KEPT), seconds)
        if stream.encoder == "ffmpeg":
            _run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", wav, "-c:a", "libmp3lame", *stream.options, path)
        else:
            _lame(wav, path, stream.rate, *stream.options)

    return _made(os.path.join(folder, f"{kind}-{seconds}s.mp3"), encode)


def source(rate: int, channels: int, folder: str, seconds: int = 60) -> str:
    """Make the WAV file that the streams are encoded from, of exactly `seconds`, and return its path."""

    def convert(path: str) -> None:
        master = _made(os.path.join(KEPT, f"source-{seconds}s.wav"), lambda path: _master(path, seconds))
        exact = f"aresample={rate},apad=whole_len={rate * seconds},atrim=end_sample={rate * seconds}"
        _run(
            *("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", master, "-af", exact),
            *("-ac", str(channels), "-c:a", "pcm_s16le", path),
        )

    return _made(os.path.join(folder, f"source-{rate}-{channels}-{seconds}s.wav"), convert)


def _master(path: str, seconds: int) -> None:
    """Make material that never repeats and is hard and easy to encode in turns, so that the reservoir is used."""
    sweep = "0.12*sin(2*PI*(300*t+40*t*t))+0.1*sin(2*PI*(200*t+900*sin(0.37*t)))"
    chords = [
        f"st(0,{root}*pow(2,floor(mod(t*1.7,12))/12));exp(-3*mod(t*1.7,1))*(sin(ld(0)*t)+0.6*sin({third}*ld(0)*t))*0.2"
        for root, third in ((1382, 1.26), (1037, 1.5))
    ]
    bursts = [f"'0.5*exp(-{fall}*mod(t,{every}))*gt(mod(t,3.1),0.9)'" for fall, every in ((25, 0.41), (18, 0.53))]
    words = "The quick brown fox jumps over the lazy dog, at {} past {}, and then it sleeps until {}."
    spoken = " ".join(
        words.format(number, 3 * number + 1, number * number + 7) for number in range(1, seconds // 4 + 2)
    )
    if b" flite " in _run("ffmpeg", "-v", "error", "-filters"):
        voice = f"flite=text='{spoken}':voice=slt,aresample=48000"
    else:  # a buzz with something like syllables
        voice = f"aevalsrc='0.2*(mod(t*(110+9*sin(2.1*t)),1)-0.5)*max(0,sin(7.3*t)*sin(1.9*t))':s=48000:d={seconds + 1}"
    graph = [
        f"aevalsrc='{sweep}+{chords[0]}|{chords[1]}':c=stereo:s=48000:d={seconds + 1}[tones]",
        *(
            f"anoisesrc=r=48000:d={seconds + 1}:a=1:c={colour}:s={at + 7},volume=eval=frame:volume={burst}[noise{at}]"
            for at, (colour, burst) in enumerate(zip(("white", "pink"), bursts, strict=True))
        ),
        "[noise0][noise1]join=inputs=2:channel_layout=stereo[noise]",
        f"{voice},pan=stereo|c0=0.8*c0|c1=0.5*c0,apad=whole_dur={seconds + 1}[voice]",
        "[tones][noise][voice]amix=inputs=3:duration=first,volume=2.2,alimiter=limit=0.9:level=0[all]",
    ]
    _run(
        *("ffmpeg", "-nostdin", "-v", "error", "-y", "-filter_complex", ";".join(graph), "-map", "[all]"),
        *("-c:a", "pcm_s16le", path),
    )


def _lame(wav: str, path: str, rate: int, *options: str) -> None:
    _run("lame", "--quiet", "--noreplaygain", "-q", "5", "--resample", f"{rate / 1000:g}", *options, wav, path)


def _made(path: str, write: Callable[[str], None]) -> str:
    """Let a file be written, or take the one that is kept under the same name; keep the one that is there already."""
    if not os.path.exists(path):
        kept = os.path.join(KEPT, os.path.basename(path))
        if not os.path.exists(kept):
            _whole(kept, write)
        if path != kept:
            # A copy: tests damage their files.
            _whole(path, lambda part: shutil.copyfile(kept, part))
    return path


def _whole(path: str, write: Callable[[str], object]) -> None:
    """Let a file be written under another name, and give it its own at the end."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    stem, extension = os.path.splitext(path)
    part = f"{stem}.{os.getpid()}.part{extension}"
    try:
        write(part)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _run(*command: str, strict: bool = True) -> bytes:
    """Run a program and return its output; raise with what it said if it fails or, when strict, complains."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode or (strict and done.stderr.strip()):
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


# --------------------------------------------------------------------------------------------------------- parsing

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_VERSIONS = {3: "1", 2: "2", 0: "2.5"}
_KBITS: dict[tuple[bool, int], Sequence[int]] = {  # by whether it is MPEG-1, and layer
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class Header(NamedTuple):
    """The fields of a frame's header; size is the whole frame's, and 0 for the free format."""

    version: str
    layer: int
    crc: bool
    kbits: int
    rate: int
    channels: int
    samples: int
    size: int


def header(data: bytes, at: int = 0) -> Header | None:
    """Read the frame header at an offset, if there is one."""
    if len(data) < at + 4:
        return None
    word = int.from_bytes(data[at : at + 4], "big")
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bitrate, rate = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or bitrate == 15 or rate == 3:
        return None
    hertz = _RATES[version][rate]
    kbits = _KBITS[version == 3, layer][bitrate]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    unit = 4 if layer == 1 else 1
    size = (samples // 8 // unit * kbits * 1000 // hertz + (word >> 9 & 1)) * unit if kbits else 0
    channels = 1 if word >> 6 & 3 == 3 else 2
    return Header(_VERSIONS[version], layer, not word >> 16 & 1, kbits, hertz, channels, samples, size)


def frames(data: bytes) -> list[int]:
    """Find the offsets of all frames, the one with the Xing tag included; tags before and after are left out."""
    at = 0
    while data[at : at + 3] == b"ID3":
        at += 10 + _from_synchsafe(data[at + 6 : at + 10])
    found = []
    while (head := header(data, at)) and head.size and at + head.size <= len(data):
        found.append(at)
        at += head.size
    return found


def xing_offset(data: bytes) -> int | None:
    """Find the letters "Xing" or "Info" of the first frame."""
    start = frames(data)[0]
    head = header(data, start)
    assert head is not None
    side = (17 if head.channels == 1 else 32) if head.version == "1" else (9 if head.channels == 1 else 17)
    for at in (start + 4 + side, start + 6 + side):
        if data[at : at + 4] in (b"Xing", b"Info"):
            return at
    return None


# --------------------------------------------------------------------------------------------------------- changing


def with_id3v2(data: bytes, size: int) -> bytes:
    """Put an ID3v2.3 tag of `size` bytes in front; from 46 bytes on it holds bytes that look like MP3 frames."""
    body = size - 10
    if body < 0:
        raise ValueError("an ID3v2 tag has at least 10 bytes")
    content = bytes(body)
    if body >= 36:
        owner = b"example.org\0"
        lure = (b"\xff\xfb\x90\x64" + bytes(413)) * (body // 417 + 1)
        private = owner + lure[: body - 10 - len(owner)]
        content = b"PRIV" + struct.pack(">IH", len(private), 0) + private
    return b"ID3\x03\0\0" + _synchsafe(body) + content + data


def with_id3v1(data: bytes) -> bytes:
    """Append an ID3v1.1 tag."""
    return data + _id3v1()


def with_apev2(data: bytes) -> bytes:
    """Append an APEv2 tag with header and footer, and a frame's sync word in an item."""
    items = b"".join(
        struct.pack("<II", len(value), flags) + key + b"\0" + value
        for key, value, flags in ((b"Title", b"Test", 0), (b"Cover", b"\xff\xfb\x90\x64" * 120, 1 << 1))
    )
    is_header, has_header = 1 << 29, 1 << 31
    ends = [
        b"APETAGEX" + struct.pack("<IIII", 2000, len(items) + 32, 2, flags) + bytes(8)
        for flags in (has_header | is_header, has_header)
    ]
    return data + ends[0] + items + ends[1]


def with_lyrics3(data: bytes) -> bytes:
    """Append a Lyrics3v2 tag, and the ID3v1 tag that has to follow it."""
    text = b"[00:01]La la la\r\n" * 20
    lyrics = b"LYRICSBEGIN" + b"IND00002" + b"11" + b"LYR%05d" % len(text) + text
    return data + lyrics + b"%06d" % len(lyrics) + b"LYRICS200" + _id3v1()


def truncated(data: bytes, n: int) -> bytes:
    """Cut off the last n bytes."""
    return data[: max(0, len(data) - n)]


def garbage_between(data: bytes, at: int, junk: bytes) -> bytes:
    """Insert junk at the border of two frames nearest to an offset."""
    border = min(frames(data)[1:], key=lambda border: abs(border - at))
    return data[:border] + junk + data[border:]


def concatenated(a: bytes, b: bytes) -> bytes:
    """Put one file behind another, tags and all."""
    return a + b


def xing_lying(data: bytes, frames: int | None = None, size: int | None = None) -> bytes:
    """Change the Xing tag's count of frames, or of bytes, and nothing else; the LAME tag's checksum stays right."""
    at = xing_offset(data)
    if at is None:
        raise ValueError("this stream has no Xing tag")
    flags = int.from_bytes(data[at + 4 : at + 8], "big")
    if flags & 3 != 3:
        raise ValueError("this Xing tag has no counts")
    changed = bytearray(data)
    if frames is not None:
        changed[at + 8 : at + 12] = frames.to_bytes(4, "big")
    if size is not None:
        changed[at + 12 : at + 16] = size.to_bytes(4, "big")
    if flags & 15 == 15:  # all fields are there, so the LAME tag's place is known
        start = _start(data)
        checksum = at + 120 + 34
        if int.from_bytes(data[checksum : checksum + 2], "big") == _crc16(data[start:checksum]):
            changed[checksum : checksum + 2] = _crc16(changed[start:checksum]).to_bytes(2, "big")
    return bytes(changed)


def with_vbri(data: bytes, frames_: int | None = None) -> bytes:
    """Put a frame with a VBRI tag in front, in place of a Xing tag."""
    offsets = frames(data)
    start = offsets[0]
    if xing_offset(data) is not None:
        del offsets[0]
    first = header(data, offsets[0])
    assert first is not None
    audio = data[offsets[0] :]
    end = len(data) - offsets[0]
    # The table of contents has a size, in bytes, for each step of so many frames.
    step = max(1, -(-len(offsets) // 50))
    borders = [offset - offsets[0] for offset in offsets[::step]] + [end]
    sizes = [after - before for before, after in pairwise(borders)]
    count = len(offsets) if frames_ is None else frames_
    tag = b"VBRI" + struct.pack(">HHHIIHHHH", 1, 0, 75, end, count, len(sizes), 1, 4, step)
    tag += b"".join(size.to_bytes(4, "big") for size in sizes)
    # The tag's frame is like the first one, of the smallest bitrate that has room, and without a CRC.
    word = int.from_bytes(data[offsets[0] : offsets[0] + 4], "big") & ~(15 << 12 | 1 << 9) | 1 << 16
    for bitrate in range(1, 15):
        head = (word | bitrate << 12).to_bytes(4, "big")
        parsed = header(head)
        assert parsed is not None
        if parsed.size >= 36 + len(tag):
            return data[:start] + (head + bytes(32) + tag).ljust(parsed.size, b"\0") + audio
    raise ValueError("no frame has room for the tag")


def free_format(wav: str, kbits: int = 400) -> bytes:
    """Encode a WAV file in the free format, with frames of a size that no header tells."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "free.mp3")
        _run("lame", "--quiet", "--noreplaygain", "--freeformat", "-b", str(kbits), wav, path)
        return _read(path)


def layer2(wav: str, kbits: int = 192) -> bytes:
    """Encode a WAV file as MPEG Layer II."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "layer2.mp2")
        command = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", wav)
        _run(*command, "-c:a", "mp2", "-b:a", f"{kbits}k", "-f", "mp2", path)
        return _read(path)


def layer1(count: int) -> bytes:
    """Make frames of silence in MPEG-1 Layer I, 384 kbit/s, 48 kHz, stereo."""
    head = b"\xff\xff\xc4\x00"
    parsed = header(head)
    assert parsed is not None
    return head.ljust(parsed.size, b"\0") * count


def _start(data: bytes) -> int:
    return frames(data)[0]


def _id3v1() -> bytes:
    fields = b"TAG" + b"Test".ljust(30, b"\0") + b"Nobody".ljust(30, b"\0") + b"Nothing".ljust(30, b"\0")
    return fields + b"2024" + b"made for a test".ljust(28, b"\0") + b"\0\x01\x0c"


def _synchsafe(number: int) -> bytes:
    if number >= 1 << 28:
        raise ValueError("too long for an ID3v2 tag")
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def _from_synchsafe(data: bytes) -> int:
    return sum((byte & 127) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))


def _crc16(data: bytes | bytearray) -> int:
    """Compute the checksum of LAME's tag (CRC-16/ARC)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# --------------------------------------------------------------------------------------------------------- decoding


def decode_ffmpeg(path: str, *, strict: bool = True) -> "array[float]":
    """Decode a file with ffmpeg, at its own rate and channels, to interleaved samples.

    Raises if it fails or, when strict, as much as complains.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.f32")
        command = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", path)
        _run(*command, "-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "f32le", out, strict=strict)
        samples = array("f", _read(out))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def decode_mpg123(path: str, *, strict: bool = True) -> "array[float]":
    """Decode a file with mpg123, at its own rate and channels, to interleaved samples.

    Raises if it fails or, when strict, as much as complains.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.f32")
        _run("mpg123", "-q", "-e", "f32", "-O", out, path, strict=strict)
        return array("f", _read(out))


def long_file(path: str, *, minutes: int) -> None:
    """Write a minute of constant 128 kbit/s, so many times."""
    with tempfile.TemporaryDirectory(prefix="slicer-test-") as place:
        data = pathlib.Path(make("mpeg1-44-untagged-cbr128", place, seconds=60)).read_bytes()
    with open(path, "wb") as file:
        file.writelines(data for _ in range(minutes))
