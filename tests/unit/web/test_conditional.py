"""evaluate(): preconditions and ranges as tables, without a server."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.web.conditional import Outcome, evaluate

ETAG = '"abc-0-1f"'
MODIFIED = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
THEN = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"
LATER = "Tue, 14 Nov 2023 22:13:21 GMT"
LENGTH = 1000
WHOLE = Outcome(200, 0, LENGTH)
#: What clients send in place of a date. None of them is one, however near it comes.
NO_DATES = [
    "",
    "yesterday",
    "0",
    "1700000000",
    "-1",
    "\xff",
    "Tue, 32 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 25:13:20 GMT",
    "Mon, 01 Jan 99999 00:00:00 GMT",
    "Mon, 01 Jan 9999999999 00:00:00 GMT",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT",
    "Mon, 01 Jan 2020 99999999999999999999:00:00 GMT",
    "Mon, 01 Jan 2020 00:99999999999999999999:00 GMT",
    "Mon, 01 Jan 2020 00:00:00 +99999999999999999999",
    "9" * 5000,
    ETAG,
]


def ask(method="GET", length=LENGTH, **headers):
    environ = {"REQUEST_METHOD": method, **{f"HTTP_{name.upper()}": text for name, text in headers.items()}}
    return evaluate(environ, etag=ETAG, modified=MODIFIED, length=length)


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=0-999", 0, 1000),
        ("bytes=0-", 0, 1000),
        ("bytes=10-", 10, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=999-999", 999, 1000),
        ("bytes=990-1000", 990, 1000),
        ("bytes=990-999999999999999999", 990, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-1000", 0, 1000),
        ("bytes=-1001", 0, 1000),
        ("bytes=-999999999999999999", 0, 1000),
        ("bytes=007-0009", 7, 10),
        ("bytes= \t5-6 \t", 5, 7),
    ],
)
def test_a_range(text, start, stop):
    assert ask(range=text) == Outcome(206, start, stop)


@pytest.mark.parametrize("text", ["bytes=1000-", "bytes=1000-1000", "bytes=999999999999999999-", "bytes=-0"])
def test_a_range_outside(text):
    assert ask(range=text).status == 416


@pytest.mark.parametrize(
    "text",
    [
        *("", "bytes", "bytes=", "bytes=-", "bytes=--1", "bytes=a-b", "bytes=1", "bytes=1-2-3", "bytes 0-1", "=0-1"),
        *("bytes=5-4", "bytes=999-0", "bytes=1000-999", "bytes=+1-2", "bytes=0x1-2", "bytes=1.0-2", "bytes=1e1-20"),
        *("bytes=0-1,3-4", "bytes=0-1, 3-4", "bytes=0-1,", "bytes=,0-1", "bytes=2000-,0-1", "bytes=0-,-5"),
        *("items=0-1", "seconds=1-2", "none", "bytes=0 -1", "bytes=0- 1", "bytes=٠-١", "bytes=²-", "bytes=0-1\n"),
    ],
)
def test_ranges_that_are_ignored(text):
    assert ask(range=text) == WHOLE


@pytest.mark.parametrize("text", ["bytes=0-" + "9" * 400, "bytes=" + "9" * 400 + "-", "bytes=-" + "9" * 400])
def test_numbers_beyond_all_lengths_never_fail(text):
    assert ask(range=text).status in {200, 206, 416}


def test_ranges_of_nothing():
    assert ask(length=0, range="bytes=0-").status == 416
    assert ask(length=0) == Outcome(200, 0, 0)


def test_ranges_are_for_get_alone():
    assert ask("HEAD", range="bytes=0-1") == WHOLE
    assert ask("HEAD", range="bytes=5000-") == WHOLE


@given(st.integers(0, 1200), st.integers(0, 1200))
def test_any_two_numbers(first, last):
    outcome = ask(range=f"bytes={first}-{last}")
    if last < first:
        assert outcome == WHOLE
    elif first >= LENGTH:
        assert outcome.status == 416
    else:
        assert outcome == Outcome(206, first, min(last + 1, LENGTH))


@pytest.mark.parametrize("text", [ETAG, f'"x", {ETAG}', f' {ETAG} , "x"', "*", " * ", f"W/{ETAG}, {ETAG}"])
def test_if_match_holds(text):
    assert ask(if_match=text) == WHOLE


@pytest.mark.parametrize("text", ['"x"', f"W/{ETAG}", "", "abc", '"*"', ETAG.upper()])
def test_if_match_fails(text):
    assert ask(if_match=text).status == 412


@pytest.mark.parametrize("text", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', "*", " * "])
def test_if_none_match_names_it(text):
    assert ask(if_none_match=text).status == 304
    assert ask("HEAD", if_none_match=text).status == 304


@pytest.mark.parametrize("text", ['"x"', 'W/"x"', "", '"*"', ETAG.upper(), ETAG[:-1]])
def test_if_none_match_names_others(text):
    assert ask(if_none_match=text) == WHOLE


@pytest.mark.parametrize(
    ("since", "changed"),
    [
        (EARLIER, True),
        (THEN, False),
        (LATER, False),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", False),
        ("Tue Nov 14 22:13:20 2023", False),
        ("Tue Nov 14 22:13:19 2023", True),
        ("Fri, 31 Dec 9999 23:59:59 GMT", False),
        ("Thu, 01 Jan 1970 00:00:00 GMT", True),
        ("Mon, 01 Jan 0001 00:00:00 GMT", True),
    ],
)
def test_dates(since, changed):
    assert ask(if_modified_since=since).status == (200 if changed else 304)
    assert ask(if_unmodified_since=since).status == (412 if changed else 200)


@pytest.mark.parametrize("text", NO_DATES)
def test_dates_that_are_none_are_ignored(text):
    assert ask(if_modified_since=text) == WHOLE
    assert ask(if_unmodified_since=text) == WHOLE


@given(
    st.lists(
        st.one_of(st.sampled_from([*"+-:,* GMT", "Mon", "Jan", "W/", '"']), st.integers().map(str), st.text("\0é ")),
        max_size=14,
    )
)
def test_nothing_that_is_sent_fails(parts):
    text = "".join(parts)
    for names in itertools.combinations(("if_match", "if_none_match", "if_modified_since", "range", "if_range"), 2):
        assert ask(**dict.fromkeys(names, text)).status in {200, 206, 304, 412, 416}


@pytest.mark.parametrize("validator", [ETAG, f" {ETAG} ", THEN])
def test_if_range_holds(validator):
    assert ask(range="bytes=0-9", if_range=validator) == Outcome(206, 0, 10)
    assert ask(range="bytes=5000-", if_range=validator).status == 416


@pytest.mark.parametrize("validator", ['"x"', f"W/{ETAG}", f'{ETAG}, "x"', "*", EARLIER, LATER, *NO_DATES[:-1]])
def test_if_range_fails(validator):
    assert ask(range="bytes=0-9", if_range=validator) == WHOLE
    assert ask(range="bytes=5000-", if_range=validator) == WHOLE


def test_if_range_alone_means_nothing():
    assert ask(if_range='"x"') == WHOLE


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_match": ETAG, "if_unmodified_since": EARLIER}, 200),  # the date does not count beside If-Match
        ({"if_match": '"x"', "if_none_match": ETAG}, 412),
        ({"if_none_match": '"x"', "if_modified_since": LATER}, 200),  # nor beside If-None-Match
        ({"if_match": ETAG, "if_none_match": ETAG}, 304),
        ({"if_unmodified_since": EARLIER, "if_none_match": ETAG}, 412),
        ({"if_none_match": ETAG, "range": "bytes=0-9"}, 304),
        ({"if_none_match": ETAG, "range": "bytes=5000-"}, 304),
        ({"if_match": '"x"', "range": "bytes=0-9"}, 412),
        ({"if_match": ETAG, "range": "bytes=0-9"}, 206),
        ({"if_modified_since": EARLIER, "range": "bytes=0-9"}, 206),
        ({"if_unmodified_since": THEN, "range": "bytes=5000-"}, 416),
    ],
)
def test_the_order(headers, status):
    assert ask(**headers).status == status
