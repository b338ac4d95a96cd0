"""An index as the bytes of a file: the index itself, the identity of its source, and a checksum of both."""

import json
import os
import zlib
from array import array
from dataclasses import asdict
from typing import Any, overload

from mp3_slicer.media.source import Identity
from mp3_slicer.mp3 import Damage, Index, Run, Segment
from mp3_slicer.mp3.header import LENGTHS, FrameHeader
from mp3_slicer.mp3.index import Anchors
from mp3_slicer.mp3.infotag import InfoTag, plan

#: Changes with the format of these bytes or their meaning; files of another version are rebuilt.
FORMAT_VERSION = 3
#: Bytes of an anchor.
_WIDE = 8
_MAGIC = b"slicer index %d\n" % FORMAT_VERSION


def dump(identity: Identity, index: Index) -> bytes:
    """The bytes of an index made for a file of this identity."""
    described: dict[str, Any] = {
        "identity": identity._asdict() | {"path": identity.path.decode("latin-1")},
        "index": {
            "size": index.size,
            "start": index.start,
            "walked": index.walked,
            "complete": index.complete,
            "tags": index.tags,
            "end": index.end,
            "proof": index.proof,
            "damage": index.damage,
        },
        "info": asdict(index.info) if index.info else None,
        "segments": [
            {
                "header": segment.header.raw.hex(),
                "skip": segment.skip,
                "samples": segment.samples,
                "bitrate": segment.bitrate,
                "reach": segment.reach,
                "runs": [[run.first, run.frames, len(run.anchors), run.end] for run in segment.runs],
            }
            for segment in index.segments
        ],
    }
    text = json.dumps(described, separators=(",", ":")).encode()
    body = b"".join(run.anchors.tobytes() for segment in index.segments for run in segment.runs)
    whole = b"%b%d\n%b%b" % (_MAGIC, len(text), text, body)
    return whole + zlib.crc32(whole).to_bytes(4, "big")


class KeptFile:
    """An open index file, which the loss of the last reference closes."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class StoredAnchors:
    """The anchors of a run in an index file, read where one is asked for; the file closes with the last reference."""

    __slots__ = ("_count", "_file", "_offset")
    itemsize = 0  #: they take no memory

    def __init__(self, file: KeptFile, offset: int, count: int) -> None:
        self._file = file
        self._offset = offset
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int, /) -> int: ...
    @overload
    def __getitem__(self, numbers: slice, /) -> "array[int]": ...
    def __getitem__(self, number: int | slice, /) -> "int | array[int]":
        if isinstance(number, slice):
            start, stop, step = number.indices(self._count)
            return self._read(start, stop)[::step]
        place = number + self._count if number < 0 else number
        if not 0 <= place < self._count:
            raise IndexError("there is no such anchor")
        return self._read(place, place + 1)[0]

    def __eq__(self, other: object) -> bool:
        return hasattr(other, "tobytes") and bool(self.tobytes() == other.tobytes())

    __hash__ = None  # type: ignore[assignment]

    def tobytes(self) -> bytes:
        """All of them, as the machine has them."""
        return self._read(0, self._count).tobytes()

    def _read(self, start: int, stop: int) -> "array[int]":
        found = array("Q")
        found.frombytes(os.pread(self._file.fd, max(0, stop - start) * _WIDE, self._offset + start * _WIDE))
        return found


def load(data: bytes, file: KeptFile | None = None) -> tuple[Identity, Index] | None:
    """Return what `dump` encoded, or None if these bytes are of another version, cut short or changed.

    With `file`, which holds these bytes, the anchors stay there.
    """
    if not data.startswith(_MAGIC) or zlib.crc32(data[:-4]).to_bytes(4, "big") != data[-4:]:
        return None
    try:
        return _load(data, file)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _load(data: bytes, file: KeptFile | None) -> tuple[Identity, Index] | None:
    line = data.index(b"\n", len(_MAGIC))
    begin = line + 1
    place = begin + int(data[len(_MAGIC) : line])
    described = json.loads(data[begin:place])
    segments = []
    for item in described["segments"]:
        header = FrameHeader.parse(bytes.fromhex(item["header"]))
        if header is None:
            return None
        runs = []
        for first, frames, count, end in item["runs"]:
            whole = data[place : place + _WIDE * count] if file is None else b""
            anchors: Anchors = array("Q", whole) if file is None else StoredAnchors(file, place, count)
            place += _WIDE * count
            runs.append(Run(first, frames, anchors, end))
        segments.append(
            Segment(
                header,
                tuple(runs),
                tuple(run.first for run in runs),
                sum(run.frames for run in runs),
                item["skip"],
                item["samples"],
                item["bitrate"],
                item["reach"],
                *plan(header),
                LENGTHS[header.version, header.sample_rate],
            )
        )
    identity = described["identity"]
    index = described["index"]
    return (
        Identity(**(identity | {"path": identity["path"].encode("latin-1")})),
        Index(
            **(index | {"tags": tuple(index["tags"]), "damage": Damage(*index["damage"])}),
            segments=tuple(segments),
            info=InfoTag(**described["info"]) if described["info"] else None,
        ),
    )
