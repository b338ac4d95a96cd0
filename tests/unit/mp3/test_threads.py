"""Many at once: sixteen threads and several processes get the same bytes from one index and one open file."""

import hashlib
import os
import random
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from mp3_slicer.mp3 import SECOND, FileReader, Index, build_whole_index, cut
from support.cutting import index_of

SPANS = [
    (start, start + length)
    for draw in [random.Random(8)]
    for start, length in ((draw.uniform(0, 15), draw.uniform(0.1, 5)) for _ in range(200))
]


def digest(fd: int, index: Index, start: float, end: float) -> str:
    clip = cut(FileReader(fd), index.locate(round(start * SECOND), round(end * SECOND)))
    return hashlib.sha256(clip.read(FileReader(fd))).hexdigest()


def digest_alone(path: str, start: float, end: float) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        return digest(fd, build_whole_index(FileReader(fd)), start, end)
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", ["mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2"])
def test_threads_and_processes_agree(kind: str, stream) -> None:
    path = stream(kind)
    index = index_of(path)
    fd = os.open(path, os.O_RDONLY)
    try:
        alone = [digest(fd, index, *span) for span in SPANS]
        with ThreadPoolExecutor(16) as pool:
            for _ in range(5):
                assert _all(pool, digest, fd, index) == alone
    finally:
        os.close(fd)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as processes:
        assert [
            future.result() for future in [processes.submit(digest_alone, path, *span) for span in SPANS[:60]]
        ] == alone[:60]


def _all(pool: Executor, function, fd: int, index: Index) -> list[str]:
    return [future.result() for future in [pool.submit(function, fd, index, *span) for span in SPANS]]
