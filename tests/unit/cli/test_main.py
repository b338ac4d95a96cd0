"""The way into the command line: what is one line, and what is a traceback."""

import argparse

import pytest

from mp3_slicer.cli import info, main
from mp3_slicer.errors import SlicerError


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own handlers of signals stay."""
    monkeypatch.setattr(main.signal, "signal", lambda number, handler: None)


def outcome(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """What `slicer info` returns whose work ends in an error."""

    def run(options: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(info, "run", run)
    return main.main(["info", "x"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SlicerError("it is\nnot there"), "it is not there"),
        (FileNotFoundError(2, "No such file or directory", b"/x"), "/x: No such file or directory"),
        (OSError("no room"), "no room"),
    ],
)
def test_what_an_operator_can_put_right_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    assert outcome(monkeypatch, error) == 2
    assert capsys.readouterr().err == f"slicer: {said}\n"


@pytest.mark.parametrize("kind", [ValueError, KeyError, LookupError, TypeError, RuntimeError, UnicodeError])
def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        outcome(monkeypatch, kind("a bug"))


def test_ctrl_c_ends_a_command_as_shells_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(monkeypatch, KeyboardInterrupt()) == 130
