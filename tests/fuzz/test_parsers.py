"""A short round of each parser; `make fuzz` has the long one."""

import pytest

from fuzz import parsers
from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_is_kept_and_what_is_near_it_is_taken(name):
    for data in parsers.corpus(name):
        TARGETS[name](data)
        assert len(data) <= parsers.MAX_LENGTH
    parsers.by_chance(name, 300, seed=1)


def test_every_target_has_a_corpus_and_every_corpus_a_target():
    assert {path.name for path in parsers.CORPUS.parent.iterdir()} == {*TARGETS, parsers.CORPUS.name}


@pytest.mark.skipif(not parsers.GUIDED, reason="there is no atheris for this Python")
def test_atheris_finds_nothing_in_a_moment_and_what_there_is_in_another():
    count, found = parsers.guided("time", runs=3000)
    assert not found
    assert count >= 3000
    count, found = parsers.guided("broken", runs=100_000)
    assert "a defect that only who looks for it finds" in found
