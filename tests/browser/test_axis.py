"""Where decoders' time zero is, beside Slicer's: each cell of the table of docs/engine.md, by decoding a file of its kind."""

import re
import struct
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Page

from fuzz import cuts
from support import decoders, streams
from support.browser_decoders import in_chromium, in_firefox

#: Frames of sound that are compared, at a place where every decoder has long begun; how far a zero may be off; one step of 16 bits.
LENGTH, PLACE, FURTHEST, STEP = 500, 60_000, 4_000, 1 / 30_000
#: A decoder that refuses the file, or plays nothing of it.
REFUSED = None


def tag(
    data: bytes, *, counts: int = 3, frames: int | None = None, encoder: bytes = b"LAME3.100", lame: bool = True
) -> bytes:
    """Another tag in the file's tag frame: which counts it has (1 frames, 2 bytes), its frames, encoder, and whether it has a LAME part."""
    at = streams.xing_offset(data)
    assert at is not None
    old = data[at : at + 156]
    count = old[8:12] if frames is None else frames.to_bytes(4, "big")
    new = old[:4] + struct.pack(">I", 12 | counts) + count * (counts & 1) + old[12:16] * (counts >> 1)
    new += old[16:120] + (encoder + old[129:154] if lame else bytes(34))
    length = streams.frames(data)[1] - at
    return data[:at] + new.ljust(length, b"\0") + data[at + length :]


def id3(version: int, flags: int) -> bytes:
    return b"ID3" + bytes((version, 0, flags, 0, 0, 0, 100)) + bytes(100)


APE = (
    b"APETAGEX"
    + struct.pack("<IIII", 2000, 32, 0, 5 << 29)
    + bytes(8)
    + b"APETAGEX"
    + struct.pack("<IIII", 2000, 32, 0, 1 << 31)
    + bytes(8)
)


def differing(data: bytes) -> bytes:
    """The frames alone, of which the first has another copyright bit."""
    audio = bytearray(data[streams.frames(data)[1] :])
    audio[3] ^= 8
    return bytes(audio)


#: By the table's first cell: files of this kind, made of one with a tag of LAME and a delay of 576.
ROWS: Mapping[str, Mapping[str, Callable[[bytes], bytes]]] = {
    "tag frame first, or behind an ID3v2 tag": {"plain": bytes, "id3": lambda data: streams.with_id3v2(data, 5000)},
    "junk, zeros or an APE tag in front of the tag frame": {
        "junk": lambda data: b"junk" + data,
        "zeros": lambda data: bytes(3000) + data,
        "ape": lambda data: APE + data,
        "junk-behind-id3": lambda data: id3(4, 0) + bytes(400) + data,
    },
    "ID3v2.2 or 2.3 with flag 0x10 (a footer, in 2.4 only)": {
        "footer2": lambda data: id3(2, 0x10) + data,
        "footer3": lambda data: id3(3, 0x10) + data,
    },
    "tag with counts and without a LAME part": {"bare": lambda data: tag(data, lame=False)},
    "tag of another encoder (GOGO, mp3packer)": {
        "gogo": lambda data: tag(data, encoder=b"GOGO3.02 "),
        "mp3packer": lambda data: tag(data, encoder=b"mp3packer"),
    },
    "tag of LAME whose frame count is missing or 0": {
        "missing": lambda data: tag(data, counts=2),
        "zero": lambda data: tag(data, frames=0),
    },
    "tag without counts and without a LAME part, or of another encoder": {
        "uncounted": lambda data: tag(data, counts=0, lame=False),
        "uncounted-gogo": lambda data: tag(data, counts=0, encoder=b"GOGO3.02 "),
    },
    "tag of LAME without counts": {"uncounted-lame": lambda data: tag(data, counts=0)},
    "VBRI": {"vbri": streams.with_vbri},
    "the first two frames differ as above": {"differing": differing},
}
FILES = {name: made for row in ROWS.values() for name, made in row.items()}


@pytest.fixture(scope="module")
def sources(cbr: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("axis")
    data = Path(cbr).read_bytes()
    for name, made in FILES.items():
        (folder / f"{name}.mp3").write_bytes(made(data))
    return {name: str(folder / f"{name}.mp3") for name in FILES}


@pytest.fixture(scope="module")
def axes(sources: dict[str, str]) -> dict[str, "array[float]"]:
    """The left channel of each file from Slicer's time zero on: all frames that it cuts, as ffmpeg decodes them."""
    found = {}
    for name, path in sources.items():
        source = cuts.Source.of(Path(path))
        (plain,) = decoders.ffmpeg([source.ffmpeg_reference], gapless=False)
        found[name] = plain[2 * (source.ahead * 1152 + source.segment.skip) :: 2]
    return found


def later(heard: "array[float]", axis: "array[float]") -> int | None:
    """By how many samples a decoder's time zero is later than that of the axis."""
    part = heard[::2][PLACE : PLACE + LENGTH]
    if len(part) < LENGTH:
        return REFUSED
    for shift in sorted(range(-FURTHEST, FURTHEST), key=abs):
        at = PLACE + shift
        if abs(axis[at] - part[0]) <= 2 * STEP and all(abs(axis[at + n] - part[n]) <= 2 * STEP for n in range(LENGTH)):
            return shift
    raise AssertionError("what is heard is nowhere near")


def wanted(decoder: str) -> dict[str, int | None]:
    """What the table says of each file, for the decoder of a column."""
    page = (Path(__file__).parents[2] / "docs/engine.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    head = next(row for row in rows if row[0] == "file")
    column = next(number for number, name in enumerate(head) if name.startswith(decoder))
    found = {}
    for row in (row for row in rows if row[0] in ROWS and len(row) == len(head)):
        number = re.match("=|[+−][0-9]+", row[column])
        assert number, row
        for name in ROWS[row[0]]:
            refused = "refuses" in row[column] and not name.endswith("-behind-id3")
            found[name] = REFUSED if refused else int(number.group().replace("=", "0").replace("−", "-"))
    assert found.keys() == FILES.keys()
    return found


def test_ffmpeg(sources: dict[str, str], axes: dict[str, "array[float]"]) -> None:
    heard = decoders.ffmpeg(list(sources.values()))
    assert {name: later(each, axes[name]) for name, each in zip(sources, heard, strict=True)} == wanted("ffmpeg")


def test_mpg123(sources: dict[str, str], axes: dict[str, "array[float]"]) -> None:
    player = decoders.Mpg123()
    assert {name: later(player(path), axes[name]) for name, path in sources.items()} == wanted("mpg123")
    player.close()


def test_chromium(sources: dict[str, str], axes: dict[str, "array[float]"], visit: Callable[..., Page]) -> None:
    page = visit()
    page.route("**/source/*", lambda route: route.fulfill(path=sources[route.request.url.rpartition("/")[2]]))
    found = {name: later(in_chromium(page, f"/source/{name}", 44_100, 2), axes[name]) for name in sources}
    assert found == wanted("Chromium")


@pytest.mark.long
def test_firefox(sources: dict[str, str], axes: dict[str, "array[float]"]) -> None:
    heard = in_firefox([(f"/source/{name}", 44_100, 2) for name in sources], sources)
    assert {name: later(each, axes[name]) for name, each in zip(sources, heard, strict=True)} == wanted("Firefox")
