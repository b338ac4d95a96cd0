"""What a request's record says of the time before Python had it."""

import time

import pytest

from mp3_slicer.web.ledger import Record


def record(ago):
    """The record of a request that Apache gave away so many seconds ago, by the clock on the wall."""
    stamp = {} if ago is None else {"mod_wsgi.queue_start": f"{time.time() - ago:.6f}"}
    return Record({"REQUEST_METHOD": "GET", "PATH_INFO": "/healthz", **stamp}, "name")


def test_the_time_in_the_queue_is_that_between_apache_and_python():
    assert record(2).queued == pytest.approx(2, abs=0.5)


def test_nobody_says_how_long_a_request_was_queued():
    assert record(None).queued is None


@pytest.mark.parametrize("ago", [3600, 365 * 86400])
def test_an_hour_in_the_queue_is_a_clock_that_was_put_ahead(ago):
    assert record(ago).queued is None


def test_a_clock_that_was_put_back_makes_no_time_negative():
    assert record(-3600).queued == 0
