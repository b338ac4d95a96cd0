"""attachment(): names for downloads that every browser and file system takes."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.web.disposition import attachment

#: RFC 6266 with only what we write: a quoted string without escapes, then RFC 8187's ext-value.
FORM = re.compile(
    r'attachment; filename="(?P<plain>[ !#-\[\]-~]+)"'
    r"(?:; filename\*=UTF-8''(?P<full>(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+))?"
)


def names(value):
    """The plain name and the one that browsers take."""
    match = FORM.fullmatch(value)
    assert match, value
    return match["plain"], unquote(match["full"], errors="strict") if match["full"] else match["plain"]


@pytest.mark.parametrize(
    ("asked", "plain", "full"),
    [
        ("a.mp3", "a.mp3", None),
        ("a", "a.mp3", None),
        ("a.MP3", "a.MP3", None),
        ("a.wav", "a.wav.mp3", None),
        ("Minute fifty", "Minute fifty.mp3", None),
        ("a;b,c='d'", "a;b,c='d'.mp3", None),
        ("%41", "%41.mp3", None),
        ("../../etc/passwd", "_.._etc_passwd.mp3", None),
        ("C:\\Windows\\x", "C_Windows_x.mp3", None),
        ('say "hi"', "say _hi_.mp3", None),
        ("a\r\nSet-Cookie: b=c", "a_Set-Cookie_ b=c.mp3", None),
        ("a\0b\x7fc", "a_b_c.mp3", None),
        (".hidden", "hidden.mp3", None),
        (" a . ", "a.mp3", None),
        ("...", "clip.mp3", None),
        ("ü", "_.mp3", "ü.mp3"),
        ("Grüße", "Gr__e.mp3", "Grüße.mp3"),
        ("日本", "__.mp3", "日本.mp3"),
        ("🎵 a", "_ a.mp3", "🎵 a.mp3"),
        ("it's — 100%", "it's _ 100%.mp3", "it's — 100%.mp3"),
        ("x" * 200, "x" * 150 + ".mp3", None),
        ("日" * 200, "_" * 150 + ".mp3", "日" * 150 + ".mp3"),
    ],
)
def test_names(asked, plain, full):
    assert names(attachment(asked, b"show.mp3", "1,2")) == (plain, full or plain)


@pytest.mark.parametrize(
    ("path", "span", "full"),
    [
        (b"show.mp3", "3000,3010", "show_3000-3010.mp3"),
        (b"show.mp3", "0", "show_0.mp3"),
        (b"a/b/show.mp3", "0.5,1.25", "show_0.5-1.25.mp3"),
        (b"a.b.mp3", "1", "a.b_1.mp3"),
        ("Grüße.mp3".encode(), "1,2", "Grüße_1-2.mp3"),
        (b'a"b?.mp3', "1,2", "a_b_1-2.mp3"),
        (b"SHOW.MP3", "1,2", "SHOW_1-2.mp3"),
        (b"\xff\xfe.mp3", "1,2", "__1-2.mp3"),
    ],
)
def test_names_made_of_the_source(path, span, full):
    name = names(attachment("", path, span))[1]
    assert re.sub("_+", "_", name) == re.sub("_+", "_", full)


@pytest.mark.parametrize("asked", ["\udcff", "a\udcffb", "\udc80.mp3", "ü\udcff"])
def test_names_that_are_not_utf8(asked):
    """parse_pairs gives surrogates for such bytes."""
    plain, full = names(attachment(asked, b"show.mp3", "1,2"))
    assert plain.endswith(".mp3")
    full.encode("utf-8")


@given(st.text(st.characters(exclude_categories=()), max_size=200), st.binary(min_size=1, max_size=60))
def test_any_name_makes_a_header(asked, path):
    for value in (attachment(asked, b"show.mp3", "1,2"), attachment("", path + b".mp3", "1,2")):
        for name in names(value):
            assert name.lower().endswith(".mp3")
            assert not set(name) & set('/\\:*?"<>|\r\n\0')
            assert not name.startswith((".", " "))
            assert len(name) <= 154
