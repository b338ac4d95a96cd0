"""Many renders at once, in threads and in processes: each result is the one that it is alone."""

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from mp3_slicer.mp3 import FileReader, Index, build_whole_index
from mp3_slicer.render import RenderRequest
from mp3_slicer.render.audio.render import render
from support.cutting import index_of
from unit.render.sounds import LIMITS

#: A hundred with the repetitions, of every format and of every effect that keeps anything between two blocks.
REQUESTS = [
    (form, (("t", f"{start},{start + 1.5}"), *options))
    for start in range(0, 15, 6)
    for form, options in (
        ("mp3", (("fade", "0.3,0.5"),)),
        ("mp3", (("t", "1,2"), ("crossfade", "0.5"), ("channels", "1"), ("bitrate", "64"))),
        ("wav", (("normalize", "peak"), ("trim", "-50"))),
        ("flac", (("gain", "-3"),)),
        ("ogg", ()),
        ("opus", (("speed", "1.5"),)),
        ("m4a", (("rate", "22050"),)),
        ("wav", (("normalize", "ebu:-16"),)),
    )
]
TIMES = 4


def digest(fd: int, index: Index, form: str, pairs: tuple[tuple[str, str], ...]) -> str:
    with render(RenderRequest.parse(form, pairs), FileReader(fd), index, LIMITS) as made:
        return hashlib.sha256(made.read()).hexdigest()


def digest_alone(path: str, form: str, pairs: tuple[tuple[str, str], ...]) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        return digest(fd, build_whole_index(FileReader(fd)), form, pairs)
    finally:
        os.close(fd)


def test_threads_and_processes_agree(cbr: str) -> None:
    index = index_of(cbr)
    fd = os.open(cbr, os.O_RDONLY)
    try:
        alone = [digest(fd, index, *request) for request in REQUESTS]
        assert len(set(alone)) == len(REQUESTS)
        with ThreadPoolExecutor(8) as threads, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
            jobs = [threads.submit(digest, fd, index, *request) for request in REQUESTS * (TIMES - 1)]
            jobs += [processes.submit(digest_alone, cbr, *request) for request in REQUESTS]
            results = [job.result() for job in jobs]
    finally:
        os.close(fd)
    assert len(results) + len(alone) >= 100
    assert results == alone * TIMES
