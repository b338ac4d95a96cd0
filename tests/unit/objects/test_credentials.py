"""Credentials from each place where AWS's own tools look: a request is signed with them, and with new ones before they end."""

import datetime
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mp3_slicer.media.library import Catalog
from mp3_slicer.objects.choose import library_of
from mp3_slicer.settings import Settings
from support.crooked import Crooked, crooked

STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>{AccessKeyId}</AccessKeyId><SecretAccessKey>{SecretAccessKey}</SecretAccessKey>
<SessionToken>{Token}</SessionToken><Expiration>{Expiration}</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


class Issuer:
    """The services of a cloud that give credentials: each time others, which last for `seconds`."""

    def __init__(self) -> None:
        self.seconds = 3600
        self.given = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send("role" if self.path.endswith("/security-credentials/") else json.dumps(outer._next()))

            def do_PUT(self) -> None:
                self._send("token of the metadata service")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert b"Action=AssumeRoleWithWebIdentity" in body
                assert b"WebIdentityToken=whoever" in body
                self._send(STS.format(**outer._next()))

            def _send(self, text: str) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _next(self) -> dict[str, str]:
        self.given += 1
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.seconds)
        return {
            "Code": "Success",
            "AccessKeyId": f"KEY{self.given}",
            "SecretAccessKey": "a+secret",
            "Token": f"token{self.given}",
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.close()


@pytest.fixture
def origin() -> Iterator[Crooked]:
    with crooked(b"x" * 1000) as server:
        yield server


@pytest.fixture
def bucket(origin: Crooked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Catalog]:
    """A library in an environment with these variables of AWS and no others."""

    def make(**variables: str) -> Catalog:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        nowhere = str(tmp_path / "nothing")
        for name, text in {
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            **variables,
        }.items():
            monkeypatch.setenv(name, text)
        return library_of(Settings(media="s3://audio", objects_endpoint=origin.url.removesuffix("/media/")))

    return make


def signed_by(origin: Crooked, library: Catalog) -> tuple[str, str]:
    """The key and the token by which a request is signed; empty without."""
    origin.asked.clear()
    library.open(b"show.mp3")
    (fields,) = origin.asked
    found = re.search(r"Credential=(\w+)/", fields.get("authorization", ""))
    return found[1] if found else "", fields.get("x-amz-security-token", "")


def test_of_the_environment_of_files_and_none(origin: Crooked, bucket: Callable[..., Catalog], tmp_path: Path) -> None:
    assert signed_by(origin, bucket()) == ("", "")
    variables = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "/a+secret", "AWS_SESSION_TOKEN": "short"}
    assert signed_by(origin, bucket(**variables)) == ("ENV", "short")
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = FIRST\naws_secret_access_key = /a+secret\n"
        "[radio]\naws_access_key_id = RADIO\naws_secret_access_key = /a+secret\n",
        encoding="ascii",
    )
    named = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    assert signed_by(origin, bucket(**named)) == ("FIRST", "")
    assert signed_by(origin, bucket(**named, AWS_PROFILE="radio")) == ("RADIO", "")


@pytest.mark.parametrize("way", ["container", "instance", "web identity"])
def test_of_roles_and_renewed_before_they_end(
    origin: Crooked, bucket: Callable[..., Catalog], issuer: Issuer, tmp_path: Path, way: str
) -> None:
    token = tmp_path / "token"
    token.write_text("whoever", encoding="ascii")
    library = bucket(
        **{
            "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{issuer.url}/role"},
            "instance": {
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{issuer.url}/",
            },
            "web identity": {
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/slicer",
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
                "AWS_ENDPOINT_URL_STS": issuer.url,
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
        }[way]
    )
    # Within minutes of their end new ones are fetched, before the store refuses the old ones.
    issuer.seconds = 120
    first = signed_by(origin, library)
    issuer.seconds = 3600
    second = signed_by(origin, library)
    assert first[0].startswith("KEY")
    assert first[1] == f"token{first[0].removeprefix('KEY')}"
    # botocore lets those of an instance last longer where its service gives such as end soon, which then has a fault.
    assert (second[0] != first[0]) == (way != "instance")
    # And those that last are used again.
    assert signed_by(origin, library) == second
