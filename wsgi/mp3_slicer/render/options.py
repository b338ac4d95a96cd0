"""The options of renders and waveforms, each declared once: parsing, canonical form and documentation.

docs/renders.md, openapi.json, Nginx's expression for canonical queries and the studio are held to this by tests.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mp3_slicer.render.errors import OptionError
from mp3_slicer.render.formats import ALL_BITRATES, RATES
from mp3_slicer.render.values import Normalize, Range, plain
from mp3_slicer.timespan import ALLOWED, TimeSpan, TimeSpanError

#: Spans of one request.
MAX_SPANS = 20
#: An option's text, in characters: nothing longer means anything.
MAX_TEXT = 80
#: Pixels of one waveform, by default and at most: about an hour at 256 samples each.
DEFAULT_PIXELS, MAX_PIXELS = 1000, 1_000_000
#: Parts of a waveform that can be asked for by themselves.
PARTS = 16
#: Samples for each pixel: audiowaveform has at least two.
MIN_ZOOM, MAX_ZOOM = 2, 1 << 30
#: Defaults, in dB of full scale and in LUFS (EBU R 128).
DEFAULT_PEAK, DEFAULT_LOUDNESS = Fraction(-1), Fraction(-23)

_WHOLE = re.compile(r"[0-9]{1,10}", re.ASCII)
#: Such numbers, and times, as canonical queries have them: without zeros that say nothing.
_PLAIN = "-?(?:0|[1-9][0-9]{0,5})(?:[.][0-9]{0,2}[1-9])?"
_TIME = "(?:0|[1-9][0-9]{0,9})(?:[.][0-9]{0,8}[1-9])?"
_SPAN_SCHEMA = {"type": "string", "maxLength": MAX_TEXT, "pattern": "^(npt:)?([0-9:.]+|[0-9:.]*,[0-9:.]+)$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a query."""

    name: str
    values: str  #: in a table, as Markdown
    allowed: str  #: the same, for errors
    sentence: str  #: in a table, and in openapi.json
    schema: dict[str, Any]  #: of its text, as JSON Schema
    canonical: str  #: a regular expression for its value in a canonical query
    read: Callable[[str], Any]  #: raises ValueError with what is wrong
    write: Callable[[Any], str] = str  #: the value in a canonical query
    default: Any = None  #: the value without it
    repeatable: bool = False  #: whether it may be given more than once
    example: Any = None  #: for openapi.json

    @property
    def description(self) -> str:
        """Its sentence, with capital and full stop."""
        return f"{self.sentence[0].upper()}{self.sentence[1:]}."

    def parse(self, text: str) -> Any:
        """The value that a text stands for. Raises OptionError."""
        if len(text) > MAX_TEXT:
            raise OptionError(self.name, "it is too long", self.allowed)
        try:
            return self.read(text)
        except ValueError as error:
            raise OptionError(self.name, str(error), self.allowed) from None


def _span(text: str) -> TimeSpan:
    try:
        return TimeSpan.parse(text)
    except TimeSpanError as error:
        raise ValueError(str(error)) from None


def _choice(*values: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text not in map(str, values):
            raise ValueError(f"{text[:20]!r} is none of them")
        return int(text)

    return read


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"{text[:20]!r} is out of range or no whole number")
        return int(text)

    return read


def _number(name: str, span: Range, values: str, sentence: str, default: Fraction | None) -> Option:
    return Option(
        name=name,
        values=values,
        allowed=str(span),
        sentence=sentence,
        schema=span.schema,
        canonical=_PLAIN,
        read=span.read,
        write=plain,
        default=default,
    )


FADE_SECONDS = Range(Fraction(0), Fraction(60), "seconds")
PEAK = Range(Fraction(-30), Fraction(0), "dB of full scale")
LOUDNESS = Range(Fraction(-31), Fraction(-9), "LUFS")


def _fade(text: str) -> tuple[Fraction, Fraction]:
    first, comma, second = text.partition(",")
    if not comma:
        raise ValueError(f"{text!r} names one time")
    return FADE_SECONDS.read(first), FADE_SECONDS.read(second)


def _normalize(text: str) -> Normalize:
    kind, colon, target = text.partition(":")
    if kind == "peak":
        return Normalize("peak", PEAK.read(target) if colon else DEFAULT_PEAK)
    if kind == "ebu":
        return Normalize("ebu", LOUDNESS.read(target) if colon else DEFAULT_LOUDNESS)
    raise ValueError(f"{text!r} names no way of measuring")


SPANS = Option(
    name="t",
    values=f"a span, as for clips; up to {MAX_SPANS}",
    allowed=ALLOWED,
    sentence="the spans to render, joined in their order; without it the whole file",
    schema={"type": "array", "maxItems": MAX_SPANS, "items": _SPAN_SCHEMA},
    canonical=f"{_TIME}(?:,{_TIME})?",
    read=_span,
    write=lambda span: str(span.canonical),
    repeatable=True,
    example=["3000,3010"],
)
FADE = Option(
    name="fade",
    values=f"`in,out`, {plain(FADE_SECONDS.low)} to {plain(FADE_SECONDS.high)} s each",
    allowed=f"fade=in,out: each {FADE_SECONDS}",
    sentence="fades in and out, linear in amplitude",
    schema={"type": "string", "pattern": "^[0-9]{1,5}([.][0-9]{1,3})?,[0-9]{1,5}([.][0-9]{1,3})?$"},
    canonical=f"{_PLAIN},{_PLAIN}",
    read=_fade,
    write=lambda fades: ",".join(map(plain, fades)),
    default=(Fraction(0), Fraction(0)),
    example="0.5,1",
)
GAIN = _number(
    "gain",
    Range(Fraction(-60), Fraction(24), "dB"),
    "-60 to 24 dB",
    "changes the level; samples beyond 16 bits are clipped; not with `normalize`",
    Fraction(0),
)
NORMALIZE = Option(
    name="normalize",
    values="`peak` or `peak:dB`, -30 to 0; `ebu` or `ebu:LUFS`, -31 to -9",
    allowed=f"peak or peak:dB ({PEAK}), ebu or ebu:LUFS ({LOUDNESS})",
    sentence=(
        f"sets the highest sample to this level in dB of full scale, by default {plain(DEFAULT_PEAK)}, or the loudness "
        f"(EBU R 128, integrated) to this level in LUFS, by default {plain(DEFAULT_LOUDNESS)}; not with `gain`"
    ),
    schema={"type": "string", "pattern": "^(peak|ebu)(:-?[0-9]{1,5}([.][0-9]{1,3})?)?$"},
    canonical=f"(?:peak|ebu):{_PLAIN}",
    read=_normalize,
    write=lambda level: f"{level.kind}:{plain(level.target)}",
    example="ebu:-16",
)
CHANNELS = Option(
    name="channels",
    values="`1`, `2`",
    allowed="1 or 2",
    sentence="one channel is the mean of two; two are copies of one",
    schema={"enum": [1, 2]},
    canonical=_PLAIN,
    read=_choice(1, 2),
)
RATE = Option(
    name="rate",
    values=", ".join(map(str, RATES)),
    allowed="one of " + ", ".join(map(str, RATES)),
    sentence="the result's sample rate (ffmpeg's resampler, with its low-pass filter)",
    schema={"enum": list(RATES)},
    canonical=_PLAIN,
    read=_choice(*RATES),
)
SPEED = _number(
    "speed",
    Range(Fraction(1, 2), Fraction(2), "times"),
    "0.5 to 2",
    "the speed factor, at unchanged pitch (ffmpeg's `atempo`)",
    Fraction(1),
)
TRIM = _number(
    "trim",
    Range(Fraction(-90), Fraction(-20), "dB of full scale"),
    "-90 to -20 dB",
    "removes silence from both ends of each span: windows of 10 ms with a root mean square below this level in dB of full scale",
    None,
)
CROSSFADE = _number(
    "crossfade",
    Range(Fraction(0), Fraction(10), "seconds"),
    "0 to 10 s",
    "starts each span this long before the end of the previous one, with a linear crossfade; needs several spans",
    Fraction(0),
)
BITRATE = Option(
    name="bitrate",
    values="kbit/s, see [formats](#formats)",
    allowed="one of " + ", ".join(map(str, ALL_BITRATES)) + " (kbit/s)",
    sentence="the bitrate of mp3, ogg, opus and m4a",
    schema={"enum": list(ALL_BITRATES)},
    canonical=_PLAIN,
    read=_choice(*ALL_BITRATES),
)
#: Those of renders by name, in the order of a canonical query.
RENDER_OPTIONS = {
    each.name: each for each in (SPANS, FADE, GAIN, NORMALIZE, CHANNELS, RATE, SPEED, TRIM, CROSSFADE, BITRATE)
}

SPAN = Option(
    name="t",
    values="one span",
    allowed=ALLOWED,
    sentence="the span; without it the whole file",
    schema=_SPAN_SCHEMA,
    canonical=SPANS.canonical,
    read=_span,
    write=SPANS.write,
    default=TimeSpan(0, None),
    example="3000,3010",
)
PIXELS = Option(
    name="pixels",
    values=f"1 to {MAX_PIXELS}",
    allowed=f"a whole number from 1 to {MAX_PIXELS}",
    sentence=f"the maximum number of pixels; default {DEFAULT_PIXELS}, if `zoom` is not given",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_PIXELS},
    canonical="[1-9][0-9]{0,9}",
    read=_whole(1, MAX_PIXELS),
)
ZOOM = Option(
    name="zoom",
    values=f"{MIN_ZOOM} to {MAX_ZOOM}",
    allowed=f"samples for each pixel, a whole number from {MIN_ZOOM} to {MAX_ZOOM}",
    sentence="samples per pixel instead; the last pixel may have fewer",
    schema={"type": "integer", "minimum": MIN_ZOOM, "maximum": MAX_ZOOM},
    canonical="[1-9][0-9]{0,9}",
    read=_whole(MIN_ZOOM, MAX_ZOOM),
)
BITS = Option(
    name="bits",
    values="`8`, `16`",
    allowed="8 or 16",
    sentence="bits per value; default 8",
    schema={"enum": [8, 16], "default": 8},
    canonical="(?:8|16)",
    read=_choice(8, 16),
    default=8,
)
COARSE = Option(
    name="coarse",
    values="`0`, `1`",
    allowed="0 or 1",
    sentence="with 1, two samples of each pixel's audio are drawn instead of all of it, for a picture at once; default 0",
    schema={"enum": [0, 1], "default": 0},
    canonical="1",
    read=_choice(0, 1),
    default=0,
)
PART = Option(
    name="part",
    values=f"1 to {PARTS}",
    allowed=f"a whole number from 1 to {PARTS}",
    sentence=f"only this one of {PARTS} parts with nearly the same number of pixels, in their order; without it all of them",
    schema={"type": "integer", "minimum": 1, "maximum": PARTS},
    canonical="[1-9][0-9]?",
    read=_whole(1, PARTS),
)
#: Those of waveforms by name, in the order of a canonical query.
PEAKS_OPTIONS = {each.name: each for each in (SPAN, PIXELS, ZOOM, BITS, COARSE, PART)}
