"""The Prefer field, read as RFC 7240 has it, whatever is in it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.web.prefer import Preferred, preferred

NOTHING = Preferred(False, None)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("respond-async", Preferred(True, None)),
        ("Respond-Async", Preferred(True, None)),
        (" respond-async ", Preferred(True, None)),
        ("respond-async, wait=10", Preferred(True, 10)),
        ("wait=10,respond-async", Preferred(True, 10)),
        ("Wait = 10", Preferred(False, 10)),
        ('wait="10"', Preferred(False, 10)),
        ("wait=10, wait=20", Preferred(False, 10)),
        ("respond-async; x=y; z", Preferred(True, None)),
        ('lenient; foo="a, respond-async"', NOTHING),
        ('foo="a, respond-async", wait=3', Preferred(False, 3)),
        (r'foo="a\", respond-async", wait=3', Preferred(False, 3)),
        ("handling=lenient", NOTHING),
        ("wait=-1", NOTHING),
        ("wait=1.5", NOTHING),
        ("wait=１", NOTHING),
        ("wait=" + "9" * 50, NOTHING),
        ("wait", NOTHING),
        ("respond-async=", Preferred(True, None)),
        ("??, respond-async", Preferred(True, None)),
        ("(), wait=3", Preferred(False, 3)),
        ("", NOTHING),
        (",,,", NOTHING),
        ("respond-async" + " " * 2000, NOTHING),
    ],
)
def test_what_is_preferred(text: str, wanted: Preferred) -> None:
    assert preferred({"HTTP_PREFER": text}) == wanted


def test_nobody_who_says_nothing_prefers_anything() -> None:
    assert not preferred({})
    assert not NOTHING
    assert Preferred(False, 0)


def test_what_was_followed_is_said_as_it_was_asked() -> None:
    assert Preferred(True, 7).applied == ("Preference-Applied", "respond-async, wait=7")


@given(st.text(alphabet='respond-async,wait=0123456789;" \\\t', max_size=1000))
def test_nothing_takes_long(text: str) -> None:
    began = time.process_time()
    preferred({"HTTP_PREFER": text})
    assert time.process_time() - began < 0.5


def test_odd_repetitions_take_no_longer() -> None:
    for part in (";", ";a", '="', "a;", '\\"', "a=\t"):
        began = time.process_time()
        preferred({"HTTP_PREFER": (part * 1000)[:1000]})
        assert time.process_time() - began < 0.5
