"""The error for a file without Layer III frames, with the reason in one sentence."""

import re

from mp3_slicer.mp3 import survey
from mp3_slicer.mp3.errors import Mp3Error, NotMp3Error, UnsupportedMp3Error
from mp3_slicer.mp3.reader import Read

_SCAN = 1 << 16
_MAX_PLACES = 2000
_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL)
#: Frames in a row that name a layer, or say that Layer III changes within.
_CONFIRM = 4
_LONGEST_FREE_FRAME = 8192


def no_frames(read: Read, start: int, end: int) -> Mp3Error:
    """The error for a file without frames between the offsets `start` and `end`. Reads at most 64 KiB."""
    if end <= start:
        return NotMp3Error("the file is empty" if start == 0 else "the file holds tags and no audio")
    data = read(min(_SCAN, end - start), start)
    for count, match in enumerate(_SYNC.finditer(data)):
        if count == _MAX_PLACES:
            break
        place = match.start()
        layer = data[place + 1] >> 1 & 3
        if layer == 1 and _is_free_format(data, place):
            return UnsupportedMp3Error(
                "the file is free-format MP3, whose frames have no length of their own: re-encode it to cut it"
            )
        if layer == 1 and (row := survey.layer3_row(data, place)).frames >= _CONFIRM and row.changes:
            return changing()
        if layer > 1 and survey.other_row(data, place).frames >= _CONFIRM:
            return NotMp3Error(f"the file is MPEG audio Layer {'II' if layer == 2 else 'I'}, not Layer III (MP3)")
    return NotMp3Error("the file holds no MP3 audio")


def changing() -> UnsupportedMp3Error:
    """The error for a file whose frames change too often to be streams."""
    return UnsupportedMp3Error(
        "the sample rate or the channels change from frame to frame: re-encode the file to cut it"
    )


def _is_free_format(data: bytes, place: int) -> bool:
    """Return whether a frame of bitrate index 0 starts here: its first bytes come again at one steady distance (clause 2.4.2.3)."""
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
