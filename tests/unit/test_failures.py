"""The table from exceptions to problems: every error has its row, and no row stands behind one that fits everything of it."""

import inspect
import itertools

import pytest

from mp3_slicer import failures, mp3, render
from mp3_slicer.media.source import SourceMissingError
from mp3_slicer.mp3 import Mp3Error, SourceChangedError
from mp3_slicer.render import OptionError, PeaksTimeoutError, RenderError, ToolError, WorkTimeoutError


def errors():
    """The errors that the engine and renders raise."""
    found = {each for room in (mp3, render) for _, each in inspect.getmembers(room, inspect.isclass)}
    return {each for each in found if issubclass(each, Exception)} - {RenderError, render.LimitError}


def test_every_error_has_its_row():
    assert {Mp3Error, OptionError, WorkTimeoutError} <= errors()
    rows = tuple(row.error for row in failures.TABLE)
    assert [each for each in errors() if not issubclass(each, rows)] == []


def test_every_row_can_be_reached():
    for first, second in itertools.combinations(failures.TABLE, 2):
        assert not issubclass(second.error, first.error), (first.error, second.error)


@pytest.mark.parametrize(
    ("error", "response", "job"),
    [
        (SourceMissingError(), (404, "not-found", 0), (410, "source-gone")),
        (SourceChangedError("x"), (503, "try-again", 1), (410, "source-gone")),
        (WorkTimeoutError("x"), (504, "overstayed", 2), (413, "render-too-long")),
        (PeaksTimeoutError("x", b"", 0.5), (504, "overstayed", 2), (413, "render-too-long")),
        (OSError("x"), (503, "try-again", 5), (503, "try-again")),
    ],
)
def test_a_client_that_waits_hears_another_thing_than_one_that_asks_later(error, response, job):
    refusal, failure = failures.refusal_of(error), failures.failure_of(error)
    assert (refusal.status, refusal.kind, refusal.retry) == response
    assert (failure.status, failure.kind) == job


@pytest.mark.parametrize("error", [ToolError("x"), MemoryError(), ZeroDivisionError(), KeyError("x")])
def test_a_defect_is_no_refusal(error):
    assert failures.refusal_of(error) is None


def test_a_defect_ends_a_job_all_the_same():
    assert failures.failure_of(ZeroDivisionError()) is failures.MISTAKE


def test_a_refusal_says_which_option_and_what_is_allowed():
    refusal = failures.refusal_of(OptionError("gain", "it is too long", "-60 to 24 dB"))
    assert refusal.problem["option"] == "gain"
    assert refusal.problem["allowed"] == "-60 to 24 dB"
    assert refusal.detail == "gain: it is too long"
