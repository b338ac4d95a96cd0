"""A file is there whole or not at all."""

import os
from pathlib import Path

import pytest

from mp3_slicer import atomic


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic.replacing(str(path)) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        (other,) = set(os.listdir(tmp_path)) - {"file"}
        assert other.startswith(atomic.PREFIX)
        assert other.endswith(atomic.SUFFIX)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(143)])
def test_nothing_is_left_of_a_file_that_is_not_whole(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), atomic.replacing(str(path)) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_cannot_be_renamed_goes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), atomic.replacing(str(tmp_path / "folder")):
        pass
    assert os.listdir(tmp_path) == ["folder"]


def test_the_umask_counts(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        for mode, wanted in ((0o666, 0o640), (0o600, 0o600)):
            with atomic.replacing(str(tmp_path / "file"), mode):
                pass
            assert (tmp_path / "file").stat().st_mode & 0o777 == wanted
    finally:
        os.umask(before)


def test_a_name_without_a_folder_is_one_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic.replacing("file") as file:
        file.write(b"here")
    assert (tmp_path / "file").read_bytes() == b"here"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.replacing(str(tmp_path / "none" / "file")):
        pytest.fail("there is no file to write")
