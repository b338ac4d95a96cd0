"""The declarations of options: what else is written of each is held to them. openapi.json is in tests/unit/web/test_openapi.py."""

import itertools
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.render import FORMATS, PEAKS_OPTIONS, RENDER_OPTIONS, OptionError, PeaksRequest, RenderRequest
from mp3_slicer.render.options import MAX_TEXT
from mp3_slicer.render.values import Normalize
from mp3_slicer.timespan import TimeSpan
from support.edge import ROLE

ROOT = Path(__file__).parents[3]
#: A few texts that each option takes.
TEXTS = {
    "t": ["1,2", "00:01.5", "npt:1,00:02", ",7200", "0.25"],
    "fade": ["0.5,1", "0,60", "01.50,0"],
    "gain": ["-3", "24", "0.001", "-60.0"],
    "normalize": ["peak", "peak:-0.5", "ebu", "ebu:-16"],
    "channels": ["1", "2"],
    "rate": ["8000", "44100"],
    "speed": ["0.5", "1.25"],
    "trim": ["-60", "-20.5"],
    "crossfade": ["0.5", "10"],
    "bitrate": ["64", "320"],
}


def tables() -> dict[str, dict[str, tuple[str, str]]]:
    """By heading of docs/renders.md: the rows of its table of options."""
    text = (ROOT / "docs" / "renders.md").read_text(encoding="utf-8")
    found = {}
    for heading in ("Options", "Waveforms"):
        section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
        found[heading] = {name.strip("`"): (values, sentence) for name, values, sentence in rows}
    return found


@pytest.mark.parametrize(("heading", "options"), [("Options", RENDER_OPTIONS), ("Waveforms", PEAKS_OPTIONS)])
def test_the_page_has_the_options_as_they_are_declared(heading, options) -> None:
    assert tables()[heading] == {each.name: (each.values, each.sentence) for each in options.values()}


def test_every_option_has_texts_here() -> None:
    assert set(TEXTS) == set(RENDER_OPTIONS)


@pytest.mark.parametrize("name", TEXTS)
def test_a_canonical_value_is_of_its_expression_and_means_the_same(name: str) -> None:
    option = RENDER_OPTIONS[name]
    for text in TEXTS[name]:
        value = option.parse(text)
        written = option.write(value)
        assert re.fullmatch(option.canonical, written), written
        assert option.parse(written) == value
        assert option.write(option.parse(written)) == written


def test_what_is_too_long_is_no_value() -> None:
    for option in [*RENDER_OPTIONS.values(), *PEAKS_OPTIONS.values()]:
        with pytest.raises(OptionError, match="it is too long"):
            option.parse("1" * (MAX_TEXT + 1))


def expressions() -> dict[str, str]:
    """The queries that Nginx takes for canonical, by what they are of."""
    jinja = pytest.importorskip("jinja2")
    text = (Path(ROLE) / "templates" / "macros.j2").read_text(encoding="utf-8")
    module = jinja.Environment(autoescape=False).from_string(text).make_module({})
    return {"render": module.render, "peaks": module.peaks}


QUERIES = st.fixed_dictionaries({}, optional={name: st.sampled_from(texts) for name, texts in TEXTS.items()})


@given(QUERIES, st.sampled_from(sorted(FORMATS)))
def test_nginx_takes_every_canonical_query_of_a_render(query: dict[str, str], form: str) -> None:
    try:
        request = RenderRequest.parse(form, [("t", "1,2"), ("t", "3,4"), *query.items()])
    except OptionError:
        return
    assert re.fullmatch(NGINX["render"], request.canonical), request.canonical


def test_nginx_takes_every_option_and_no_other() -> None:
    """Each option alone with each of its texts, and one that is not declared."""
    for name, texts in TEXTS.items():
        for text in texts:
            pairs = [("t", "1,2"), ("t", "3,4")] if name != "t" else []
            canonical = RenderRequest.parse("mp3", [*pairs, (name, text)]).canonical
            assert re.fullmatch(NGINX["render"], canonical), canonical
    assert not re.fullmatch(NGINX["render"], "t=1,2&other=1")


def test_nginx_takes_every_canonical_query_of_a_waveform() -> None:
    widths = [("pixels", "800"), ("zoom", "256")]
    extents = [("coarse", "0"), ("coarse", "1"), ("part", "1"), ("part", "16")]
    for text, width, bits, extent in itertools.product(TEXTS["t"], widths, ("8", "16"), extents):
        canonical = PeaksRequest.parse("json", [("t", text), width, ("bits", bits), extent]).canonical
        assert re.fullmatch(NGINX["peaks"], canonical), canonical


def studio() -> dict[str, str]:
    """By option: the line of the studio's field for it."""
    text = (ROOT / "wsgi" / "mp3_slicer" / "studio" / "renders.js").read_text(encoding="utf-8")
    fields = text.partition("const FIELDS = [\n")[2].partition("\n];\n")[0]
    return dict(re.findall(r"^  \['(\w+)', (.*?)\],$(?=\n  \['|\Z)", fields, re.MULTILINE | re.DOTALL))


def choices(field: str) -> list[str]:
    """The values that a field offers, as its source has them."""
    found = re.findall(r"\['([^']+)', '", field)
    for numbers, value in re.findall(r"\.\.\.\[([^\]]*)\]\.map\(\(\w+\) => \[([^,]*),", field):
        prefix = "-" if value.startswith("`-") else ""
        found += [prefix + each.strip(" '") for each in numbers.split(",")]
    return found


def test_the_studio_offers_values_that_are_allowed() -> None:
    fields = studio()
    assert set(fields) - {"format", "join"} == set(RENDER_OPTIONS) - {"t"}
    assert set(choices(fields.pop("format"))) == set(FORMATS)
    fields.pop("join")
    for name, field in fields.items():
        for value in choices(field):
            RENDER_OPTIONS[name].parse(value)
        typed = re.search(r"/\^(.*)\$/$", field)
        assert bool(choices(field)) is not bool(typed), name
        if typed:
            # What the field lets through is a number at least: the server says what is out of range.
            assert any(re.fullmatch(typed[1], text) for text in TEXTS[name]), name
    low, high = re.search(r"'dB, (-?\d+) to (\d+)'", fields["gain"]).groups()
    assert (int(low), int(high)) == (RENDER_OPTIONS["gain"].schema["minimum"], RENDER_OPTIONS["gain"].schema["maximum"])


def test_the_defaults_are_those_of_a_request() -> None:
    request = RenderRequest.parse("mp3", [])
    assert {name: getattr(request, name) for name in RENDER_OPTIONS if name != "t"} == {
        name: option.default for name, option in RENDER_OPTIONS.items() if name != "t"
    }
    assert request.canonical == "t=0"
    assert request.spans == (TimeSpan(0, None),)
    assert RENDER_OPTIONS["normalize"].parse("ebu") == Normalize("ebu", Fraction(-23))


NGINX = expressions()
