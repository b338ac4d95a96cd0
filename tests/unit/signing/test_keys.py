"""The file of keys: what it takes, what it refuses, and that no secret is ever said."""

import os
import stat
from pathlib import Path

import pytest

from mp3_slicer.signing import Key, KeysError, add_key, read_keys
from mp3_slicer.signing.keys import MOST_KEYS

SECRET = "0123456789abcdef" * 4


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str | bytes, mode: int = 0o600) -> str:
        path = tmp_path / "keys"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


def test_keys_are_read_in_their_order(file) -> None:
    keys = read_keys(file(f"# ours\n\n  one {SECRET}\ntwo\t{SECRET.upper()}00\r\n"))
    assert [key.name for key in keys] == ["one", "two"]
    assert keys.newest.name == "two"
    assert keys.get("one") == Key("one", bytes.fromhex(SECRET))
    assert keys.get("three") is None
    assert SECRET not in repr(list(keys))
    assert "\\x" not in repr(list(keys))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_the_owner_and_the_group_may_read(file, mode: int) -> None:
    assert len(read_keys(file(f"one {SECRET}\n", mode))) == 1


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o601, 0o660, 0o650, 0o777])
def test_a_file_that_is_open_to_others_is_refused(file, mode: int) -> None:
    with pytest.raises(KeysError, match="chmod 600"):
        read_keys(file(f"one {SECRET}\n", mode))


@pytest.mark.parametrize(
    "line",
    [
        f"one{SECRET}",
        f"one {SECRET[:-2]}",
        f"one {SECRET[:-1]}g",
        f"one {SECRET}0",
        f"one {SECRET * 2}00",
        f"one {SECRET} more",
        f"o.ne {SECRET}",
        f"{'o' * 33} {SECRET}",
        f"öne {SECRET}",
        f"one {SECRET}\none {SECRET}",
        "",
        "# nothing",
        "x" * 20_000,
        "\n".join(f"key{number} {SECRET}" for number in range(MOST_KEYS + 1)),
        b"\xff\xfe",
    ],
    ids=lambda line: ascii(line[:16]),
)
def test_what_is_no_key_is_refused_and_never_shown(file, line) -> None:
    with pytest.raises(KeysError) as error:
        read_keys(file(line))
    assert "\n" not in str(error.value)
    assert SECRET[:16] not in str(error.value)
    assert "xxx" not in str(error.value)


def test_what_is_no_file_is_refused_and_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("nowhere", "pipe", "."):
        with pytest.raises(KeysError):
            read_keys(str(tmp_path / name))


def test_a_new_key_makes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    previous = os.umask(0)
    try:
        add_key(path, "one")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    add_key(path, "two")
    one, two = read_keys(path)
    assert (one.name, two.name) == ("one", "two")
    assert len(one.secret) == 32
    assert one.secret != two.secret


def test_a_new_key_is_added_behind_what_is_there(file) -> None:
    path = file(f"# ours\none {SECRET}", 0o640)
    add_key(path, "two")
    assert [key.name for key in read_keys(path)] == ["one", "two"]
    assert Path(path).read_text().startswith("# ours\n")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


@pytest.mark.parametrize("name", ["one", "", "a b", "x" * 33, "ü", "-\n"])
def test_a_name_that_is_none_or_taken_changes_nothing(file, name: str) -> None:
    path = file(f"one {SECRET}\n")
    with pytest.raises(KeysError):
        add_key(path, name)
    assert Path(path).read_text() == f"one {SECRET}\n"


def test_no_more_keys_than_are_read(file) -> None:
    path = file("".join(f"key{number} {SECRET}\n" for number in range(MOST_KEYS)))
    with pytest.raises(KeysError):
        add_key(path, "more")
    assert len(read_keys(path)) == MOST_KEYS
