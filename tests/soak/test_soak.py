"""A short soak, and that a soak would see what is wrong."""

import pytest

from soak.questions import Question, body
from soak.run import soak
from soak.traffic import judge

ASKED = Question("clip", "/clips/show.mp3?t=1,2", frozenset([body(b"the clip")]), other=frozenset([404]))
PROBLEM = {"content-type": "application/problem+json", "retry-after": "2"}


def test_half_a_minute_of_everything_with_faults():
    verdict = soak(30, clients=4, pause=0.05, every=1.0)
    print(*verdict.lines(), sep="\n")
    assert verdict.complaints == []
    assert len(verdict.faults) >= 5
    assert len(verdict.counts) == 12
    assert verdict.requests > 300


@pytest.mark.parametrize(
    ("status", "headers", "data", "outcome"),
    [
        (200, {}, b"the clip", "right"),
        (200, {}, b"the clap", "wrong"),
        (200, {}, b"the cli", "wrong"),
        (404, PROBLEM, b"{}", "right"),
        (404, {}, b"{}", "wrong"),
        (400, PROBLEM, b"{}", "wrong"),
        (500, PROBLEM, b"{}", "wrong"),
        (302, {}, b"", "wrong"),
        (503, PROBLEM, b"{}", "refused"),
        (503, {"content-type": "application/problem+json"}, b"{}", "wrong"),
        (504, {"retry-after": "2"}, b"", "wrong"),
    ],
)
def test_an_answer_is_worth(status, headers, data, outcome):
    assert judge(ASKED, status, headers, data)[0] == outcome
