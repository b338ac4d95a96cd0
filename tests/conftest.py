"""What all tests share: folders of streams, and the folder of odd files that a user may name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support import streams

#: A folder of MP3 files of one's own, which must be cut exactly or refused clearly.
AUDIO = os.environ.get("SLICER_TEST_AUDIO", "")


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
