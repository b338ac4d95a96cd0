"""Pages of others in the browser of somebody who may read: a name that was made to lead here, and answers that look like something else."""

import os
import shutil
import socket
from collections.abc import Iterator

import pytest

from mp3_slicer.settings import Settings, SettingsError
from mp3_slicer.web.app import Slicer, create_app
from support import streams
from support.server import folder

TARGETS = ("/", "/clips/show.mp3", "/info/show.mp3", "/library", "/healthz", "/openapi.json", "/nothing")


@pytest.fixture(scope="module")
def media() -> Iterator[str]:
    path = folder()
    os.rename(streams.make("mpeg1-44-stereo-cbr128", path, seconds=2), os.path.join(path, "show.mp3"))
    yield path
    shutil.rmtree(path)


def app_of(media: str, hosts: str = "") -> Slicer:
    folders = {f"SLICER_{name}_DIR": os.path.join(media, f".{name}") for name in ("INDEX", "RESULTS", "SCRATCH")}
    return create_app(Settings.from_environ({"SLICER_MEDIA": media, "SLICER_HOSTS": hosts, **folders}))


def ask(app: Slicer, path: str, host: str | None = None, method: str = "GET") -> tuple[int, list[tuple[str, str]]]:
    told: list = []
    request = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1"}
    if host is not None:
        request["HTTP_HOST"] = host
    b"".join(app(request, lambda status, headers: told.extend([int(status[:3]), headers])))
    return told[0], told[1]


OWN = [None, "", "localhost", "LocalHost:8000", "127.0.0.1:8000", "[::1]:8000", "192.0.2.1", socket.gethostname()]
OTHER = [
    "rebound.example",
    "rebound.example:8000",
    "127.0.0.1.rebound.example",
    "localhost.rebound.example",
    "[",
    "a b",
    "0x7f.1",
]


@pytest.mark.parametrize("host", OWN)
def test_metrics_are_told_under_own_names(media: str, host: str | None) -> None:
    assert ask(app_of(media), "/metrics", host)[0] == 200


@pytest.mark.parametrize("host", OTHER)
def test_metrics_are_told_under_no_other(media: str, host: str) -> None:
    assert ask(app_of(media), "/metrics", host)[0] == 404


def test_with_names_in_the_settings_nothing_is_told_under_others(media: str) -> None:
    app = app_of(media, "audio.example.org, Other.Example")
    for target in TARGETS:
        for host in OTHER:
            assert ask(app, target, host)[0] == 421
        for known in ("audio.example.org", "AUDIO.example.org:443", "other.example.", *OWN):
            assert ask(app, target, known)[0] == (404 if target == "/nothing" else 200)


def test_without_them_public_answers_have_any_name(media: str) -> None:
    for target in TARGETS[:-1]:
        assert ask(app_of(media), target, "anything.example")[0] == 200


@pytest.mark.parametrize("hosts", ["https://a.example", "a.example/x", "a.example:80", "*", "a b"])
def test_what_is_no_name_stops_the_start(media: str, hosts: str) -> None:
    with pytest.raises(SettingsError, match="SLICER_HOSTS"):
        app_of(media, hosts)


def test_no_answer_is_sniffed(media: str) -> None:
    app = app_of(media)
    for target in (
        *TARGETS,
        "/metrics",
        "/readyz",
        "/studio/nothing",
        "/jobs",
        "/renders/show.wav",
        "/peaks/show.json",
    ):
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            found = [
                value for name, value in ask(app, target, method=method)[1] if name.lower() == "x-content-type-options"
            ]
            assert found == ["nosniff"], (method, target)
