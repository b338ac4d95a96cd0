"""The stack that is soaked: its processes, and the media it serves."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support import streams
from support.edge import Edge, edge_of, site
from support.jobs import Broker, Place, Worker, broker_of, place_of
from support.server import Server, folder, serving, status

#: What clips are cut from; the first has no tag, so that more of it can be appended to it.
KINDS = ("mpeg1-44-untagged-cbr128", "mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg2-24-joint-abr56")
SECONDS = 60
#: Files that change while they are served: one is replaced, one grows, one is truncated and made whole again.
REPLACED, GROWING, TRUNCATED = "replaced.mp3", "growing.mp3", "truncated.mp3"
#: The copy of the truncated one as it is while it is short.
HALF = "half.mp3"


@dataclass
class Media:
    """A media folder, and copies of its files in all their states, for answers to be compared with."""

    served: Path
    kept: Path
    #: The names that never change.
    steady: list[str] = field(default_factory=list)

    def publish(self, data: bytes, name: str) -> None:
        """Put a file in place as publishers should: by renaming."""
        part = self.served / f"{name}.part"
        part.write_bytes(data)
        part.chmod(0o644)
        part.replace(self.served / name)

    def state(self, name: str) -> bytes:
        """The bytes of a state, by the name of its copy."""
        return (self.kept / name).read_bytes()


@contextlib.contextmanager
def media() -> Iterator[Media]:
    """A media folder for the time of the block."""
    work = Path(folder())
    found = Media(work / "served", work / "kept")
    found.served.mkdir(mode=0o755)
    found.kept.mkdir()
    try:
        for kind in KINDS:
            data = Path(streams.make(kind, str(work / "made"), seconds=SECONDS)).read_bytes()
            found.steady.append(f"{kind}.mp3")
            (found.kept / f"{kind}.mp3").write_bytes(data)
            found.publish(data, f"{kind}.mp3")
        whole = found.state(found.steady[0])
        (found.kept / HALF).write_bytes(whole[: len(whole) // 2])
        for name in (REPLACED, GROWING, TRUNCATED):
            found.publish(whole, name)
        yield found
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass
class Stack:
    """All that runs."""

    media: Media
    broker: Broker
    place: Place
    server: Server
    edge: Edge
    worker: Worker

    def processes(self) -> dict[str, list[int]]:
        """The processes of each part that live now, by its name."""
        parts = {
            "slicer": self.server.everything(),
            "nginx": [self.edge.process.pid, *self.edge.workers()],
            "workers": self.worker.everything(),
        }
        return {name: [pid for pid in pids if status(pid)] for name, pids in parts.items()}


@contextlib.contextmanager
def stack() -> Iterator[Stack]:
    """A stack that is stopped at the end, whatever happens."""
    with media() as found, broker_of() as broker, contextlib.ExitStack() as stack:
        # A result is thrown away soon, so that keeping and throwing away are soaked too.
        place = stack.enter_context(
            place_of(str(found.served), broker, SLICER_RESULTS_BYTES=str(64 << 20), SLICER_CLIP_MAX_AGE="20")
        )
        server = stack.enter_context(serving(str(found.served), environ=place.environ))
        edge = stack.enter_context(edge_of([site(server.port, cache_mib=64)], nginx_client_connections=512))
        worker = place.worker("--short", "1", "--long", "1")
        yield Stack(found, broker, place, server, edge, worker)


def leftovers(place: Place) -> list[str]:
    """Files for the time of a render or of a rename that are there, though nobody works."""
    scratch = place.environ["SLICER_SCRATCH_DIR"]
    # What clients have at work stands in a file that stays.
    found = [os.path.join(scratch, name) for name in os.listdir(scratch) if name != "shares"]
    for key in ("SLICER_RESULTS_DIR", "SLICER_INDEX_DIR"):
        for path, _folders, names in os.walk(place.environ[key]):
            found += [os.path.join(path, name) for name in names if name.endswith(".tmp")]
    return found
