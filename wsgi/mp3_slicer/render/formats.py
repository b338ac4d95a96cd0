"""The formats a render can have: their names, media types, sample rates and bitrates.

The tables have the bitrates that each encoder accepts for a rate and number of channels: for MP3
those of ISO 11172-3 and 13818-3 (clause 2.4.2.3), for the others what libvorbis, libopus and ffmpeg's own AAC encoder accept.
"""

from dataclasses import dataclass

#: Samples a second that a result can have.
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
#: Opus has one clock, whatever went in (RFC 7845 section 4).
OPUS_RATE = 48_000
_KBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
#: By channels and rate: the lowest and highest bitrate of libvorbis, in kbit/s.
_VORBIS = {
    1: dict(zip(RATES, ((8, 40), (16, 48), (16, 48), (16, 96), *[(16, 80)] * 2, (32, 160), *[(32, 224)] * 2), strict=True)),
    2: dict(zip(RATES, ((16, 80), *[(16, 96)] * 2, (24, 192), *[(32, 160)] * 2, (40, 320), *[(48, 320)] * 2), strict=True)),
}  # fmt: skip
#: Default bitrate for each channel, in kbit/s; the nearest one of the format is used.
_DEFAULT_KBITS = 64


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of result."""

    name: str  #: and the end of its file names
    content_type: str
    has_bitrate: bool

    def output_rate(self, rate: int) -> int:
        """Samples a second of the result when what goes in has `rate`."""
        return OPUS_RATE if self.name == "opus" else rate

    def bitrates(self, rate: int, channels: int) -> tuple[int, ...]:
        """The bitrates there are for a sample rate and a number of channels, in kbit/s; none for a format without."""
        if not self.has_bitrate:
            return ()
        low, high = self._bounds(rate, channels)
        return tuple(kbits for kbits in _KBITS if low <= kbits <= high)

    def default_bitrate(self, rate: int, channels: int) -> int:
        """The default bitrate, in kbit/s; 0 for a format without."""
        there_are = self.bitrates(rate, channels)
        return min(there_are, key=lambda kbits: abs(kbits - _DEFAULT_KBITS * channels)) if there_are else 0

    def _bounds(self, rate: int, channels: int) -> tuple[int, int]:
        match self.name:
            case "mp3":
                return (32, 320) if rate >= 32_000 else (8, 160) if rate >= 16_000 else (8, 64)
            case "ogg":
                return _VORBIS[channels][rate]
            case "opus":
                return 8, 256 * channels
            case _:
                # AAC: 6144 bits for each channel of a frame of 1024 samples (ISO 14496-3 clause 4.5.3).
                return 8, 6 * rate * channels // 1000


#: By name.
FORMATS = {
    each.name: each
    for each in (
        Format("mp3", "audio/mpeg", has_bitrate=True),
        Format("wav", "audio/wav", has_bitrate=False),
        Format("flac", "audio/flac", has_bitrate=False),
        Format("ogg", "audio/ogg", has_bitrate=True),
        Format("opus", "audio/ogg; codecs=opus", has_bitrate=True),
        Format("m4a", "audio/mp4", has_bitrate=True),
    )
}
#: Every bitrate that any format has, in kbit/s.
ALL_BITRATES = _KBITS
