"""The CRC-16 that LAME puts at the end of its tag: polynomial 0x8005, reflected, initial value 0."""

import struct
import sys
from array import array
from collections.abc import Callable
from functools import lru_cache


def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        table.append(crc)
    return table


def _word_table() -> "array[int]":
    # A CRC is linear, so two bytes at a time cost one look-up: the 16-bit state leaves entirely with each word.
    high = _byte_table()
    low = array("H", (high[crc & 255] ^ crc >> 8 for crc in high))
    # Every process makes this when it starts, so a row of 256 is made at once: its low half, each of them changed by the same high one.
    row = int.from_bytes(low.tobytes(), sys.byteorder)
    everywhere = int.from_bytes(array("H", [1] * 256).tobytes(), sys.byteorder)
    table = array("H")
    for crc in high:
        table.frombytes((row ^ crc * everywhere).to_bytes(512, sys.byteorder))
    return table


_WORDS = _word_table()


@lru_cache(maxsize=64)
def _half_words(count: int) -> Callable[[bytes], tuple[int, ...]]:
    return struct.Struct(f"<{count}H").unpack


def crc16(data: bytes, crc: int = 0) -> int:
    """CRC-16 of an even number of bytes, 0..65535, going on from `crc`. Raises struct.error on an odd number."""
    words = _WORDS
    for word in _half_words(len(data) >> 1)(data):
        crc = words[crc ^ word]
    return crc
