"""Why a file in which no Layer III frames were found has none: the sentence its owner gets."""

import os
import re

from slicer.mp3.errors import Mp3Error, NotMp3Error, UnsupportedMp3Error

_SCAN = 1 << 16
_CONFIRM = 3
_MAX_PLACES = 2000
_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
# Kilobits per second by (is MPEG-1, layer bits): ISO 11172-3 clause 2.4.2.3, ISO 13818-3 clause 2.4.2.3.
_KILOBITS = {
    (True, 3): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_LONGEST_FREE_FRAME = 8192


def no_frames(fd: int, start: int, end: int) -> Mp3Error:
    """The error for a file without frames between the offsets `start` and `end`. Reads at most 64 KiB."""
    if end <= start:
        return NotMp3Error("the file is empty" if start == 0 else "the file holds tags and no audio")
    data = os.pread(fd, min(_SCAN, end - start), start)
    for count, match in enumerate(_SYNC.finditer(data)):
        if count == _MAX_PLACES:
            break
        place = match.start()
        layer = data[place + 1] >> 1 & 3
        if layer == 1 and _is_free_format(data, place):
            return UnsupportedMp3Error(
                "the file is free-format MP3, whose frames have no length of their own: re-encode it to cut it"
            )
        if layer > 1 and _is_layer(data, place):
            return NotMp3Error(f"the file is MPEG audio Layer {'II' if layer == 2 else 'I'}, not Layer III (MP3)")
    return NotMp3Error("the file holds no MP3 audio")


def _is_free_format(data: bytes, place: int) -> bool:
    """Whether a frame of bitrate index 0 starts here: its first bytes come again at one steady distance (clause 2.4.2.3)."""
    head = data[place : place + 3]
    if len(head) < 3 or head[2] >> 4 or head[2] >> 2 & 3 == 3:
        return False
    second = _again(data, head, place)
    if second is None:
        return False
    third = _again(data, head, second)
    return third is not None and abs((third - second) - (second - place)) <= 1


def _again(data: bytes, head: bytes, place: int) -> int | None:
    position = place
    while True:
        position = data.find(head[:2], position + 2, place + _LONGEST_FREE_FRAME)
        if position < 0 or position + 2 >= len(data):
            return None
        if (data[position + 2] ^ head[2]) & ~2 == 0:
            return position


def _is_layer(data: bytes, place: int) -> bool:
    """Whether frames of one version, layer and rate follow each other from here."""
    kind = data[place + 1] & 0xFE
    for _ in range(_CONFIRM):
        if place + 3 > len(data) or data[place] != 0xFF or data[place + 1] & 0xFE != kind:
            return False
        version, layer, third = data[place + 1] >> 3 & 3, data[place + 1] >> 1 & 3, data[place + 2]
        if version == 1 or third >> 4 in {0, 15} or third >> 2 & 3 == 3:
            return False
        bits = _KILOBITS[version == 3, layer][(third >> 4) - 1] * 1000
        rate = _RATES[version][third >> 2 & 3]
        padding = third >> 1 & 1
        place += (12 * bits // rate + padding) * 4 if layer == 3 else 144 * bits // rate + padding
    return True
