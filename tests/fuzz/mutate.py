"""Damaged files, made from whole ones: each number gives the same file every time."""

import random
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from support import streams

CORPUS = Path(__file__).parent / "corpus" / "files"
#: No file gets longer than this, in bytes, so that a round is many files.
MAX_LENGTH = 150_000
#: What parsers look for; put where it does not belong.
WORDS = (
    *(b"ID3\x04\0\0\0\0\x10\0", b"ID3\x03\0\x10\x7f\x7f\x7f\x7f", b"ID3\x02\0\0\xff\xff\xff\xff", b"TAG", b"TAG+"),
    *(b"APETAGEX\xd0\x07\0\0", b"LYRICSBEGIN", b"000040LYRICS200", b"999999LYRICS200", b"LYRICSEND", b"Xing\0\0\0\x0f"),
    *(b"Info\0\0\0\x01\xff\xff\xff\xff", b"VBRI\0\x01", b"LAME3.100", b"Lavc61.1\0", b"RIFF", b"OggS", b"fLaC"),
    *(b"\xff\xfb\x90\x64", b"\xff\xfb\x00\x00", b"\xff\xfd\x90\x00", b"\xff\xff\xc4\x00", b"\xff\xe3\x18\xc4"),
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Mutation = Callable[[random.Random, bytearray], None]


@lru_cache(maxsize=1)
def seeds() -> tuple[bytes, ...]:
    """The corpus, and files with tags, joined files and lying ones made of it."""
    plain = [path.read_bytes() for path in sorted(CORPUS.glob("*.mp3"))]
    first, second = plain[0], plain[1]
    made = [
        streams.with_id3v2(second, 3000),
        streams.with_id3v1(first),
        streams.with_id3v1(streams.with_apev2(second)),
        streams.with_lyrics3(first),
        streams.with_vbri(first),
        streams.concatenated(first, plain[-1]),
        streams.xing_lying(first, frames=0xFFFFFFFF),
        streams.layer1(3),
        b"",
    ]
    return (*plain, *made)


def mutant(number: int) -> bytes:
    """The damaged file of this number."""
    rng = random.Random(number)
    data = bytearray(rng.choice(seeds()))
    for _ in range(1 + min(int(rng.expovariate(0.5)), 12)):
        rng.choice(MUTATIONS)(rng, data)
        del data[MAX_LENGTH:]
    return bytes(data)


def _place(rng: random.Random, data: bytearray) -> int:
    """An offset, as often near an end as anywhere: most of what is parsed lies there."""
    near = min(len(data), 400)
    match rng.randrange(3):
        case 0:
            return rng.randint(0, near)
        case 1:
            return len(data) - rng.randint(0, near)
        case _:
            return rng.randint(0, len(data))


def _borders(data: bytearray) -> list[int]:
    """Offsets of the frames at the file's start, as another parser sees them; offset 0 where there are none."""
    try:
        return streams.frames(bytes(data[:40_000])) or [0]
    except ValueError:  # a tag that ends within its header
        return [0]


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if data:
            data[min(_place(rng, data), len(data) - 1)] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, data: bytearray) -> None:
    place, size = _place(rng, data), rng.choice((1, 2, 4, 30, 600))
    data[place : place + size] = rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size))


def truncate(rng: random.Random, data: bytearray) -> None:
    del data[_place(rng, data) :]


def behead(rng: random.Random, data: bytearray) -> None:
    del data[: _place(rng, data)]


def remove(rng: random.Random, data: bytearray) -> None:
    place = _place(rng, data)
    del data[place : place + rng.choice((1, 3, 100, 417, 2000, 9000))]


def splice(rng: random.Random, data: bytearray) -> None:
    """A piece of another file."""
    other = rng.choice(seeds())
    begin = rng.randint(0, len(other))
    place = _place(rng, data)
    data[place:place] = other[begin : begin + rng.choice((50, 1000, 5000, 50_000))]


def insert(rng: random.Random, data: bytearray) -> None:
    """Garbage: noise, silence, or one short pattern over and over."""
    size = rng.choice((1, 7, 300, 5000, 70_000))
    pattern = rng.choice((rng.randbytes(size), b"\0", b"\xff", rng.choice(WORDS), rng.randbytes(rng.randint(2, 9))))
    place = _place(rng, data)
    data[place:place] = (pattern * (size // len(pattern) + 1))[:size]


def word(rng: random.Random, data: bytearray) -> None:
    """What a parser looks for, written over or put between."""
    text, place = rng.choice(WORDS), _place(rng, data)
    data[place : place + rng.choice((0, len(text)))] = text


def number(rng: random.Random, data: bytearray) -> None:
    """A size that lies: an odd number of one, two or four bytes behind a word of a tag, or anywhere."""
    place = _place(rng, data)
    found = bytes(data).find(rng.choice((b"ID3", b"APETAGEX", b"Xing", b"Info", b"VBRI", b"LAME", b"LYRICS")))
    if found >= 0 and rng.random() < 0.7:
        place = found + rng.randint(3, 40)
    value = rng.choice((rng.choice(NUMBERS), rng.getrandbits(32), len(data), len(data) - place)) & 0xFFFFFFFF
    packed = struct.pack(rng.choice(("<I", ">I")), value)[: rng.choice((1, 2, 4, 4))]
    data[place : place + len(packed)] = packed


def duplicate(rng: random.Random, data: bytearray) -> None:
    """Frames once more, or many times."""
    borders = _borders(data)
    begin = rng.randrange(len(borders))
    end = min(len(borders) - 1, begin + rng.choice((1, 1, 5, 40)))
    place = rng.choice(borders)
    data[place:place] = data[borders[begin] : borders[end]] * rng.choice((1, 2, 60))


def swap(rng: random.Random, data: bytearray) -> None:
    """Two frames in each other's place."""
    borders = _borders(data)
    if len(borders) > 3:
        a, b = sorted(rng.sample(range(len(borders) - 1), 2))
        one, two = data[borders[a] : borders[a + 1]], data[borders[b] : borders[b + 1]]
        data[borders[a] : borders[b + 1]] = two + data[borders[a + 1] : borders[b]] + one


def header(rng: random.Random, data: bytearray) -> None:
    """Another header on a frame: another bitrate, rate, version, layer, number of channels."""
    place = rng.choice(_borders(data))
    if place + 4 <= len(data):
        data[place + rng.randint(1, 3)] ^= 1 << rng.randrange(8)


def reservoir(rng: random.Random, data: bytearray) -> None:
    """A main_data_begin that reaches back as far as it can."""
    place = rng.choice(_borders(data)) + rng.choice((4, 6))
    data[place : place + 2] = b"\xff\xff"


def interrupt(rng: random.Random, data: bytearray) -> None:
    """A few bytes between frames, at many places."""
    borders = _borders(data)
    for place in sorted(rng.sample(borders, min(len(borders), rng.choice((2, 10, 30)))), reverse=True):
        data[place:place] = rng.choice((b"\0", b"\xff", rng.randbytes(5)))


def again(rng: random.Random, data: bytearray) -> None:
    """The whole file once more, tags and all."""
    if len(data) < MAX_LENGTH // 2:
        data.extend(data)


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, flip, overwrite, truncate, behead, remove, splice, insert, word, number, duplicate, swap),
    *(header, reservoir, interrupt, again),
)
