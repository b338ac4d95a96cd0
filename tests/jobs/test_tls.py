"""Jobs by way of a Redis that speaks TLS alone, with a certificate of an authority made for the test."""

import http.client
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from mp3_slicer.jobs import JobsDownError
from mp3_slicer.jobs.celery_app import make_app
from mp3_slicer.jobs.jobqueue import JobQueue
from mp3_slicer.settings import Settings, SettingsError
from support import templates
from support.jobs import PASSWORD, Authority, Broker, Place, broker_of, place_of
from support.server import free_port, serving, until

ROLE = Path(__file__).parents[2] / "ansible" / "roles" / "queue"


@pytest.fixture(scope="module")
def broker(authority: Authority) -> Iterator[Broker]:
    with broker_of(authority=authority) as running:
        yield running


@pytest.fixture(scope="module")
def other(authority: Authority) -> Iterator[Broker]:
    """One whose certificate is for another machine."""
    with broker_of(authority=authority, names="DNS:queue.test") as running:
        yield running


def ask(port: int, method: str, target: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_a_job_from_the_question_to_the_result(media: str, broker: Broker) -> None:
    with place_of(media, broker) as place, serving(media, environ=place.environ) as server:
        worker = place.worker("--short", "1", "--long", "0")
        wanted = json.dumps({"request": "/renders/show.wav?t=1,3"}).encode()
        status, headers, _ = ask(server.port, "POST", "/jobs", wanted)
        assert status == 202
        job = headers["location"]
        until(lambda: ask(server.port, "GET", job)[0] == 303, 60, "the job is done")
        result = ask(server.port, "GET", ask(server.port, "GET", job)[1]["location"])
        assert (result[0], result[1]["content-type"]) == (200, "audio/wav")
        assert worker.stop() == 0
        assert "insecure" not in worker.log()


def desk_fails(place: Place, url: str) -> None:
    settings = replace(place.settings, jobs_broker=url)
    with pytest.raises(JobsDownError):
        JobQueue(settings).store.get("0" * 40)


@pytest.mark.parametrize("worker", [False, True])
@pytest.mark.parametrize("what", ["no authority", "another machine", "no TLS"])
def test_a_redis_that_cannot_be_checked_gets_no_password(
    at: Callable[..., Any], broker: Broker, other: Broker, what: str, worker: bool
) -> None:
    """Neither by who keeps states nor by who sends and takes messages."""
    plain = broker.url.partition("?")[0]
    url = {
        "no authority": plain,
        "another machine": other.url,
        "no TLS": plain.replace("rediss://", "redis://"),
    }[what]
    place = at(broker)
    desk_fails(place, url)
    with make_app(replace(place.settings, jobs_broker=url), worker=worker).connection_for_write() as connection:
        with pytest.raises(OperationalError) as caught:
            connection.default_channel.client.ping()
        assert PASSWORD not in str(caught.value)
        assert "certificate" in str(caught.value).lower() or what == "no TLS"


@pytest.mark.parametrize(
    "option",
    [
        *("ssl_cert_reqs=none", "ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs=", "ssl_cert_reqs=optional"),
        *("ssl_check_hostname=false", "ssl_check_hostname=False", "ssl_ca_certs=/x&ssl_cert_reqs=none"),
    ],
)
@pytest.mark.parametrize("name", ["SLICER_JOBS_BROKER", "SLICER_JOBS_STORE"])
def test_the_check_cannot_be_turned_off(media: str, name: str, option: str) -> None:
    environ = {"SLICER_MEDIA": media, "SLICER_JOBS_BROKER": "redis://127.0.0.1/0"}
    checked = {**environ, name: "rediss://:word@queue/0?ssl_ca_certs=/x&ssl_cert_reqs=required&ssl_check_hostname=true"}
    Settings.from_environ(checked)
    with pytest.raises(SettingsError, match=f"{name} turns the check") as caught:
        Settings.from_environ({**environ, name: f"rediss://:word@queue/0?{option}"})
    assert "word" not in str(caught.value)


def strict(certificate: str, authority: str, address: str) -> str:
    """What a client says that is as strict as Python's are from 3.13 on."""
    words = ["openssl", "verify", "-x509_strict", "-verify_ip", address, "-CAfile", authority, certificate]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_certificates_by_the_documentation_are_taken(tmp_path: Path, authority: Authority) -> None:
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^```sh\n(openssl req -x509.*?)^```$", text, re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-e", "-c", recipe], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    found = strict(str(tmp_path / "queue.pem"), str(tmp_path / "ca.pem"), "10.0.0.31")
    assert found == f"{tmp_path}/queue.pem: OK\n"
    # So are those of these tests.
    chain, _ = authority.issue("IP:127.0.0.1")
    assert strict(chain, authority.certificate, "127.0.0.1") == f"{chain}: OK\n"


def test_by_the_configuration_of_the_role_redis_speaks_tls_alone(tmp_path: Path, authority: Authority) -> None:
    port = free_port()
    for kind, path in zip(("pem", "key"), authority.issue("IP:127.0.0.1"), strict=True):
        os.rename(path, tmp_path / f"tls.{kind}")
    path = tmp_path / "redis.conf"
    variables = {
        "queue_password": PASSWORD,
        "queue_port": port,
        "queue_tls_certificate": "text",
        "_queue_tls_files": str(tmp_path / "tls"),
    }
    files = [ROLE / "defaults" / "main.yml", ROLE / "vars" / "main.yml"]
    templates.write(ROLE / "templates" / "redis.conf.j2", str(path), files, variables)
    own = ["--dir", str(tmp_path), "--supervised", "no", "--logfile", "log"]
    with subprocess.Popen(["/usr/bin/redis-server", str(path), *own], stdin=subprocess.DEVNULL) as process:
        try:
            checked = f"rediss://:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={authority.certificate}"

            def answers() -> bool:
                try:
                    with Redis.from_url(checked, socket_timeout=1) as redis:
                        return bool(redis.ping())
                except RedisError:
                    return False

            until(answers, 40, "Redis answers")
            plain = Redis.from_url(f"redis://:{PASSWORD}@127.0.0.1:{port}/0", socket_timeout=2)
            with plain, pytest.raises(RedisError):
                plain.ping()
        finally:
            process.terminate()
            process.wait(20)
