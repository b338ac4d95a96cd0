"""The tag frame that encoders put before the audio: Xing/Info with LAME's extension, and Fraunhofer's VBRI.

Layout: the LAME project's "mp3 info tag revision 1". Encoder delay and padding are 12 bits each, in samples. Decoders drop
`delay + 529` samples at the start: 529 is the delay of the decoder itself (528 samples of the filterbanks, plus one).
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

from mp3_slicer.mp3.crc16 import crc16
from mp3_slicer.mp3.header import LENGTHS, FrameHeader

#: Samples by which a Layer III decoder's output lags behind its input.
DECODER_DELAY = 529
#: Largest value of the 12-bit delay and padding fields, in samples.
MAX_TRIM = 4095
#: Encoders whose delay and padding ffmpeg and the browsers honour.
_TRUSTED = (b"LAME", b"Lavf", b"Lavc")
_TOC_LENGTH = 100
_LAME_LENGTH = 36
#: Name, flags, frames, bytes, seek table, quality; encoder, method, (lowpass .. flags).
_FRONT = struct.Struct(">4sIII100sI9sB10x")
#: (Bitrate), delay and padding, (misc .. preset), length, music CRC.
_REST = struct.Struct(">x3s4xIH")
_TAG_LENGTH = _FRONT.size + _REST.size + 2


def plan(header: FrameHeader) -> tuple[bytes, int]:
    """Header bytes and length, in bytes, of the smallest frame without CRC that holds a tag."""
    raw = header.plain(4 + header.side_info_length + _TAG_LENGTH)
    return raw, LENGTHS[header.version, header.sample_rate][raw[2]]


@dataclass(frozen=True, slots=True)
class InfoTag:
    """The contents of a tag frame. The frame count is a claim, and is checked against the frames of the file."""

    name: str  #: "Xing", "Info" or "VBRI"
    frames: int | None  #: audio frames, this one not counted
    encoder: str  #: at most 9 characters, empty where there is none
    delay: (
        int | None
    )  #: samples the encoder put before the audio; None where the tag has none, or decoders would ignore it
    padding: int | None  #: samples the encoder put behind it

    @property
    def skip(self) -> int:
        """Samples a decoder drops at the start: 0 without a delay field."""
        return 0 if self.delay is None else self.delay + DECODER_DELAY


def parse(header: FrameHeader, frame: bytes) -> InfoTag | None:
    """The tag in a stream's first frame, or None if that frame is audio."""
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return InfoTag("VBRI", struct.unpack_from(">I", frame, 50)[0], "", None, None)
    # Its place does not depend on a CRC for most writers, and does for some.
    for start in (4 + header.side_info_length, 6 + header.side_info_length):
        if frame[start : start + 4] in {b"Xing", b"Info"} and len(frame) >= start + 8:
            return _parse_xing(frame, start)
    return None


def _parse_xing(frame: bytes, start: int) -> InfoTag | None:
    name = frame[start : start + 4].decode("ascii")
    flags = frame[start + 7]
    place = start + 8
    frames = None
    if flags & 1:
        if len(frame) < place + 4:
            return None
        frames = struct.unpack_from(">I", frame, place)[0]
    if not flags & 3:
        # Without a count of frames or bytes decoders play this frame as audio, so it is audio here too.
        return None
    place += 4 * (flags & 1) + 4 * (flags >> 1 & 1) + _TOC_LENGTH * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    lame = frame[place : place + _LAME_LENGTH]
    encoder = lame[:9].split(b"\0")[0].decode("latin-1").strip() if lame[:1].isalpha() else ""
    if len(lame) < 24 or lame[:4] not in _TRUSTED:
        return InfoTag(name, frames, encoder, None, None)
    trim = int.from_bytes(lame[21:24], "big")
    return InfoTag(name, frames, encoder, trim >> 12, trim & MAX_TRIM)


def build(
    header: FrameHeader,
    raw: bytes,
    size: int,
    *,
    constant: bool,
    encoder: bytes,
    frames: int,
    length: int,
    delay: int,
    padding: int,
    toc: bytes,
) -> bytes:
    """A tag frame of `size` bytes with the header bytes `raw` (both from `plan`), to stand before `frames` audio frames.

    `length` is the bytes of the file, this frame included. `constant` says that the frames share one bitrate. `encoder` is 9 bytes.
    `delay` and `padding` are samples in 0..4095. `toc` is 100 bytes: for each percent of the duration its place, in 256ths of the
    length. The music CRC stays 0: it would take reading every byte of the audio, and no decoder asks for it.
    """
    front, crc = _front(raw, header.side_info_length, constant, frames, length, toc, encoder)
    rest = _REST.pack((delay << 12 | padding).to_bytes(3, "big"), length, 0)
    return (front + rest + crc16(rest, crc).to_bytes(2, "big")).ljust(size, b"\0")


@lru_cache(maxsize=4096)
def _front(
    raw: bytes, side: int, constant: bool, frames: int, length: int, toc: bytes, encoder: bytes
) -> tuple[bytes, int]:
    """The tag frame up to its bitrate, and the CRC of that: the same for many clips of one duration."""
    name = b"Info" if constant else b"Xing"
    front = raw + bytes(side) + _FRONT.pack(name, 0x0F, frames, length, toc, 0, encoder, 1 if constant else 0)
    # A zero byte in front leaves a CRC that starts at 0 as it is, and makes the length even.
    return front, crc16(front if len(front) % 2 == 0 else b"\0" + front)
