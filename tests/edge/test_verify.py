"""What the end of the play asks a slicer and an edge for: right ones pass, and each kind of wrong one is named."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from mp3_slicer.signing import Key
from support.edge import ROOT, Edge
from support.fixtures import key_file
from support.server import Server

ROLES = ROOT / "ansible" / "roles"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="asks as another user, which root may")


@pytest.fixture
def verifier(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """verifier(server, **settings) verifies a server as the site `main`, with settings as its unit would have them."""
    path = ROLES / "slicer" / "files" / "verify_site.py"
    spec = importlib.util.spec_from_file_location("verify_site", path)
    assert spec and spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ETC", str(tmp_path))

    def verify(server: Server, **settings: str) -> dict[str, str]:
        lines = {"SERVE_OPTIONS": f"--host 127.0.0.1 --port {server.port}", "SLICER_MEDIA": server.media, **settings}
        (tmp_path / "main.env").write_text("".join(f'{name}="{text}"\n' for name, text in lines.items()))
        found: dict[str, str] = module.verify(module.Site("main", "root", "workers"))
        return found

    return verify


def ask(edge: Edge, *clips: dict[str, object]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", ROLES / "nginx" / "files" / "verify_edge.py"],
        input=json.dumps(
            [{"address": "127.0.0.1", "port": edge.port, "tls": False, "host": "localhost", **clip} for clip in clips]
        ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_slicer_and_its_edge_are_right(server: Server, edge: Edge, verifier: Callable[..., dict[str, str]]) -> None:
    clip = verifier(server)
    assert clip["target"].startswith("/clips/")
    assert ask(edge, clip, clip) == (0, "")
    status, said = ask(edge, clip, {**clip, "sha256": "0"}, {**clip, "target": "/clips/none.mp3?t=0,1"})
    assert (status, len(said.splitlines())) == (1, 2)
    assert "other bytes" in said
    assert "404" in said


def test_what_a_site_does_not_do_is_said(
    server: Server, verifier: Callable[..., dict[str, str]], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verifier(server, SLICER_MEDIA=str(tmp_path)) == {"target": "", "sha256": ""}
    # This server takes no jobs.
    with pytest.raises(SystemExit):
        verifier(server, SLICER_JOBS_BROKER="redis://127.0.0.1:1/0")
    assert "a job of" in capsys.readouterr().out
    # A file that the server does not have.
    other = tmp_path / "media"
    other.mkdir()
    (other / "elsewhere.mp3").write_bytes(pathlib.Path(server.media, "show.mp3").read_bytes())
    with pytest.raises(SystemExit):
        verifier(server, SLICER_MEDIA=str(other))
    assert "the clip of elsewhere.mp3: 404" in capsys.readouterr().out


def test_signed_folders_are_asked_with_a_signature(start, verifier: Callable[..., dict[str, str]]) -> None:
    with key_file(Key("tests", bytes(range(32)))) as keys:
        settings = {"SLICER_SIGNING_KEYS": keys, "SLICER_SIGNED": "/"}
        clip = verifier(start(environ=settings), **settings)
    assert "signature=" in clip["target"]
