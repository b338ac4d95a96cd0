"""parse_pairs(): what a query says, and what is refused."""

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.web.options import parse_pairs
from mp3_slicer.web.problems import Problem

ALLOWED = frozenset({"t", "download"})


def parse(query, allowed):
    return dict(parse_pairs(query, allowed))


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("&", {}),
        ("t", {"t": ""}),
        ("t=", {"t": ""}),
        ("t=1,2", {"t": "1,2"}),
        ("&&t=1,2&", {"t": "1,2"}),
        ("t=1,2&download", {"t": "1,2", "download": ""}),
        ("download=a=b", {"download": "a=b"}),
        ("download==", {"download": "="}),
        ("%74=1%2C2", {"t": "1,2"}),
        ("t=npt%3a0:00:01", {"t": "npt:0:00:01"}),
        ("download=a+b", {"download": "a b"}),
        ("download=a%2Bb", {"download": "a+b"}),
        ("download=a%26b%3Dc", {"download": "a&b=c"}),
        ("download=%C3%BC", {"download": "ü"}),
        ("download=\xc3\xbc", {"download": "ü"}),
        ("download=\xc3%BC", {"download": "ü"}),
        ("download=%F0%9F%8E%B5", {"download": "🎵"}),
        ("download=%FF", {"download": "\udcff"}),
        ("download=%00", {"download": "\0"}),
        ("download=100%", {"download": "100%"}),
        ("download=%zz%4", {"download": "%zz%4"}),
        ("download=%2541", {"download": "%41"}),
        ("t=1;download", {"t": "1;download"}),
    ],
)
def test_options(query, options):
    assert parse(query, ALLOWED) == options


@pytest.mark.parametrize(
    ("query", "kind", "option"),
    [
        ("T=1,2", "option-unknown", "T"),
        ("time=1", "option-unknown", "time"),
        ("t%20=1", "option-unknown", "t "),
        ("t =1", "option-unknown", "t "),
        ("=1", "option-unknown", ""),
        ("=", "option-unknown", ""),
        ("t=1&utm_source=x", "option-unknown", "utm_source"),
        ("a" * 1000, "option-unknown", "a" * 50),
        ("%FF=1", "option-unknown", "\udcff"),
        ("t=1&t=2", "option-repeated", "t"),
        ("t=1&t=1", "option-repeated", "t"),
        ("t=1&%74=1", "option-repeated", "t"),
        ("t&download&t", "option-repeated", "t"),
    ],
)
def test_what_is_refused_is_named(query, kind, option):
    with pytest.raises(Problem) as caught:
        parse(query, ALLOWED)
    problem = caught.value
    assert (problem.status, problem.kind, problem.members["option"]) == (400, kind, option)
    assert repr(option) in problem.detail
    if kind == "option-unknown":
        assert problem.members["allowed"] == ["download", "t"]
    (body,) = problem.response().body
    assert json.loads(body)["status"] == 400


def test_nothing_is_allowed_where_nothing_is():
    assert parse("", frozenset()) == {}
    with pytest.raises(Problem) as caught:
        parse("t=1", frozenset())
    assert caught.value.members["allowed"] == []


def test_the_length_of_a_query():
    longest = "download=" + "a" * (4096 - 9)
    assert parse(longest, ALLOWED) == {"download": "a" * 4087}
    with pytest.raises(Problem) as caught:
        parse(longest + "a", ALLOWED)
    assert (caught.value.status, caught.value.kind) == (400, "query-too-long")


@given(st.binary(max_size=60))
def test_every_name_of_a_file_comes_through(name):
    for query in (quote(name, safe=""), quote_plus(name), quote(name)):
        options = parse("download=" + query.replace("+", "%20"), ALLOWED)
        assert options["download"].encode("utf-8", "surrogateescape") == name


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_nothing_that_is_sent_fails_otherwise(query):
    try:
        options = parse(query, ALLOWED)
    except Problem as problem:
        assert problem.status == 400
    else:
        assert set(options) <= ALLOWED
