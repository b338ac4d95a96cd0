"""The trace of a request: taken from trusted proxies only, and only in its one form."""

import pytest

from mp3_slicer.counts.log import trace_id
from mp3_slicer.settings import Settings
from mp3_slicer.web.request import Clients

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def taken(given: str, address: str = "192.0.2.1", proxies: str = "192.0.2.0/24") -> str:
    clients = Clients(Settings.from_environ({"SLICER_MEDIA": "/srv", "SLICER_PROXIES": proxies}))
    return clients.trace_of({"REMOTE_ADDR": address, "HTTP_TRACEPARENT": given})


def test_a_trusted_proxy_names_the_trace() -> None:
    assert taken(GIVEN) == GIVEN
    assert taken(GIVEN, "::ffff:192.0.2.1") == GIVEN
    assert trace_id(GIVEN) == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(("address", "proxies"), [("198.51.100.1", "192.0.2.0/24"), ("192.0.2.1", "-"), ("", "::/0")])
def test_nobody_else_does(address: str, proxies: str) -> None:
    assert taken(GIVEN, address, proxies) == ""


@pytest.mark.parametrize(
    "given",
    [
        "",
        GIVEN.upper(),
        GIVEN + "-x",
        "01" + GIVEN[2:],
        GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        '"',
    ],
)
def test_another_form_is_none(given: str) -> None:
    assert taken(given) == ""
