"""Which unit tests `make check` leaves out: those that decode audio, start programs, or take seconds."""

import pytest

#: Files, by their path below this folder.
SLOW = {
    "ansible/test_shared_results.py",
    "cli/test_commands.py",
    "media/test_shelf.py",
    "mp3/test_audio_folder.py",
    "mp3/test_exact.py",
    "mp3/test_odd.py",
    "mp3/test_properties.py",
    "mp3/test_threads.py",
    "render/audio/test_ffmpeg.py",
    "render/audio/test_effects.py",
    "render/test_exact.py",
    "render/audio/test_level.py",
    "render/test_many.py",
    "render/test_parts.py",
    "render/test_peaks.py",
    "render/test_plan.py",
    "render/test_results.py",
    "test_supply.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]) and str(item.path).rpartition("/unit/")[2] in SLOW:
            item.add_marker("decodes")
