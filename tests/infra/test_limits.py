"""The limits for each client that are on by default: they count clients, not connections from one address."""

from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = [pytest.mark.fleets("host", "several"), pytest.mark.thrown_away]

ONE, OTHER = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}


def test_fills_are_counted_for_each_client(edge):
    """120 at once, and 600 a minute."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: edge.ask(f"/clips/limit-{number}.mp3?t=1,2", headers=ONE), range(400)))
    assert {answer.status for answer in answers} == {404, 429}
    assert [answer.status for answer in answers].count(404) >= 120
    assert edge.ask("/clips/limit-other.mp3?t=1,2", headers=OTHER).status == 404


def test_jobs_are_counted_for_each_client(edge):
    """20 at once, and 60 a minute."""

    def ask(client):
        # Refused by whoever gets it; what counts is that it was asked for.
        return edge.ask("/jobs", "POST", headers={"Content-Type": "application/json", **client}, body=b"{").status

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: ask(ONE), range(60)))
    assert 429 in found
    assert len(set(found)) > 1
    assert ask(OTHER) != 429
