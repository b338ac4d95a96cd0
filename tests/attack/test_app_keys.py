"""A file that was made to look like another one: no answer is made of the wrong one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mp3_slicer.mp3 import FileReader, Index, build_whole_index
from mp3_slicer.settings import Settings
from mp3_slicer.web.app import Slicer, create_app
from support import streams
from support.server import folder


@pytest.fixture
def media() -> Iterator[str]:
    path = folder()
    source = streams.make("mpeg1-44-stereo-cbr128", path, seconds=20)
    os.rename(source, os.path.join(path, "one.mp3"))
    yield path
    shutil.rmtree(path)


def index_of(path: str) -> Index:
    with open(path, "rb") as file:
        return build_whole_index(FileReader(file.fileno()))


def forged(path: str) -> str:
    """Another file of the same size, time and proof, whose audio is other."""
    data = bytearray(Path(path).read_bytes())
    index = index_of(path)
    (run,) = index.segments[0].runs
    span = run.end - index.start
    sampled = {index.start + (span - 128) * number // 255 for number in range(256)}
    copy = os.path.join(os.path.dirname(path), "two.mp3")
    for anchor in run.anchors:
        # The end of the frame there, which is main data, where no sample lies.
        begin, end = anchor + 200, anchor + 400
        if not any(place < end and begin < place + 128 for place in sampled):
            data[begin:end] = bytes(byte ^ 0x55 for byte in data[begin:end])
    Path(copy).write_bytes(data)
    status = os.stat(path)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    return copy


def ask(app: Slicer, path: str, query: str) -> bytes:
    told: list[str] = []
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1"}
    body = b"".join(app(request, lambda status, headers: told.append(status)))  # type: ignore[arg-type]
    assert told == ["200 OK"], body
    return body


def test_no_file_stands_in_for_another(media: str) -> None:
    one = os.path.join(media, "one.mp3")
    two = forged(one)
    assert index_of(one).proof == index_of(two).proof
    assert os.stat(one).st_size == os.stat(two).st_size
    folders = {f"SLICER_{name}_DIR": os.path.join(media, f".{name}") for name in ("INDEX", "RESULTS", "SCRATCH")}
    app = create_app(Settings.from_environ({"SLICER_MEDIA": media, **folders}))
    for pattern, query in (("/renders/{}.wav", "t=0,15"), ("/peaks/{}.dat", "pixels=2000")):
        bodies = [ask(app, pattern.format(name), query) for name in ("one", "two")]
        assert bodies[0] != bodies[1]
        # As kept.
        assert [ask(app, pattern.format(name), query) for name in ("one", "two")] == bodies
