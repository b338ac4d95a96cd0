"""Streams changed in their structure and whole in their frames: what editors, recorders and joiners make of a file.

A number gives the same stream every time. Nothing in here uses Slicer's own parser.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from support import streams

CORPUS = Path(__file__).parent / "corpus" / "files"
#: Of the header's fourth byte: mode extension left out, mode but for mono, copyright, original, emphasis.
_EXTENSION, _MONO = 0x30, 0xC0
_FOURTH = (0x40, 0x80, 0x08, 0x04, 0x01, 0x02, 0x03, 0x0C, 0x48)
_XING_LENGTH = 156
_LAME_AT = 120


@dataclass
class Stream:
    """A file in its parts."""

    front: bytes
    tag: bytes  #: the tag frame, empty where there is none
    frames: list[bytes]
    tail: bytes

    def join(self) -> bytes:
        return b"".join((self.front, self.tag, *self.frames, self.tail))


def stream(number: int) -> bytes:
    """The changed stream of this number."""
    rng = random.Random(number)
    made = rng.choice(_seeds())
    made = Stream(made.front, made.tag, list(made.frames), made.tail)
    for change in rng.sample(CHANGES, rng.choice((1, 1, 2, 2, 3, 4))):
        change(rng, made)
    return made.join()


@lru_cache(maxsize=1)
def _seeds() -> tuple[Stream, ...]:
    return tuple(parse(path.read_bytes()) for path in sorted(CORPUS.glob("*.mp3")))


def parse(data: bytes) -> Stream:
    """Take a file without tags in front apart."""
    offsets = streams.frames(data)
    last = streams.header(data, offsets[-1])
    assert last is not None
    end = offsets[-1] + last.size
    frames = [data[begin:stop] for begin, stop in pairwise([*offsets, end])]
    tag = frames.pop(0) if streams.xing_offset(data) is not None else b""
    return Stream(data[: offsets[0]], tag, frames, data[end:])


# ------------------------------------------------------------------------------------------------------ header bits


def switch(rng: random.Random, made: Stream) -> None:
    """Other header bits from some frame on, or in some frames: joint stereo, copyright, original, emphasis, private."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        begin = rng.choice((rng.randint(0, 4), rng.randrange(len(made.frames))))
        stop = rng.choice((len(made.frames), begin + 1, begin + rng.randint(1, 12)))
        bits, private = rng.choice((*_FOURTH, 0)), rng.randrange(2)
        for number in range(begin, min(stop, len(made.frames))):
            frame = bytearray(made.frames[number])
            if frame[3] & _MONO != _MONO and (frame[3] ^ bits) & _MONO != _MONO:
                frame[3] ^= bits
            else:
                frame[3] ^= bits & 0x0F
            frame[2] ^= private
            made.frames[number] = bytes(frame)


# -------------------------------------------------------------------------------------------------------- reservoir


def behead(rng: random.Random, made: Stream) -> None:
    """A recording: it begins at some frame, mostly without a tag."""
    del made.frames[: rng.randint(1, max(1, len(made.frames) // 2))]
    if rng.random() < 0.8:
        made.tag = b""


def drop(rng: random.Random, made: Stream) -> None:
    """Frames that got lost."""
    begin = rng.randrange(len(made.frames))
    del made.frames[begin : begin + rng.choice((1, 1, 2, 7))]


def repack(rng: random.Random, made: Stream) -> None:
    """The same main data in frames of other bitrates, with and without CRC, with bytes between that nobody reads."""
    parts = _main_data(made.frames)
    if parts is None:
        return
    crc, loose = rng.random() < 0.4, rng.choice((0.0, 0.0, 0.1))
    until = rng.randrange(len(parts))
    heads: list[tuple[bytes, int, int]] = []  # header and side information, where its data begins, bytes of body
    done = slots = 0
    for number, (frame, data) in enumerate(zip(made.frames, parts, strict=True)):
        head = streams.header(frame)
        assert head is not None
        limit = 511 if head.version == "1" else 255
        side = side_length(head)
        begin = max(done, slots - limit) + (rng.randrange(4) if rng.random() < loose else 0)
        begin = min(begin, slots)
        protected = crc and number >= until
        fixed = 4 + side + 2 * protected
        for index in range(1 + rng.choice((0, 0, 0, 0, 1, 3)), 15):
            raw = bytes((0xFF, frame[1] & 0xFE | (not protected), index << 4 | frame[2] & 0x0D, frame[3]))
            size = streams.header(raw)
            assert size is not None
            if slots + size.size - fixed >= begin + len(data):
                break
        else:
            return
        old = 4 + (2 if head.crc else 0)
        info = bytearray(frame[old : old + side])
        if len(info) < side:
            # Another change has cut the last frame short.
            return
        back = slots - begin
        if limit == 511:
            info[0], info[1] = back >> 1, info[1] & 0x7F | (back & 1) << 7
        else:
            info[0] = back
        heads.append((raw + (_crc(raw[2:] + info) if protected else b"") + info, begin, size.size - fixed))
        slots += size.size - fixed
        done = begin + len(data)
    body = bytearray(rng.choice((b"\0", b"\xff", b"\x55")) * slots)
    for (_, begin, _), data in zip(heads, parts, strict=True):
        body[begin : begin + len(data)] = data
    made.frames, place = [], 0
    for head_bytes, _, length in heads:
        made.frames.append(head_bytes + body[place : place + length])
        place += length


def side_length(head: streams.Header) -> int:
    """Bytes of a frame's side information (clause 2.4.1.7)."""
    mono = head.channels == 1
    return (17 if mono else 32) if head.version == "1" else (9 if mono else 17)


def _main_data(frames: list[bytes]) -> list[bytes] | None:
    """What each frame has of main data, None where bytes of it are missing."""
    parts: list[bytes] = []
    held = b""
    for frame in frames:
        head = streams.header(frame)
        assert head is not None
        at = 4 + (2 if head.crc else 0)
        side = side_length(head)
        bits = int.from_bytes(frame[at : at + side], "big")
        width = side * 8
        mpeg1, mono = head.version == "1", head.channels == 1

        def field(begin: int, size: int, bits: int = bits, width: int = width) -> int:
            return bits >> (width - begin - size) & (1 << size) - 1

        back = field(0, 9 if mpeg1 else 8)
        first = ((18 if mono else 20) if mpeg1 else (9 if mono else 10), 59 if mpeg1 else 63)
        granules = (2 if mpeg1 else 1) * head.channels
        length = (sum(field(first[0] + first[1] * number, 12) for number in range(granules)) + 7) // 8
        if back > len(held):
            return None
        held = held[len(held) - back :] + frame[at + side :]
        if length > len(held):
            return None
        parts.append(held[:length])
        held = held[-511:]
    return parts


def _crc(data: bytes | bytearray) -> bytes:
    """The CRC of a frame (clause 2.4.3.1): of the last two bytes of its header and the side information."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x8005 if crc & 0x8000 else 0)) & 0xFFFF
    return crc.to_bytes(2, "big")


# -------------------------------------------------------------------------------------------------------------- tags


def claim(rng: random.Random, made: Stream) -> None:
    """A tag that claims other counts, another delay or padding."""
    at = made.tag.find(b"Info") if b"Info" in made.tag else made.tag.find(b"Xing")
    if at < 0 or at + _XING_LENGTH > len(made.tag):
        return
    tag = bytearray(made.tag)
    near = len(made.frames) + rng.choice((-7, -2, -1, 1, 1, 2, 30))
    tag[at + 8 : at + 12] = struct.pack(">I", rng.choice((near, near, near, len(made.frames))))
    if rng.random() < 0.7:
        trim = rng.choice((0, 576, 1105, rng.randrange(4096))) << 12 | rng.choice((0, 529, 1800, rng.randrange(4096)))
        tag[at + _LAME_AT + 21 : at + _LAME_AT + 24] = trim.to_bytes(3, "big")
    if rng.random() < 0.1:
        tag[at + _LAME_AT : at + _LAME_AT + 9] = rng.choice((b"Lavc61.19", b"LAME3.94b", b"GOGO3.10 ", bytes(9)))
    made.tag = bytes(tag)


def untag(rng: random.Random, made: Stream) -> None:
    made.tag = b""


def front(rng: random.Random, made: Stream) -> None:
    """Tags and junk in front."""
    size = rng.choice((10, 100, 3000))
    id3 = b"ID3%c\0%c" % (rng.choice((2, 3, 4)), rng.choice((0, 0, 0x10))) + bytes((0, 0, size >> 7, size & 127))
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, rng.choice((32, 20_000)), 0, 0xA0000000) + bytes(8)
    end = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0x80000000) + bytes(8)
    junk = rng.choice((bytes(rng.choice((1, 100, 3000))), rng.randbytes(300), b"junk " * 50))
    made.front = rng.choice((id3 + bytes(size), ape + end, junk, id3 + bytes(size) + junk))


def behind(rng: random.Random, made: Stream) -> None:
    """Tags and junk behind, some of which lie about their size."""
    head = streams.header(made.frames[-1])
    if head is None or len(made.frames[-1]) < head.size:
        return  # decoders take what stands there for the rest of that frame
    data = made.join()
    size = rng.choice((32, 500, len(data) // 2, len(data) - 40, 1 << 30))
    lying = b"APETAGEX" + struct.pack(
        "<IIII", rng.choice((1000, 2000)), size, rng.randrange(3), rng.choice((0, 1 << 31))
    )
    made.tail = rng.choice(
        (
            streams.with_id3v1(b""),
            streams.with_apev2(b""),
            streams.with_lyrics3(b""),
            lying + bytes(8),
            streams.with_id3v1(lying + bytes(8)),
            rng.randbytes(700),
            bytes(5000),
        )
    )


# -------------------------------------------------------------------------------------------------- between frames


def interrupt(rng: random.Random, made: Stream) -> None:
    """Junk or a tag between frames."""
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(len(made.frames))
        made.frames[at] += rng.choice((b"\0", bytes(700), rng.randbytes(50), streams.with_id3v1(b""), b"\xff" * 9))


def join(rng: random.Random, made: Stream) -> None:
    """A piece of the same stream behind it, with its tag or without, cut where nothing fits."""
    if len(made.frames) > 200:
        return
    begin = rng.choice((0, rng.randrange(len(made.frames))))
    made.frames += ([made.tag] if made.tag and rng.random() < 0.5 else []) + made.frames[begin:]


def shorten(rng: random.Random, made: Stream) -> None:
    """A file that ends within a frame."""
    made.frames[-1] = made.frames[-1][: rng.randrange(4, len(made.frames[-1]))]
    made.tail = b""


CHANGES: tuple[Callable[[random.Random, Stream], None], ...] = (
    *(
        switch,
        switch,
        behead,
        behead,
        drop,
        repack,
        repack,
        claim,
        claim,
        untag,
        front,
        behind,
        interrupt,
        join,
        shorten,
    ),
)
