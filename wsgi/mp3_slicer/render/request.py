"""Requests for renders and waveforms, read from the options of a query: each known, in range, and in agreement with the others."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, Self

from mp3_slicer.mp3 import ENGINE_VERSION
from mp3_slicer.render.errors import OptionError
from mp3_slicer.render.formats import FORMATS, OPUS_RATE, Format
from mp3_slicer.render.options import (
    BITS,
    COARSE,
    CROSSFADE,
    DEFAULT_PIXELS,
    FADE,
    GAIN,
    MAX_SPANS,
    PART,
    PARTS,
    PEAKS_OPTIONS,
    RENDER_OPTIONS,
    SPAN,
    SPEED,
    Option,
)
from mp3_slicer.render.values import Normalize
from mp3_slicer.render.version import Version
from mp3_slicer.timespan import TimeSpan

#: Changes whenever the bytes of a result change: part of every key.
RENDER_VERSION = "1"
#: By form of a waveform: its media type.
CONTENT_TYPES = {"json": "application/json", "dat": "application/octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """A valid render; whether a source can give it is checked by the plan. Options are under their names."""

    format: Format
    spans: tuple[TimeSpan, ...]
    fade: tuple[Fraction, Fraction] = FADE.default  #: in and out, seconds
    gain: Fraction = GAIN.default  #: dB
    normalize: Normalize | None = None
    channels: int | None = None  #: 1 or 2; None: as the source
    rate: int | None = None  #: samples a second; None: as the source
    speed: Fraction = SPEED.default  #: how many times as fast, the pitch as it was
    trim: Fraction | None = None  #: dB of full scale below which a span's ends are silence
    crossfade: Fraction = CROSSFADE.default  #: seconds
    bitrate: int | None = None  #: kbit/s; None: the default of the format

    @classmethod
    def parse(cls, format_name: str, pairs: Iterable[tuple[str, str]]) -> Self:
        """Read the decoded options of a query, in their order: `t` as often as there are spans, each other one once.

        Raises OptionError, for the format as the option "format".
        """
        kind = FORMATS.get(format_name)
        if kind is None:
            raise OptionError("format", f"there is no format {format_name[:20]!r}", "one of " + ", ".join(FORMATS))
        texts = _texts(pairs, RENDER_OPTIONS)
        spans = texts.pop("t", [])
        if len(spans) > MAX_SPANS:
            raise OptionError("t", "there are too many spans", f"at most {MAX_SPANS} spans")
        located = tuple(map(RENDER_OPTIONS["t"].parse, spans))
        fields = {name: RENDER_OPTIONS[name].parse(text) for name, (text,) in texts.items()}
        _check_together(kind, fields, len(spans))
        if kind.name == "opus":
            fields.pop("rate", None)  # it says nothing
        return cls(format=kind, spans=located or (SPAN.default,), **fields)

    @property
    def canonical(self) -> str:
        """The canonical query of this render: spans in their order, then the options that differ from their defaults."""
        parts = [f"t={span.canonical}" for span in self.spans]
        for name, option in RENDER_OPTIONS.items():
            if name != "t":
                value = getattr(self, name)
                if value != option.default:
                    parts.append(f"{name}={option.write(value)}")
        return "&".join(parts)

    def key(self, version: Version) -> str:
        """A name for the result, 40 hexadecimal digits: the same for the same bytes, another one once the source is another file."""
        return key_of("render", self.format.name, self.canonical, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeaksRequest:
    """A valid waveform."""

    form: Literal["json", "dat"]
    span: TimeSpan
    pixels: int | None = None  #: at most; None where `zoom` is given
    zoom: int | None = None  #: samples for each pixel
    bits: int = BITS.default
    coarse: int = COARSE.default  #: 1: a sample of each pixel is enough
    part: int | None = None  #: from 1 to PARTS; None: all

    @classmethod
    def parse(cls, form: str, pairs: Iterable[tuple[str, str]]) -> Self:
        """Read the decoded options of a query, each at most once. Raises OptionError, for the form as the option "format"."""
        if form not in CONTENT_TYPES:
            raise OptionError("format", f"there is no format {form[:20]!r}", "one of " + ", ".join(CONTENT_TYPES))
        texts = _texts(pairs, PEAKS_OPTIONS)
        if "pixels" in texts and "zoom" in texts:
            raise OptionError("zoom", "pixels says how many samples each has", "pixels or zoom, not both")
        values = {name: PEAKS_OPTIONS[name].parse(text) for name, (text,) in texts.items()}
        if "part" in values and values.get("coarse"):
            raise OptionError("part", "a coarse waveform is drawn as a whole", "part or coarse=1, not both")
        if "pixels" not in values and "zoom" not in values:
            values["pixels"] = DEFAULT_PIXELS
        return cls(form="json" if form == "json" else "dat", span=values.pop("t", SPAN.default), **values)

    @property
    def canonical(self) -> str:
        """The canonical query of this waveform."""
        return f"{self._width}&bits={self.bits}{self._extent}"

    @property
    def _width(self) -> str:
        width = f"zoom={self.zoom}" if self.zoom else f"pixels={self.pixels}"
        return f"t={self.span.canonical}&{width}"

    @property
    def _extent(self) -> str:
        coarse = "" if self.coarse == COARSE.default else f"&coarse={COARSE.write(self.coarse)}"
        return coarse if self.part is None else f"&part={PART.write(self.part)}"

    @property
    def whole(self) -> "PeaksRequest":
        """The waveform that this is a part of."""
        return replace(self, part=None)

    @property
    def parts(self) -> "list[PeaksRequest]":
        """The parts of this waveform, in their order."""
        return [replace(self, part=number) for number in range(1, PARTS + 1)]

    def extent(self, pixels: int) -> tuple[int, int]:
        """Return the first of `pixels` pixels of the whole waveform that this has, and the one after its last."""
        if self.part is None:
            return 0, pixels
        return pixels * (self.part - 1) // PARTS, pixels * self.part // PARTS

    @property
    def content_type(self) -> str:
        """The media type of the result."""
        return CONTENT_TYPES[self.form]

    def key(self, version: Version) -> str:
        """A name for the result, 40 hexadecimal digits."""
        return key_of("peaks", self.form, self.canonical, version)

    def partial_key(self, version: Version) -> str:
        """A name for the partial result at a timeout: the same for both forms and both numbers of bits."""
        return key_of("partial peaks", "", self._width + self._extent, version)


def key_of(kind: str, form: str, canonical: str, version: Version) -> str:
    """A name for the result of a canonical query on a source, different for each path of that source."""
    text = repr((kind, form, canonical, tuple(version), RENDER_VERSION, ENGINE_VERSION))
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _texts(pairs: Iterable[tuple[str, str]], options: dict[str, Option]) -> dict[str, list[str]]:
    """The texts of each option that is given. Raises OptionError."""
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        if name not in options:
            raise OptionError(name[:50], "there is no such option", ", ".join(options))
        if name in texts and not options[name].repeatable:
            others = [each.name for each in options.values() if each.repeatable]
            raise OptionError(
                name, "it is given more than once", f"once; only {others[0]} may come again" if others else "once"
            )
        texts.setdefault(name, []).append(text)
    return texts


def _check_together(kind: Format, fields: dict[str, Any], spans: int) -> None:
    if "normalize" in fields and "gain" in fields:
        raise OptionError("gain", "normalize sets the level already", "gain or normalize, not both")
    if fields.get("crossfade") and spans < 2:
        raise OptionError("crossfade", "there is one span only", "crossfade with t given more than once")
    if "bitrate" in fields and not kind.has_bitrate:
        formats = ", ".join(each.name for each in FORMATS.values() if each.has_bitrate)
        raise OptionError("bitrate", f"{kind.name} has no bitrate", f"bitrate with one of {formats}")
    if kind.name == "opus" and fields.get("rate") not in {None, OPUS_RATE}:
        raise OptionError("rate", f"opus has {OPUS_RATE} samples a second always", f"{OPUS_RATE} or no rate")
