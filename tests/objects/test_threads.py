"""Threads by a store's latency: as many as the option asks for, all at work, in the memory that is reserved for them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mp3_slicer.server.sizes import GIB, compute
from support.cutting import cut_bytes, index_of, span_of
from support.server import serving, status, until
from support.store import Store

LATENCY = 100


def test_threads_follow_the_latency_and_fit_in_memory(store: Store, cbr: str) -> None:
    store.put("show.mp3", Path(cbr).read_bytes())
    sizes = compute(1, 2 * GIB, is_remote=True, store_milliseconds=LATENCY)
    options = ("--cpus", "1", "--memory", "2G", "--store-milliseconds", str(LATENCY))
    with serving(store.media, *options, environ=store.environ) as running:
        (daemon,) = running.daemons("clips")
        until(lambda: int(status(daemon)["Threads"]) >= sizes.clips_threads, 30, "its threads")
        want = cut_bytes(cbr, span_of(index_of(cbr), 3, 13))[1]
        with ThreadPoolExecutor(sizes.clips_threads) as pool:
            answers = list(pool.map(lambda _: running.get("/clips/show.mp3?t=3,13")[::2], range(4 * 64)))
        assert set(answers) <= {(200, want)} | {each for each in answers if each[0] == 503}
        assert answers.count((200, want)) >= sizes.clips_threads
        # What the kernel counts by the limit, at its peak: beside the stacks, what clips took.
        assert int(status(daemon)["VmData"].split()[0]) << 10 < sizes.clips_reserved_bytes
        assert running.daemons("clips") == [daemon]
