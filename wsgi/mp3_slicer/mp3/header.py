"""The four bytes that start an MPEG audio frame (ISO 11172-3 clause 2.4.1.3, ISO 13818-3 clause 2.4.1.3, MPEG-2.5)."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

# Bits per second for bitrate indexes 1..14 of Layer III.
_BITRATES_MPEG1 = tuple(k * 1000 for k in (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320))
_BITRATES_MPEG2 = tuple(k * 1000 for k in (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))
_SAMPLE_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_VERSIONS = {3: "1", 2: "2", 0: "2.5"}
_LAYER_III = 1
_MONO = 3

#: Bytes of the longest Layer III frame: 320 kbit/s at 32 kHz with a padding byte.
MAX_FRAME_LENGTH = 1441


def one_of(values: Iterable[int]) -> bytes:
    """A pattern for one byte with any of these values."""
    return b"[" + b"".join(b"\\x%02x" % value for value in values) + b"]"


#: A pattern for the first four bytes of any Layer III frame that is not free format: sync, version and layer; bitrate 1..14 and
#: rate 0..2; anything, for decoders do not mind a reserved emphasis.
SYNC_PATTERN = b"\xff%b%b." % (
    one_of((0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)),
    one_of(v for v in range(256) if 0 < v >> 4 < 15 and v >> 2 & 3 != 3),
)


def bitrates(version: int) -> tuple[int, ...]:
    """Bits per second by bitrate index, of which the first is 1, for the header's two version bits."""
    return _BITRATES_MPEG1 if version == 3 else _BITRATES_MPEG2


def frame_length(version: int, bitrate: int, sample_rate: int, padding: int) -> int:
    """Bytes of a Layer III frame, its header included (clause 2.4.3.1). `version` is the header's two bits: 3 is MPEG-1."""
    return (144 if version == 3 else 72) * bitrate // sample_rate + padding


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """A Layer III frame header that is not free format."""

    raw: bytes
    version: int  #: the header's two bits: 3 MPEG-1, 2 MPEG-2, 0 MPEG-2.5
    bitrate: int  #: bits per second
    sample_rate: int  #: samples per second
    length: int  #: bytes of the whole frame
    samples: int  #: per channel: 1152 in MPEG-1, 576 otherwise
    side_info_length: int  #: bytes of side information (clause 2.4.1.7)

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """The header in four bytes, or None if they are none, of another layer, or free format."""
        if len(raw) != 4 or raw[0] != 0xFF or raw[1] & 0xE0 != 0xE0 or raw[1] >> 1 & 3 != _LAYER_III:
            return None
        version, bitrate, rate = raw[1] >> 3 & 3, raw[2] >> 4, raw[2] >> 2 & 3
        if version == 1 or bitrate in {0, 15} or rate == 3:
            return None
        bits = bitrates(version)[bitrate - 1]
        hertz = _SAMPLE_RATES[version][rate]
        mono = raw[3] >> 6 == _MONO
        samples, side = (1152, 17 if mono else 32) if version == 3 else (576, 9 if mono else 17)
        return cls(bytes(raw), version, bits, hertz, frame_length(version, bits, hertz, raw[2] >> 1 & 1), samples, side)

    @property
    def kind(self) -> tuple[int, int, int]:
        """The properties that all frames of a segment share: version bits, sample rate, channels."""
        return self.version, self.sample_rate, self.channels

    @property
    def version_name(self) -> str:
        """MPEG version: "1", "2" or "2.5"."""
        return _VERSIONS[self.version]

    @property
    def channels(self) -> int:
        """1 or 2."""
        return 1 if self.raw[3] >> 6 == _MONO else 2

    @property
    def main_data_offset(self) -> int:
        """Bytes from the frame's start to its main data area; two more where a CRC follows the header."""
        return 4 + self.side_info_length + (0 if self.raw[1] & 1 else 2)

    @property
    def max_main_data_begin(self) -> int:
        """The furthest that a frame's data can reach back, in bytes of main data: 511 in MPEG-1, 255 otherwise."""
        return 511 if self.version == 3 else 255

    @property
    def smallest_main_data(self) -> int:
        """Bytes of main data in the smallest frame of this kind, with a CRC."""
        return (
            frame_length(self.version, bitrates(self.version)[0], self.sample_rate, 0) - 4 - self.side_info_length - 2
        )

    def plain(self, length: int) -> bytes:
        """Four header bytes like these for a frame without CRC and padding, of the smallest bitrate with at least `length` bytes.

        Raises ValueError where no bitrate of this version and rate makes so long a frame.
        """
        index = bisect_left(_PLAIN_LENGTHS[self.version, self.sample_rate], length) + 1
        if index > len(bitrates(self.version)):
            raise ValueError(f"no frame of {length} bytes")
        return bytes((0xFF, self.raw[1] | 1, index << 4 | self.raw[2] & 0x0C, self.raw[3] & 0xCF))


_PLAIN_LENGTHS = {
    (version, hertz): [frame_length(version, bitrate, hertz, 0) for bitrate in bitrates(version)]
    for version, rates in _SAMPLE_RATES.items()
    for hertz in rates
}


def _lengths_by_third_byte(version: int, hertz: int) -> tuple[int, ...]:
    lengths = [0] * 256
    rate = _SAMPLE_RATES[version].index(hertz)
    for index, bitrate in enumerate(bitrates(version), 1):
        for low in range(4):  # padding, and the private bit
            lengths[index << 4 | rate << 2 | low] = frame_length(version, bitrate, hertz, low >> 1)
    return tuple(lengths)


#: By version bits and sample rate: the frame length for every value of the third header byte, 0 where it is not valid or of another rate.
LENGTHS: dict[tuple[int, int], tuple[int, ...]] = {
    (version, hertz): _lengths_by_third_byte(version, hertz)
    for version, rates in _SAMPLE_RATES.items()
    for hertz in rates
}
