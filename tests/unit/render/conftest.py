"""Sounds that are known exactly."""

import math
from pathlib import Path

import pytest

RATE = 44_100


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Six seconds of 1000 Hz at half of full scale, stereo."""
    from unit.render.sounds import write_mp3

    path = tmp_path_factory.mktemp("sounds") / "tone.mp3"
    samples = [0.5 * math.sin(2 * math.pi * 1000 * at / RATE) for at in range(6 * RATE)]
    return write_mp3(str(path), samples, RATE, 2, 320)


@pytest.fixture(scope="session")
def island(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two seconds of silence, two of 500 Hz at a tenth of full scale, two of silence; mono."""
    from unit.render.sounds import write_mp3

    path: Path = tmp_path_factory.mktemp("sounds") / "island.mp3"
    samples = [
        0.1 * math.sin(2 * math.pi * 500 * at / RATE) if 2 * RATE <= at < 4 * RATE else 0.0 for at in range(6 * RATE)
    ]
    return write_mp3(str(path), samples, RATE, 1, 128)
