"""What all tests share: folders of streams, and the folder of odd files that a user may name."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from support import streams

pytest_plugins = ["support.fixtures"]

#: A folder of MP3 files of one's own, which must be cut exactly or refused clearly.
AUDIO = os.environ.get("SLICER_TEST_AUDIO", "")


#: Files that take longest, which processes that share the tests begin with, so that none is alone with one at the end.
LONGEST = (
    *("image/test_compose.py", "install/test_pythons.py"),
    *(
        "jobs/test_faults.py",
        "jobs/test_hold.py",
        "unit/render/test_exact.py",
        "http/test_drain.py",
        "unit/cli/test_commands.py",
    ),
    *(
        "http/test_processes.py",
        "http/test_renders.py",
        "unit/render/test_parts.py",
        "unit/ansible/test_preflight.py",
        "unit/mp3/test_exact.py",
        "browser/test_refusals.py",
        "browser/test_page.py",
        "jobs/test_jobs.py",
    ),
    *("jobs/test_web.py", "fuzz/test_api.py", "soak/test_soak.py", "browser/test_decoding.py", "http/test_metrics.py"),
    *(
        "edge/test_cache.py",
        "browser/test_jobs.py",
        "jobs/test_commands.py",
        "attack/test_secrets.py",
        "edge/test_slicers.py",
    ),
)


# On a machine with other work an example takes whatever it takes; the tests ask whether it is right.
hypothesis.settings.register_profile("slicer", deadline=None)
hypothesis.settings.load_profile("slicer")


def pytest_configure() -> None:
    # A shell that runs the tests in the background ignores Ctrl-C, and so would every program that is started here.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Only there: alone, tests run in the order in which they stand.
    if hasattr(config, "workerinput"):
        places = {name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(str(item.path).rpartition("/tests/")[2], len(places)))


@pytest.fixture(scope="session")
def stream_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("streams"))


@pytest.fixture(scope="session")
def stream(stream_folder: str) -> Callable[[str], str]:
    """Makes a stream of a kind, once; returns its path."""
    return lambda kind: streams.make(kind, stream_folder, seconds=20)


@pytest.fixture(scope="session")
def cbr(stream: Callable[[str], str]) -> str:
    return stream("mpeg1-44-stereo-cbr128")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], str]:
    """Writes bytes to a new file; returns its path."""

    def write_file(data: bytes, name: str = "source.mp3") -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write_file


def audio_files() -> list[str]:
    """The files of SLICER_TEST_AUDIO, none where it is not set."""
    if not AUDIO:
        return []
    return sorted(str(path) for path in Path(AUDIO).rglob("*") if path.suffix.lower() == ".mp3")
