"""The settings: what each variable takes, what it refuses at once, and that they survive the way into the daemons."""

import os
import time
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mp3_slicer.settings import CACHES, PREFIX, Settings, SettingsError, default_dir

NUMBERS = [item for item in fields(Settings) if not isinstance(item.default, str)]
TEXTS = [item for item in fields(Settings) if isinstance(item.default, str)]
#: What must fail before anything is computed of it.
PROMPT = 1.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"SLICER_MEDIA": str(tmp_path), "HOME": str(tmp_path)}


def name_of(item) -> str:
    return PREFIX + item.name.upper()


def refused(environ: dict[str, str], name: str, value: str) -> str:
    """The one line that refuses a value, which must name the variable and come at once."""
    started = time.monotonic()
    with pytest.raises(SettingsError) as error:
        Settings.from_environ(environ | {name: value})
    assert time.monotonic() - started < PROMPT
    line = str(error.value)
    assert name in line
    assert "\n" not in line
    assert len(line) < 1000
    return line


def test_defaults_are_within_their_own_ranges(environ: dict[str, str]) -> None:
    found = Settings.from_environ(environ)
    for item in NUMBERS:
        assert item.metadata["low"] <= item.default <= item.metadata["high"]
        assert getattr(found, item.name) == item.default
    assert found.media == environ["SLICER_MEDIA"]
    for name in CACHES:
        assert getattr(found, name) == default_dir(name, environ)
    assert found.origins == ()


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_every_field_has_its_sentence(item) -> None:
    assert item.metadata["doc"].endswith(".")


@pytest.mark.parametrize("item", NUMBERS, ids=lambda item: item.name)
@pytest.mark.parametrize(
    "text",
    [
        *("x", "-1", "+1", "1_0", "0x10", "1/3", "1e3", "1e999999999", "1e-999999999", "nan", "inf", "Infinity"),
        *("1,5", "1 5", ".5", "5.", "１２", "٣", "²", "9" * 21, "9" * 100_000, "0." + "3" * 100_000, "1\n2", "\0"),
    ],
    ids=lambda text: ascii(text[:14]),
)
def test_what_is_no_plain_number_is_refused_at_once(item, text: str, environ: dict[str, str]) -> None:
    refused(environ, name_of(item), text)


@pytest.mark.parametrize("item", NUMBERS, ids=lambda item: item.name)
def test_both_ends_of_a_range_are_in_it_and_nothing_beyond(item, environ: dict[str, str]) -> None:
    # The two limits of a clip's length must not cross while one of them moves.
    others = environ | {"SLICER_MIN_CLIP_SECONDS": "0.1", "SLICER_MAX_CLIP_SECONDS": "360000"}
    low, high = item.metadata["low"], item.metadata["high"]
    step = 1 if isinstance(item.default, int) else Fraction(1, 1000)
    for value in (low, high):
        text = f"{float(value):.3f}" if isinstance(value, Fraction) else str(value)
        assert getattr(Settings.from_environ(others | {name_of(item): f" {text} "}), item.name) == value
    for value in (low - step, high + step):
        if value >= 0:
            text = f"{float(value):.3f}" if isinstance(value, Fraction) else str(value)
            assert "from" in refused(others, name_of(item), text)


def test_whole_numbers_take_no_fraction_and_seconds_do(environ: dict[str, str]) -> None:
    refused(environ, "SLICER_CLIP_MAX_AGE", "10.0")
    assert Settings.from_environ(environ | {"SLICER_INDEX_SECONDS": "0.25"}).index_seconds == Fraction(1, 4)
    refused(environ, "SLICER_INDEX_SECONDS", "0.2500000001")


@pytest.mark.parametrize("item", TEXTS, ids=lambda item: item.name)
@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\x01", "\x1f", "\x7f"], ids=ascii)
def test_control_characters_are_refused(item, character: str, environ: dict[str, str]) -> None:
    assert "control character" in refused(environ, name_of(item), f"/a{character}b")


def test_the_media_folder_must_be_there(environ: dict[str, str], tmp_path: Path) -> None:
    refused(environ, "SLICER_MEDIA", "")
    refused(environ, "SLICER_MEDIA", "  ")
    refused(environ, "SLICER_MEDIA", str(tmp_path / "missing"))
    file = tmp_path / "file"
    file.touch()
    refused(environ, "SLICER_MEDIA", str(file))
    with pytest.raises(SettingsError, match="SLICER_MEDIA"):
        Settings.from_environ({})


def test_folders_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real ").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real ")
    monkeypatch.chdir(tmp_path)
    folders = {name_of(item): item.name for item in fields(Settings) if item.name in CACHES}
    found = Settings.from_environ({"SLICER_MEDIA": "link", **folders})
    assert found.media == str(tmp_path / "real ")
    for name in CACHES:
        assert getattr(found, name) == str(tmp_path / name)
    assert Settings.from_environ({"SLICER_MEDIA": str(tmp_path / "real ")}).media.endswith("/real ")


@pytest.mark.parametrize(("name", "last"), CACHES.items())
def test_a_folder_without_a_word(name: str, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_dir(name, {"HOME": "/root"}) == f"/var/cache/slicer/{last}"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_dir(name, {"HOME": "/home/a"}) == f"/home/a/.cache/slicer/{last}"
    assert default_dir(name, {"HOME": "/home/a", "XDG_CACHE_HOME": "/c"}) == f"/c/slicer/{last}"


def test_the_shortest_clip_is_not_longer_than_the_longest(environ: dict[str, str]) -> None:
    line = refused(environ | {"SLICER_MAX_CLIP_SECONDS": "2"}, "SLICER_MIN_CLIP_SECONDS", "2.5")
    assert "SLICER_MAX_CLIP_SECONDS" in line


@pytest.mark.parametrize(
    "origin",
    [
        *("example.org", "ftp://example.org", "https://", "https://example.org/", "https://example.org/page", "null"),
        *("https://a?b", "https://a#b", "https://u@a", "https://a b", "https://*.example.org", "https://a:port", "**"),
        *("https://Example.org", "HTTPS://example.org", "https://exämple.org", "https://a:123456", "https://[::1"),
    ],
)
def test_what_is_no_origin_is_refused_and_shown(origin: str, environ: dict[str, str]) -> None:
    assert origin in refused(environ, "SLICER_CORS_ORIGINS", f"https://good.example,{origin}")


def test_origins(environ: dict[str, str]) -> None:
    good = "https://example.org, http://localhost:8080 ,,http://[::1]:80,*"
    found = Settings.from_environ(environ | {"SLICER_CORS_ORIGINS": good})
    assert found.origins == ("https://example.org", "http://localhost:8080", "http://[::1]:80", "*")


@given(data=st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_reads_back(data: st.DataObject, tmp_path: Path) -> None:
    values: dict[str, object] = {"media": str(tmp_path), **{name: str(tmp_path / name) for name in CACHES}}
    for item in NUMBERS:
        low, high = item.metadata["low"], item.metadata["high"]
        if isinstance(item.default, int):
            values[item.name] = data.draw(st.integers(low, high))
        else:
            nano = 10**9
            values[item.name] = Fraction(data.draw(st.integers(int(low * nano), int(high * nano))), nano)
    low, high = values["min_clip_seconds"], values["max_clip_seconds"]
    values["min_clip_seconds"], values["max_clip_seconds"] = min(low, high, Fraction(60)), max(low, high)
    values["cors_origins"] = data.draw(st.sampled_from(["", "*", "https://a.example,https://b.example:444"]))
    made = Settings(**values)
    written = made.to_environ()
    assert set(written) == {name_of(item) for item in fields(Settings)}
    assert Settings.from_environ(written) == made


def test_nothing_changes_after_start(environ: dict[str, str]) -> None:
    found = Settings.from_environ(environ)
    with pytest.raises(FrozenInstanceError):
        found.media = "/"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        found.other = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["none", "rot13", "idna", "punycode", "undefined"])
def test_an_encoding_that_cannot_decode_every_file_is_refused(name: str, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="TRANSCRIPT_ENCODING"):
        Settings.from_environ(environ | {"SLICER_TRANSCRIPT_ENCODING": name})
