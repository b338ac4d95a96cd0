"""What somebody wants rendered, read from the options of a query: every one known, in range, and in agreement with the others."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Self

from slicer.mp3 import ENGINE_VERSION
from slicer.render.errors import OptionError
from slicer.render.formats import ALL_BITRATES, FORMATS, OPUS_RATE, RATES, Format
from slicer.render.version import Version
from slicer.timespan import ALLOWED, TimeSpan, TimeSpanError

#: Changes whenever the bytes of a result change: part of every key.
RENDER_VERSION = "1"
#: Spans of one request.
MAX_SPANS = 20
#: An option's text, in characters: nothing longer means anything.
MAX_TEXT = 80
#: Where nobody says, in dB of full scale and in LUFS (EBU R 128).
DEFAULT_PEAK, DEFAULT_LOUDNESS = Fraction(-1), Fraction(-23)

#: Up to five digits, and three behind the point: no exponent, no "nan", no digits of other scripts.
_NUMBER = re.compile(r"-?[0-9]{1,5}(?:\.[0-9]{1,3})?", re.ASCII)
_WHOLE_FILE = TimeSpan(0, None)


def plain(value: Fraction) -> str:
    """A number of at most three decimals as text, without zeros that say nothing."""
    whole, rest = divmod(abs(value) * 1000, 1000)
    text = f"{whole}.{int(rest):03d}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


class Range(NamedTuple):
    """The values a number may have, both ends allowed, and their unit."""

    low: Fraction
    high: Fraction
    unit: str

    def __str__(self) -> str:
        return f"{plain(self.low)} to {plain(self.high)} {self.unit}, with at most 3 decimals"


FADE = Range(Fraction(0), Fraction(60), "seconds")
GAIN = Range(Fraction(-60), Fraction(24), "dB")
PEAK = Range(Fraction(-30), Fraction(0), "dB of full scale")
LOUDNESS = Range(Fraction(-31), Fraction(-9), "LUFS")
SPEED = Range(Fraction(1, 2), Fraction(2), "times")
TRIM = Range(Fraction(-90), Fraction(-20), "dB of full scale")
CROSSFADE = Range(Fraction(0), Fraction(10), "seconds")

#: By option: what may stand there, as an error says it.
ALLOWED_VALUES = {
    "t": ALLOWED,
    "fade": f"fade=in,out: each {FADE}",
    "gain": f"{GAIN}",
    "normalize": f"peak or peak:dB ({PEAK}), ebu or ebu:LUFS ({LOUDNESS})",
    "channels": "1 or 2",
    "rate": "one of " + ", ".join(map(str, RATES)),
    "speed": f"{SPEED}",
    "trim": f"{TRIM}",
    "crossfade": f"{CROSSFADE}",
    "bitrate": "one of " + ", ".join(map(str, ALL_BITRATES)) + " (kbit/s)",
}


class Normalize(NamedTuple):
    """A level to bring the result to: its highest sample in dB of full scale, or its loudness in LUFS."""

    kind: Literal["peak", "ebu"]
    target: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """A render that makes sense by itself; whether a source can give it is the plan's question."""

    format: Format
    spans: tuple[TimeSpan, ...]
    fade_in: Fraction = Fraction(0)  #: seconds
    fade_out: Fraction = Fraction(0)  #: seconds
    gain: Fraction = Fraction(0)  #: dB
    normalize: Normalize | None = None
    channels: int | None = None  #: 1 or 2; None: as the source
    rate: int | None = None  #: samples a second; None: as the source
    speed: Fraction = Fraction(1)  #: how many times as fast, the pitch as it was
    trim: Fraction | None = None  #: dB of full scale below which a span's ends are silence
    crossfade: Fraction = Fraction(0)  #: seconds
    bitrate: int | None = None  #: kbit/s; None: what the format has where nobody says

    @classmethod
    def parse(cls, format_name: str, pairs: Iterable[tuple[str, str]]) -> Self:
        """Read the decoded options of a query, in their order: `t` as often as there are spans, each other one once.

        Raises OptionError, for the format as the option "format".
        """
        kind = FORMATS.get(format_name)
        if kind is None:
            raise OptionError("format", f"there is no format {format_name[:20]!r}", "one of " + ", ".join(FORMATS))
        spans: list[TimeSpan] = []
        values: dict[str, str] = {}
        for name, text in pairs:
            if name == "t":
                if len(spans) == MAX_SPANS:
                    raise OptionError("t", "there are too many spans", f"at most {MAX_SPANS} spans")
                spans.append(parse_span(text))
                continue
            if name not in ALLOWED_VALUES:
                raise OptionError(name[:50], "there is no such option", ", ".join(ALLOWED_VALUES))
            if name in values:
                raise OptionError(name, "it is given more than once", "once; only t may come again")
            values[name] = text
        return cls(format=kind, spans=tuple(spans) or (_WHOLE_FILE,), **_parsed(kind, values, len(spans)))

    @property
    def canonical(self) -> str:
        """The one query string for this render: spans in their order, then what is not as it would be anyway."""
        parts = [f"t={span.canonical}" for span in self.spans]
        if self.fade_in or self.fade_out:
            parts.append(f"fade={plain(self.fade_in)},{plain(self.fade_out)}")
        if self.gain:
            parts.append(f"gain={plain(self.gain)}")
        if self.normalize:
            parts.append(f"normalize={self.normalize.kind}:{plain(self.normalize.target)}")
        if self.channels:
            parts.append(f"channels={self.channels}")
        if self.rate:
            parts.append(f"rate={self.rate}")
        if self.speed != 1:
            parts.append(f"speed={plain(self.speed)}")
        if self.trim is not None:
            parts.append(f"trim={plain(self.trim)}")
        if self.crossfade:
            parts.append(f"crossfade={plain(self.crossfade)}")
        if self.bitrate:
            parts.append(f"bitrate={self.bitrate}")
        return "&".join(parts)

    def key(self, version: Version) -> str:
        """A name for the result, 40 hexadecimal digits: the same for the same bytes, another one once the source is another file."""
        return key_of("render", self.format.name, self.canonical, version)


def key_of(kind: str, form: str, canonical: str, version: Version) -> str:
    """A name for what comes of a canonical query on a source; another one for each path under which a source is found."""
    text = repr((kind, form, canonical, tuple(version), RENDER_VERSION, ENGINE_VERSION))
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def parse_span(text: str) -> TimeSpan:
    """The span that a `t` names. Raises OptionError."""
    try:
        return TimeSpan.parse(text)
    except TimeSpanError as error:
        raise OptionError("t", str(error), ALLOWED) from None


def _parsed(kind: Format, values: dict[str, str], spans: int) -> dict[str, Any]:
    """The fields of a request from the texts of all options but `t`."""
    fields: dict[str, Any] = {}
    for name, text in values.items():
        if len(text) > MAX_TEXT:
            raise OptionError(name, "it is too long", ALLOWED_VALUES[name])
        match name:
            case "fade":
                fields["fade_in"], fields["fade_out"] = _fade(text)
            case "gain":
                fields[name] = _number(name, text, GAIN)
            case "normalize":
                fields[name] = _normalize(text)
            case "channels":
                fields[name] = _one_of(name, text, (1, 2))
            case "rate":
                fields[name] = _one_of(name, text, RATES)
            case "speed":
                fields[name] = _number(name, text, SPEED)
            case "trim":
                fields[name] = _number(name, text, TRIM)
            case "crossfade":
                fields[name] = _number(name, text, CROSSFADE)
            case "bitrate":
                fields[name] = _one_of(name, text, ALL_BITRATES)
    _check_together(kind, values, fields, spans)
    if kind.name == "opus":
        fields.pop("rate", None)  # it says nothing
    return fields


def _check_together(kind: Format, values: dict[str, str], fields: dict[str, Any], spans: int) -> None:
    if "normalize" in values and "gain" in values:
        raise OptionError("gain", "normalize sets the level already", "gain or normalize, not both")
    if fields.get("crossfade") and spans < 2:
        raise OptionError("crossfade", "there is one span only", "crossfade with t given more than once")
    if "bitrate" in values and not kind.has_bitrate:
        formats = ", ".join(each.name for each in FORMATS.values() if each.has_bitrate)
        raise OptionError("bitrate", f"{kind.name} has no bitrate", f"bitrate with one of {formats}")
    if kind.name == "opus" and fields.get("rate") not in {None, OPUS_RATE}:
        raise OptionError("rate", f"opus has {OPUS_RATE} samples a second always", f"{OPUS_RATE} or no rate")


def _number(name: str, text: str, span: Range) -> Fraction:
    value = Fraction(text) if _NUMBER.fullmatch(text) else None
    if value is None or not span.low <= value <= span.high:
        problem = "is not a number" if value is None else "is out of range"
        raise OptionError(name, f"{text!r} {problem}", ALLOWED_VALUES[name])
    return value


def _one_of(name: str, text: str, values: tuple[int, ...]) -> int:
    if text not in map(str, values):
        raise OptionError(name, f"{text!r} is none of them", ALLOWED_VALUES[name])
    return int(text)


def _fade(text: str) -> tuple[Fraction, Fraction]:
    first, comma, second = text.partition(",")
    if not comma:
        raise OptionError("fade", f"{text!r} names one time", ALLOWED_VALUES["fade"])
    return _number("fade", first, FADE), _number("fade", second, FADE)


def _normalize(text: str) -> Normalize:
    kind, colon, target = text.partition(":")
    if kind == "peak":
        return Normalize("peak", _number("normalize", target, PEAK) if colon else DEFAULT_PEAK)
    if kind == "ebu":
        return Normalize("ebu", _number("normalize", target, LOUDNESS) if colon else DEFAULT_LOUDNESS)
    raise OptionError("normalize", f"{text!r} names no way of measuring", ALLOWED_VALUES["normalize"])
